"""
The message of one delivery request, as mailbox delivery needs it.

Owns: reading content; whether it is small enough to be held in memory.
Knows nothing of: mailboxes.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>} and
L{MessageDamaged<txmta.errors.MessageDamaged>} pass through.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from txmta.delivery.blocks import read_block
from txmta.delivery.copy import Stamp, delivered_to, to_lines
from txmta.delivery.directories import MaildirPath
from txmta.delivery.maildirs import Maildirs
from txmta.interfaces import IContent
from txmta.model import DeliveryRequest

#: Octets of content that are written in one go; as the queue store keeps them
#: in memory.
SMALL = 64 * 1024

#: Octets in which the end of the headers is looked for. Enough for a thousand
#: Delivered-To lines and Postfix's header_size_limit ten times over.
MAX_HEAD = 1 << 20


class Message:
    """
    @ivar content: in wire form.
    @ivar lines: the whole content with LF, if it is small; else L{None}, and
        C{content} is to be read block by block (L{LineEnds
        <txmta.delivery.copy.LineEnds>}).
    @ivar size: octets of C{content}.
    @ivar joins: see L{DeliveryRequest<txmta.model.DeliveryRequest>}; for a
        request of one recipient.
    @ivar delivered: what L{delivered_to} found.
    """

    def __init__(self, content: IContent, head: bytes) -> None:
        """
        @param head: the start of the content, or all of it.
        """
        self.content = content
        self.lines = to_lines(head) if content.size <= SMALL else None
        self.size = content.size
        self.delivered = delivered_to(head)
        self.joins: Callable[[], None] = lambda: None

    @classmethod
    async def open(cls, request: DeliveryRequest) -> Message:
        """
        Must be closed.
        """
        content = request.open_content()
        if isinstance(content, Deferred):
            content = await content
        try:
            message = cls(content, await _read_head(content))
        except BaseException:
            content.close()
            raise
        if len(request.recipients) == 1:
            message.joins = request.joins
        return message

    async def deliver(self, maildirs: Maildirs, path: MaildirPath, s: Stamp) -> None:
        """
        @raise MailboxError: why it is not there.
        """
        if self.lines is not None:
            await maildirs.put(path, s.encode() + self.lines, self.joins)
        else:
            await maildirs.stream(path, s.encode(), self.content)

    def close(self) -> None:
        """
        Give back what reading holds.
        """
        self.content.close()


async def _read_head(content: IContent) -> bytes:
    head = b""
    while len(head) < min(content.size, MAX_HEAD):
        head += await read_block(content, len(head), SMALL)
        if b"\r\n\r\n" in head:
            break
    return head
