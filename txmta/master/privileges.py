"""
Become the mail owner, for good.

Owns: which account the server is, and that there is no way back.
Knows nothing of: what needs root before that (L{txmta.master.binding}).

Sources: setresuid(2), prctl(2); "Setuid Demystified" (Chen, Wagner, Dean
    2002). Postfix: C{util/chroot_uid.c}, C{global/mail_params.c}
    (check_mail_owner).

Errors: L{ConfigError<txmta.errors.ConfigError>} while nothing has changed;
    L{PrivilegesRemain}, one too, when the way back is open.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass, replace

from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.master import kernel


class PrivilegesRemain(ConfigError):
    """
    The process could still become root. It must not go on.
    """

    def __init__(self, what: str) -> None:
        super().__init__([f"{what}: start as root with all its rights, or as another"])


@dataclass(frozen=True)
class Account:
    """
    Who the server is.

    @ivar groups: besides C{gid}: that of maildrop, for the one who reads it.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    def joined(self, group: int | None) -> Account:
        """
        @return: the same account, in a group more.
        """
        return self if group is None else replace(self, groups=(*self.groups, group))


def server_account(settings: Settings) -> Account:
    """
    @return: mail_owner if we are root, else who we are.
    @raise ConfigError: there is no such account, or it is root.
    """
    if os.geteuid() != 0:
        uid = os.geteuid()
        return Account(_own_name(uid), uid, os.getegid())
    name = settings.mail_owner
    definition = settings.definitions.get("mail_owner")
    where = definition.where if definition else "default"
    try:
        entry = pwd.getpwnam(name)
    except KeyError as e:
        raise ConfigError(
            [
                f"{where}: mail_owner = {name}: there is no such account: make it "
                f"(useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin "
                f"{name}), or name another"
            ]
        ) from e
    if entry.pw_uid == 0 or entry.pw_gid == 0:
        raise ConfigError(
            [
                f"{where}: mail_owner = {name}: has the rights of root: name an "
                "account that owns nothing else"
            ]
        )
    return Account(name, entry.pw_uid, entry.pw_gid)


def maildrop_group(settings: Settings) -> int | None:
    """
    @return: the group of maildrop, which who reads it must be in; L{None} if it
        is our own, for we are not root.
    @raise ConfigError: there is no such group.
    """
    if os.geteuid() != 0:
        return None
    name = settings.setgid_group
    definition = settings.definitions.get("setgid_group")
    where = definition.where if definition else "default"
    try:
        gid = grp.getgrnam(name).gr_gid
    except KeyError as e:
        raise ConfigError(
            [
                f"{where}: setgid_group = {name}: there is no such group: make it "
                f"(groupadd --system {name}), or name another"
            ]
        ) from e
    if gid == 0:
        raise ConfigError(
            [
                f"{where}: setgid_group = {name}: is the group of root: name one that "
                "owns nothing else"
            ]
        )
    return gid


@contextlib.contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """
    Inside, root has the rights of C{account} only, and gets its own back.

    For the main thread before others are started: ids are the process's.
    """
    group, groups = os.getegid(), os.getgroups()
    try:
        os.setgroups([])
        os.setegid(account.gid)
        os.seteuid(account.uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def become(account: Account) -> None:
    """
    If we are root, be C{account} and nothing else from here on.

    Call it in the main thread, before any other is started: no_new_privs
    counts for a thread and those that it starts.

    @raise PrivilegesRemain: it did not work.
    """
    if os.geteuid() != 0:
        return
    change_ids(account)
    # Best effort, for a server in one process: the ids count.
    with contextlib.suppress(OSError):
        forbid_new_rights()
        forbid_tracing()


def change_ids(account: Account, *, bounding: bool = False) -> None:
    """
    From root to C{account}, with its groups and no capability.

    @param bounding: nor may a program give us one.
    @raise PrivilegesRemain: it did not work.
    """
    try:
        os.setgroups(account.groups)
        os.setresgid(account.gid, account.gid, account.gid)
        if bounding:
            kernel.drop_bounding_set()
        os.setresuid(account.uid, account.uid, account.uid)
        # Root's inheritable ones, as of a container, would be left.
        kernel.give_up_capabilities()
    except OSError as e:
        raise PrivilegesRemain(f"cannot become {account.name}: {e.strerror}") from e
    _verify(account)
    if bounding and kernel.bounding_set():
        raise PrivilegesRemain("have kept capabilities in the bounding set")


def forbid_new_rights() -> None:
    """
    None from set-uid programs, for this thread and those that it starts.
    """
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)


def forbid_tracing() -> None:
    """
    No core dumps, which would show mail; no tracing by other processes of the
    account. A change of ids undoes it.
    """
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def _verify(account: Account) -> None:
    if os.getresuid() != (account.uid,) * 3 or os.getresgid() != (account.gid,) * 3:
        raise PrivilegesRemain(f"have not become {account.name} altogether")
    if not set(os.getgroups()) <= {account.gid, *account.groups}:
        raise PrivilegesRemain("have kept groups of root")
    if any(kernel.capabilities()):
        raise PrivilegesRemain("have kept capabilities")
    try:
        os.setresuid(0, 0, 0)
    except PermissionError:
        return
    raise PrivilegesRemain("could become root again")


def _own_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
