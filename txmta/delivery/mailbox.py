"""
What local(8) and virtual(8) have in common.

Owns: the check whose rights a delivery would need, size limits, outcomes.
Knows nothing of: how recipients are found.

Sources: Postfix C{local/maildir.c}, C{virtual/maildir.c}.

Errors: L{MailboxError<txmta.delivery.filesystem.MailboxError>}.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from txmta.delivery.context import AgentContext
from txmta.delivery.copy import Stamp
from txmta.delivery.directories import MaildirPath
from txmta.delivery.filesystem import FileSystem, MailboxError
from txmta.delivery.maildir import MaildirWriter
from txmta.delivery.maildirs import Maildirs
from txmta.delivery.message import Message
from txmta.model import Action, Outcome

#: What stands in the log when a message is in a Maildir.
DELIVERED = "delivered to maildir"

_ACTIONS = {"2": Action.DELIVERED, "4": Action.DELAYED, "5": Action.FAILED}


def outcome(n: int, status: str, reason: str, relay: str) -> Outcome:
    """
    @return: an outcome whose action follows from the status.
    """
    return Outcome(n, _ACTIONS[status[0]], status, reason, relay)


def make_maildirs(context: AgentContext, fs: FileSystem | None = None) -> Maildirs:
    """
    @param fs: for tests.
    """
    settings = context.settings
    writer = MaildirWriter(
        settings.system.hostname,
        context.now,
        settings.strict_mailbox_ownership,
        fs,
    )
    return Maildirs(writer, context.in_thread, context.clock)


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


class Mailboxes:
    """
    Delivers to Maildirs that are ours to write.
    """

    def __init__(
        self,
        maildirs: Maildirs,
        limit: int,
        identity: Callable[[], Identity] = Identity.current,
    ) -> None:
        """
        @param limit: mailbox_size_limit or virtual_mailbox_limit; 0 for none.
        """
        self._maildirs = maildirs
        self._limit = limit
        self._identity = identity

    def check_owner(self, uid: int, whose: str, remedy: str) -> None:
        """
        One process has one user's rights.

        @param whose: the mailbox, for the reason.
        @raise MailboxError: we cannot become C{uid}.
        """
        ours = self._identity().uid
        if uid != ours:
            raise MailboxError(
                "4.3.5",
                f"{whose} belongs to uid {uid}, but txmta runs as uid {ours} "
                f"in one process: {remedy}",
            )

    def check_group(self, gid: int, whose: str, remedy: str) -> None:
        """
        See L{check_owner}.
        """
        if gid not in self._identity().groups:
            raise MailboxError(
                "4.3.5",
                f"{whose} belongs to gid {gid}, but txmta is not in that group: "
                f"{remedy}",
            )

    async def deliver(self, message: Message, path: MaildirPath, stamp: Stamp) -> None:
        """
        The message is safe on disk when this returns.

        @raise MailboxError: it is not there.
        """
        if self._limit and message.size > self._limit:
            raise MailboxError(
                "5.2.2",
                "maildir delivery failed: error writing message: File too large",
            )
        await message.deliver(self._maildirs, path, stamp)
