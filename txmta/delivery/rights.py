"""
With whose rights a delivery agent reads, writes and runs what belongs to users.

Owns: the question whether an agent can have a user's rights; the answer of a
    server in one process, which has those of its own account and no others.
Knows nothing of: mailboxes, .forward files; how root becomes somebody
    (L{txmta.delivery.power}).

Errors: L{MailboxError<txmta.delivery.filesystem.MailboxError>}.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from txmta.delivery.filesystem import MailboxError

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Owner:
    """
    Whose rights some work is done with: this user's, in this group only.
    """

    uid: int
    gid: int


class Rights(Protocol):
    """
    What the process can be.

    @ivar powerful: it has the rights of root, and can be anybody but a few.
    """

    powerful: bool

    def has(self, uid: int) -> bool:
        """
        @return: whether files of this user can be read and written as the
            user himself.
        """

    def is_replaced(self, uid: int) -> bool:
        """
        @return: whether default_privs stands in for this user where commands
            are run and files written.
        """

    def refusal(self, uid: int) -> str:
        """
        @param uid: one that we do not L{have<has>}.
        @return: why, C{"whose rights ..."}, and what to do, for a reason.
        """

    def check(self, uid: int, what: str, remedy: str) -> None:
        """
        @param what: would need this user's rights, C{"mailbox of amy belongs
            to uid 1000"}.
        @param remedy: for a server that has one account's rights.
        @raise MailboxError: we cannot have them.
        """

    def check_group(self, gid: int, what: str, remedy: str) -> None:
        """
        As L{check}, for a group.
        """

    def group_for(self, directory: str, gid: int) -> int:
        """
        @param directory: where mailboxes are.
        @param gid: the user's.
        @return: the group with whose rights a mailbox is written there.
        """

    def doing(self, owner: Owner | None, work: Callable[P, T]) -> Callable[P, T]:
        """
        @param owner: L{None}: as we are.
        @return: C{work}, to be done with these rights.
        """


@dataclass(frozen=True, slots=True)
class Identity:
    """
    Whose rights this process has.
    """

    uid: int
    groups: frozenset[int]

    @classmethod
    def current(cls) -> Identity:
        """
        Asked anew for each delivery: txmta starts as root and does not stay it.
        """
        return cls(os.geteuid(), frozenset((os.getegid(), *os.getgroups())))


class OwnAccount:
    """
    One process has one user's rights. A L{Rights}.
    """

    powerful = False

    def __init__(self, identity: Callable[[], Identity] = Identity.current) -> None:
        self._identity = identity

    def has(self, uid: int) -> bool:
        return uid == self._identity().uid

    def is_replaced(self, uid: int) -> bool:
        return uid == 0

    def refusal(self, uid: int) -> str:
        return "whose rights txmta does not have in one process: run it as that user"

    def check(self, uid: int, what: str, remedy: str) -> None:
        ours = self._identity().uid
        if uid != ours:
            raise MailboxError(
                "4.3.5",
                f"{what}, but txmta runs as uid {ours} in one process: {remedy}",
            )

    def check_group(self, gid: int, what: str, remedy: str) -> None:
        if gid not in self._identity().groups:
            raise MailboxError(
                "4.3.5", f"{what}, but txmta is not in that group: {remedy}"
            )

    def group_for(self, directory: str, gid: int) -> int:
        return gid

    def doing(self, owner: Owner | None, work: Callable[P, T]) -> Callable[P, T]:
        return work
