"""
Octets on their way out and in, a few at a time.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from txmta.errors import StoreUnavailable
from txmta.interfaces import IContent

#: Octets of a message that are in memory at once.
BLOCK = 64 * 1024

#: Octets of an answer that are kept, and that are read.
KEPT, READ = 1000, 64 * 1024


@implementer(IBodyProducer)
class MessageBody:
    """
    The content of a message, for one try.

    @ivar trouble: why the content could not be read, or L{None}. The error of
        the queue's store, which is to be passed on as it is.
    """

    def __init__(self, content: IContent) -> None:
        self.length = content.size
        self.trouble: Failure | None = None
        self._content = content
        self._stopped = False
        self._paused: Deferred[None] | None = None

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        copying = Deferred.fromCoroutine(self._copy(consumer))

        def ended(result: Failure | None) -> None:
            if isinstance(result, Failure):
                self.trouble = result
            if not self._stopped:  # else nobody wants to know
                done.callback(result)

        copying.addBoth(ended)
        return done

    def pauseProducing(self) -> None:
        if self._paused is None:
            self._paused = Deferred()

    def resumeProducing(self) -> None:
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.callback(None)

    def stopProducing(self) -> None:
        self._stopped = True
        self.resumeProducing()

    async def _copy(self, consumer: IConsumer) -> None:
        offset = 0
        while offset < self.length:
            block = self._content.read(offset, BLOCK)
            if isinstance(block, Deferred):
                block = await block
            if not block:
                raise StoreUnavailable("content is shorter than it should be")
            while self._paused is not None:
                await self._paused
            if self._stopped:
                return
            consumer.write(block)
            offset += len(block)


class Start(Protocol):
    """
    Keeps the start of an answer.

    @ivar done: fires with it, whatever becomes of the rest.
    """

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred()
        self.text = b""
        self._read = 0

    def dataReceived(self, data: bytes) -> None:
        self.text = (self.text + data)[:KEPT]
        self._read += len(data)
        if self._read > READ and self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.done.called:
            self.done.callback(self.text)
