"""
Content on its way to cleanup.

Owns: the last question, and what becomes of a message that is to be dropped.
Knows nothing of: what is asked, what cleanup does.

Sources: Postfix C{smtpd/smtpd.c} (receive_data_message).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.interfaces import ICleanupMessage, ITxmtaMessage
from txmta.model import Envelope, Reply

#: What is to be done with a whole message: a refusal, or a new envelope, or
#: nothing.
Last = Reply | Envelope | None


@implementer(ITxmtaMessage)
class Message:
    """
    Content on its way to cleanup.
    """

    __slots__ = ("_message", "chunkReceived", "connectionLost", "eomReceived")

    def __init__(self, message: ICleanupMessage) -> None:
        self._message = message
        # The same calls under the names of twisted.mail, without a call more.
        self.chunkReceived = message.write
        self.eomReceived = message.finish
        self.connectionLost = message.abort

    def lineReceived(self, line: bytes) -> None:
        self._message.write(line + b"\r\n")


@implementer(ITxmtaMessage)
class AskedMessage:
    """
    Content that something is asked about when it is complete.
    """

    def __init__(
        self, message: ICleanupMessage, last: Callable[[int], Last | Deferred[Last]]
    ) -> None:
        """
        @param last: given the size, says what is to be done.
        """
        self._message = message
        self._last = last
        self._size = 0
        self.connectionLost = message.abort

    def chunkReceived(self, block: bytes) -> None:
        self._size += len(block)
        self._message.write(block)

    def lineReceived(self, line: bytes) -> None:
        self.chunkReceived(line + b"\r\n")

    def eomReceived(self) -> Reply | Deferred[Reply]:
        found = self._last(self._size)
        if isinstance(found, Deferred):
            return found.addCallbacks(self._end, self._failed)
        return self._end(found)

    def _end(self, found: Last) -> Reply | Deferred[Reply]:
        if isinstance(found, Reply):
            self._message.abort()
            return found
        if found is not None:
            self._message.amend(found)
        return self._message.finish()

    def _failed(self, failure: Any) -> Any:
        self._message.abort()
        return failure


@implementer(ITxmtaMessage)
class Dropped:
    """
    Content that nobody wants.
    """

    def __init__(self, queue_id: str) -> None:
        self._reply = Reply(250, "2.0.0", f"Ok: queued as {queue_id}")

    def chunkReceived(self, block: bytes) -> None:
        pass

    def lineReceived(self, line: bytes) -> None:
        pass

    def eomReceived(self) -> Reply:
        return self._reply

    def connectionLost(self) -> None:
        pass
