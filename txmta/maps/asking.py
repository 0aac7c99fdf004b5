"""
Ask a server over connections of our own: tcp, socketmap, memcache.

Owns: connections, how many and how long; how long an answer may take; what
    happens to a question whose connection breaks.
Knows nothing of: what is said on a connection (L{Codec}), where the server is.

A connection carries one question at a time. What is not answered in time, or
in another way than the protocol has, is "cannot say", never "not found"; and
as nobody knows what the server would say next, the connection is given up.

Sources: Postfix's C{util/dict_tcp.c}, C{util/dict_sockmap.c},
C{util/auto_clnt.c}.

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>}.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocolFactory,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.maps.wire import LIMIT, MAX_REASON, Answer, Codec, Reader

#: Connections to a server.
MOST_CONNECTIONS = 4

#: Questions that wait for a connection.
MOST_WAITING = 1000

#: Seconds for which a connection that nobody uses stays open.
IDLE = 10.0

#: Seconds for which nobody tries again after a connection failed.
REST = 1.0


class _Question:
    def __init__(
        self, spec: str, request: bytes, clock: IReactorTime, limit: float
    ) -> None:
        self._spec = spec
        self.request = request
        self.retried = False
        self.waits = True
        self.answer: Deferred[str | None] = Deferred(lambda _: self._over())
        self.connection: _Connection | None = None
        self._timer: IDelayedCall = clock.callLater(
            limit, self.fail, f"no answer for {limit:.0f} seconds"
        )

    def end(self, answer: Answer) -> None:
        if answer.trouble:
            self.fail(answer.trouble)
        elif self.waits:
            self._over()
            self.answer.callback(answer.value)

    def fail(self, reason: str) -> None:
        if self.waits:
            self._over()
            self.answer.errback(TableUnavailable(self._spec, reason[:MAX_REASON]))

    def _over(self) -> None:
        self.waits = False
        if self._timer.active():
            self._timer.cancel()
        connection, self.connection = self.connection, None
        if connection is not None and connection.question is self:
            # An answer may still come: it must not be taken for the next one.
            connection.give_up()


class _Connection(Protocol):
    def __init__(self, table: NetworkTable) -> None:
        self._table = table
        self._reader: Reader | None = None
        self._idle: IDelayedCall | None = None
        self.answered = 0
        self.question: _Question | None = None

    def connectionMade(self) -> None:
        self._table.connected(self)

    def ask(self, question: _Question) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        codec = self._table.codec
        first = not self.answered
        self.question, question.connection = question, self
        self._reader = codec.reader(first)
        hello = codec.hello if first else b""
        cast(ITCPTransport, self.transport).write(hello + question.request)

    def dataReceived(self, data: bytes) -> None:
        if self._reader is None:
            self.give_up()  # nobody asked
            return
        try:
            answer = self._reader.feed(data)
        except ValueError as e:
            self._failed(f"bad answer: {e}")
            return
        if answer is None:
            return
        question, self.question, self._reader = self.question, None, None
        self.answered += 1
        self._table.free(self)
        if question is not None:
            question.end(answer)

    def rest(self, clock: IReactorTime) -> None:
        self._idle = clock.callLater(IDLE, self.give_up)

    def _failed(self, reason: str) -> None:
        question, self.question = self.question, None
        self.give_up()
        if question is not None:
            question.fail(reason)

    def give_up(self) -> None:
        self._reader = None
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self._table.gone(self)
        cast(ITCPTransport, self.transport).abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        question, self.question = self.question, None
        self._table.gone(self)
        if question is None or not question.waits:
            return
        question.connection = None
        if self.answered and not question.retried:
            # The server had closed it while nobody asked.
            question.retried = True
            self._table.again(question)
        else:
            question.fail(f"connection lost: {reason.getErrorMessage()}")


@implementer(ITable)
class NetworkTable:
    """
    Never blocks.
    """

    def __init__(
        self,
        spec: str,
        codec: Codec,
        connect: Callable[[IProtocolFactory], Deferred[Any]],
        clock: IReactorTime,
        limit: float = LIMIT,
    ) -> None:
        """
        @param limit: seconds for a question.
        """
        self.codec = codec
        self._limit = limit
        self._spec = spec
        self._connect = connect
        self._clock = clock
        self._connections: set[_Connection] = set()
        self._connecting = 0
        self._free: list[_Connection] = []
        self._waiting: deque[_Question] = deque()
        self._trouble = ""
        self._try_at = 0.0

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        try:
            request = self.codec.request(key)
        except ValueError as e:
            raise TableUnavailable(self._spec, str(e)) from e
        if request is None:
            return None
        if self._trouble and self._clock.seconds() < self._try_at:
            raise TableUnavailable(self._spec, self._trouble)
        if len(self._waiting) >= MOST_WAITING:
            raise TableUnavailable(self._spec, "too many questions are open")
        question = _Question(self._spec, request, self._clock, self._limit)
        self._waiting.append(question)
        self._go_on()
        return question.answer

    def again(self, question: _Question) -> None:
        """
        It has lost its connection.
        """
        self._waiting.appendleft(question)
        self._go_on()

    def connected(self, connection: _Connection) -> None:
        self._connecting -= 1
        self._trouble = ""
        self._connections.add(connection)
        self.free(connection)

    def free(self, connection: _Connection) -> None:
        """
        It can take a question.
        """
        self._free.append(connection)
        connection.rest(self._clock)
        self._go_on()

    def gone(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            if connection in self._free:
                self._free.remove(connection)
            self._go_on()

    def _go_on(self) -> None:
        while self._waiting and not self._waiting[0].waits:
            self._waiting.popleft()
        while self._waiting and self._free:
            question = self._waiting.popleft()
            if question.waits:
                self._free.pop().ask(question)
        wanted = min(len(self._waiting), MOST_CONNECTIONS - len(self._connections))
        for _ in range(wanted - self._connecting):
            self._connecting += 1
            factory = Factory.forProtocol(lambda: _Connection(self))
            factory.noisy = False
            self._connect(factory).addErrback(self._refused)

    def _refused(self, failure: Failure) -> None:
        self._connecting -= 1
        self._trouble = f"cannot connect: {failure.getErrorMessage()}"
        self._try_at = self._clock.seconds() + REST
        if self._connections:
            return  # they go on
        questions, self._waiting = self._waiting, deque()
        for question in questions:
            question.fail(self._trouble)
