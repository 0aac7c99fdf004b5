"""
What local(8) and virtual(8) have in common.

Owns: size limits, outcomes.
Knows nothing of: how recipients are found.

Sources: Postfix C{local/maildir.c}, C{virtual/maildir.c}.

Errors: L{MailboxError<txmta.delivery.filesystem.MailboxError>}.
"""

from __future__ import annotations

from txmta.delivery.context import AgentContext
from txmta.delivery.copy import Stamp
from txmta.delivery.directories import MaildirPath
from txmta.delivery.filesystem import FileSystem, MailboxError
from txmta.delivery.maildir import MaildirWriter
from txmta.delivery.maildirs import Maildirs
from txmta.delivery.message import Message
from txmta.delivery.stages import Together
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
    rights, together = context.rights, None
    if context.one_thread:
        together = Together(context.in_thread, rights, writer.fs.fsync_all)
    return Maildirs(writer, context.in_thread, context.clock, rights, together)


class Mailboxes:
    """
    Delivers to Maildirs that are ours to write.
    """

    def __init__(self, maildirs: Maildirs, limit: int) -> None:
        """
        @param limit: mailbox_size_limit or virtual_mailbox_limit; 0 for none.
        """
        self._maildirs = maildirs
        self._limit = limit

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
