"""
Root, who becomes the user whose mail it is, and root again afterwards.

Only the effective ids change, and with them whose files can be reached: real
and saved ids stay root's, so that no user can signal or trace the process
meanwhile, and there is a way back. It is never root, nor the owner of the
queue, for anybody's mail.

For a process with one thread: ids are those of all threads.

Owns: becoming and returning, each looked at afterwards; whom it never becomes.
Knows nothing of: what is done meanwhile.

Sources: setresuid(2), setgroups(2), credentials(7); Postfix
C{util/set_eugid.c}, C{local/mailbox.c} (rights in the spool directory).

Errors: L{PowerLost}: the user's rights could not be had, and nothing was done.
When there is no way back the process ends at once: what it would do next, it
would do with the wrong rights.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from txmta.delivery.filesystem import MailboxError
from txmta.delivery.rights import Owner
from txmta.errors import MailError

P = ParamSpec("P")
T = TypeVar("T")

#: Exit status of a process that could not become root again.
EX_NOPERM = 77

_REMEDY = "write an alias for it, or use another account"


class PowerLost(MailError):
    """
    We are not root, or not with all of its rights.
    """


def become(owner: Owner) -> None:
    """
    @raise PowerLost: we are not that user now, perhaps nobody known.
    """
    uid, gid = owner.uid, owner.gid
    if uid <= 0 or gid <= 0:
        raise PowerLost(f"uid {uid}, gid {gid} would have rights of root")
    try:
        os.setgroups([gid])
        os.setresgid(-1, gid, -1)
        os.setresuid(-1, uid, -1)
    except OSError as e:
        raise PowerLost(f"cannot become uid {uid}, gid {gid}: {e.strerror}") from e
    ours = os.getresuid()[1], os.getresgid()[1], os.getgroups()
    if ours != (uid, gid, [gid]):
        raise PowerLost(f"have not become uid {uid}, gid {gid} altogether")


def become_root() -> None:
    """
    The way back; there is no going on without.
    """
    try:
        os.setresuid(-1, 0, -1)
        os.setresgid(-1, 0, -1)
        os.setgroups([])
        ours = os.getresuid(), os.getresgid(), os.getgroups()
        if ours != ((0, 0, 0), (0, 0, 0), []):
            os._exit(EX_NOPERM)
    except BaseException:
        os._exit(EX_NOPERM)


class Power:
    """
    Can be anybody but a few. A L{Rights<txmta.delivery.rights.Rights>}.
    """

    powerful = True

    def __init__(
        self,
        mail_owner: Owner,
        change: tuple[Callable[[Owner], None], Callable[[], None]] = (
            become,
            become_root,
        ),
    ) -> None:
        """
        @param mail_owner: owns the queue.
        @param change: how to become somebody, and root; for tests.
        """
        self._users = frozenset((0, mail_owner.uid))
        self._groups = frozenset((0, mail_owner.gid))
        self._become, self._return = change

    def has(self, uid: int) -> bool:
        return uid > 0 and uid not in self._users

    def is_replaced(self, uid: int) -> bool:
        return not self.has(uid)

    def refusal(self, uid: int) -> str:
        return f"and txmta never acts as {self._name(uid)}: {_REMEDY}"

    def check(self, uid: int, what: str, remedy: str) -> None:
        if not self.has(uid):
            name = self._name(uid)
            raise MailboxError(
                "4.3.5", f"{what}, but txmta never acts as {name}: {_REMEDY}"
            )

    def check_group(self, gid: int, what: str, remedy: str) -> None:
        if gid <= 0 or gid in self._groups:
            raise MailboxError(
                "4.3.5",
                f"{what}, but txmta never acts with the rights of that group: "
                "use another group",
            )

    def group_for(self, directory: str, gid: int) -> int:
        """
        A spool directory that its group may write has mailboxes, and lock files
        beside them, made with the rights of that group.
        """
        try:
            status = os.stat(directory)
        except OSError:  # said better when it is opened
            return gid
        if status.st_mode & stat.S_IWOTH or not status.st_mode & stat.S_IWGRP:
            return gid
        return gid if status.st_gid in self._groups else status.st_gid

    def doing(self, owner: Owner | None, work: Callable[P, T]) -> Callable[P, T]:
        if owner is None:
            return work

        def as_owner(*args: P.args, **kwargs: P.kwargs) -> T:
            # -1 is "as before" to the kernel: root.
            uid, gid = owner.uid, owner.gid
            if not self.has(uid) or gid <= 0 or gid in self._groups:
                raise PowerLost(f"never acts as uid {uid}, gid {gid}")
            try:
                self._become(owner)
                return work(*args, **kwargs)
            finally:
                self._return()

        return as_owner

    def _name(self, uid: int) -> str:
        return "root" if uid == 0 else f"uid {uid}, which owns the queue"
