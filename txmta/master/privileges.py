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
import ctypes
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass

from txmta.config.settings import Settings
from txmta.errors import ConfigError

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


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
    """

    name: str
    uid: int
    gid: int


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
    try:
        os.setgroups([])
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
    except OSError as e:
        raise PrivilegesRemain(f"cannot become {account.name}: {e.strerror}") from e
    _verify(account)
    _restrict()


def _verify(account: Account) -> None:
    if os.getresuid() != (account.uid,) * 3 or os.getresgid() != (account.gid,) * 3:
        raise PrivilegesRemain(f"have not become {account.name} altogether")
    if os.getgroups() not in ([], [account.gid]):
        raise PrivilegesRemain("have kept groups of root")
    try:
        os.setresuid(0, 0, 0)
    except PermissionError:
        return
    raise PrivilegesRemain("could become root again")


def _restrict() -> None:
    """
    No rights from set-uid programs; no core dumps, which would show mail, and
    no tracing by other processes of the account. Best effort: the ids count.
    """
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return  # not Linux
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _own_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
