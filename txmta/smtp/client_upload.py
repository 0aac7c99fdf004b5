"""
Send the content of a large message, no faster than the server takes it.

Owns: reading block by block, and that nothing but a whole message ends with
    a dot.
Knows nothing of: replies, timers, small messages.

Sources: twisted.internet.interfaces.IPullProducer.

Errors: what C{IContent.read} fails with is given to C{failed}.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.errors import StoreUnavailable
from txmta.interfaces import IContent
from txmta.smtp.downgrade import Downgrade
from txmta.smtp.stuffing import Stuffer

#: Octets read from the store and given to the network at a time.
BLOCK = 65536


@dataclass(slots=True)
class Body:
    """
    What is sent between 354 and the dot.

    @ivar whole: all of it, if it is small and at hand.
    @ivar broken: lines over the limit were broken when it was sent.
    """

    content: IContent
    whole: bytes | None = None
    broken: bool = False


class IUploading(Protocol):
    """
    Whose content it is.
    """

    def moved(self) -> None:
        """
        The server has taken a block.
        """

    def uploaded(self) -> None:
        """
        The server has taken everything, the final dot too.
        """

    def upload_failed(self, failure: Failure) -> None:
        """
        The content cannot be read; nothing more is sent.
        """


@implementer(IPullProducer)
class Upload:
    """
    One message on its way out.
    """

    def __init__(
        self,
        body: Body,
        stuffer: Stuffer | Downgrade,
        write: Callable[[bytes], object],
        owner: IUploading,
        twin: socket.socket | None = None,
    ) -> None:
        """
        @param twin: a duplicate of the socket that C{write} leads to; closed
            with the upload.
        """
        self._twin = twin
        self._body = body
        self._content = body.content
        self._stuffer = stuffer
        self._write = write
        self._owner = owner
        self._offset = 0
        self._busy = False  # a block is being read
        self._dotted = False
        self._stopped = False

    def resumeProducing(self) -> None:
        """
        All that was written has left.
        """
        if self._stopped or self._busy:
            return
        if self._dotted:
            self._stopped = True
            self._owner.uploaded()
            return
        self._owner.moved()
        self._busy = True
        try:
            octets = b""
            while not octets:  # a block may end in what is held back
                block = self._content.read(self._offset, BLOCK)
                if isinstance(block, Deferred):
                    block.addCallback(self._got).addErrback(self._failed)
                    return
                octets = self._ready(block)
            self._busy = False
            self._write(octets)
        except Exception:
            self._failed(Failure())

    def stopProducing(self) -> None:
        """
        The connection is gone, or of no use.
        """
        self._stopped = True
        if self._twin is not None:
            self._twin.close()
            self._twin = None

    def last_words(self) -> bytes:
        """
        A server that does not want the rest says so and hangs up, often with
        octets unread; then a write fails, after which Twisted does not read.

        @return: what it had said.
        """
        with contextlib.suppress(OSError):
            return b"" if self._twin is None else self._twin.recv(4096)
        return b""

    def _got(self, block: bytes) -> None:
        if self._stopped:
            return
        octets = self._ready(block)
        self._busy = False
        if octets:
            self._write(octets)
        else:
            self.resumeProducing()

    def _ready(self, block: bytes) -> bytes:
        if not block and self._offset < self._content.size:
            # Half a message must never get its dot.
            raise StoreUnavailable("content ends too early")
        self._offset += len(block)
        octets = self._stuffer.feed(block)
        self._body.broken |= self._stuffer.broken
        if self._offset >= self._content.size:
            octets += self._stuffer.finish()
            self._dotted = True
        return octets

    def _failed(self, failure: Failure) -> None:
        if not self._stopped:
            self._stopped = True
            self._owner.upload_failed(failure)


@implementer(IPullProducer)
class Drain:
    """
    Watches for the moment when all that was written has left.
    """

    def __init__(self, drained: Callable[[], None]) -> None:
        self._drained = drained

    def resumeProducing(self) -> None:
        """
        It has.
        """
        self._drained()

    def stopProducing(self) -> None:
        """
        It never will.
        """
