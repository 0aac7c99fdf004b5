"""
Connections to policy servers: kept, used again, and tried again.

Owns: how many there are, how long they last, what is logged when they fail.
Knows nothing of: what is asked, what an answer means.

Sources: Postfix C{global/attr_clnt.c}, C{util/auto_clnt.c} (retries, lines of the
log); SMTPD_POLICY_README.

Errors: none: what failed in spite of all attempts has no answer.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError, TimeoutError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.interfaces import IPolicyServers
from txmta.smtp.access.policy_request import (
    AnswerReader,
    MissingAction,
    PolicyServer,
    host_and_port,
)

#: Connections to one server, from one process. Requests beyond wait.
MAX_OPEN = 100

#: Failures that are told only after the last attempt.
_USUAL = (0, errno.EPIPE, errno.ENOENT, errno.ECONNRESET)


class Trouble(Exception):
    """
    An attempt has failed.

    @ivar number: an errno, or 0.
    @ivar stale: the connection had been used before, and nothing came.
    """

    def __init__(self, number: int = 0, stale: bool = False) -> None:
        super().__init__(os.strerror(number) if number else "Application error")
        self.number = number
        self.stale = stale


class PolicyConnection(Protocol):
    """
    A connection, on which one request is under way or none.
    """

    transport: Any

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._reader: AnswerReader | None = None
        self._answer: Deferred[str] | None = None
        self._timer: IDelayedCall | None = None
        self._heard = False
        self._spoilt = False
        self._lost = False
        self._requests = 0
        self._end = pool.clock.seconds() + pool.server.max_ttl

    def ask(self, request: bytes) -> Deferred[str]:
        """
        @return: fails with L{Trouble}.
        """
        self._wait(self._pool.server.timeout, self._timed_out)
        self._reader = AnswerReader()
        self._heard = False
        self._requests += 1
        answer: Deferred[str] = Deferred(lambda _: self._forget())
        self._answer = answer
        self.transport.write(request)
        return answer

    def rest(self) -> bool:
        """
        The request is over.

        @return: L{False}: the connection is at its end.
        """
        server = self._pool.server
        left = self._end - self._pool.clock.seconds()
        full = 0 < server.request_limit <= self._requests
        if left <= 0 or full or self._spoilt or self._lost:
            self.close()
            return False
        self._wait(min(left, server.max_idle), self.close)
        return True

    def close(self) -> None:
        """
        Nothing is under way.
        """
        self._stop_timer()
        self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        if self._reader is None:
            # It speaks without being asked: the next answer would be that.
            self.close()
            return
        self._heard = True
        pool = self._pool
        try:
            action = self._reader.feed(data)
        except MissingAction:
            pool.warn(f"missing attribute action in input from {pool.server.where}")
            self._fail(Trouble())
        except ValueError as e:
            pool.warn(f"{pool.server.where}: {e}")
            self._fail(Trouble())
        else:
            if action is not None:
                self._done(action)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        self._stop_timer()
        self._pool.lost(self)
        stale = self._requests > 1 and not self._heard
        self._fail(Trouble(0, stale))

    def _forget(self) -> None:
        """
        Nobody waits for the answer any more.
        """
        self._reader = self._answer = None
        self._stop_timer()
        self.transport.abortConnection()

    def _done(self, action: str) -> None:
        reader, self._reader = self._reader, None
        self._spoilt = reader is not None and reader.more
        answer, self._answer = self._answer, None
        self._stop_timer()
        if answer is not None:
            answer.callback(action)

    def _fail(self, trouble: Trouble) -> None:
        self._reader = None
        answer, self._answer = self._answer, None
        if answer is not None:
            self._stop_timer()
            self.transport.abortConnection()
            answer.errback(trouble)

    def _timed_out(self) -> None:
        where = self._pool.server.where
        if self._heard:
            self._pool.warn(f"timeout on {where} while reading input attribute name")
        self._fail(Trouble(errno.ETIMEDOUT))

    def _wait(self, seconds: float, call: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._pool.clock.callLater(seconds, call)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


class _Pool(Factory):
    """
    All connections to one server.
    """

    noisy = False

    def __init__(
        self,
        server: PolicyServer,
        clock: Any,
        warn: Callable[[str], None],
        connect: Callable[[Factory], Deferred[Any]],
    ) -> None:
        self.server = server
        self.clock = clock
        self.warn = warn
        self._connect = connect
        self._idle: list[PolicyConnection] = []
        self._open = 0
        self._waiting: deque[Deferred[None]] = deque()

    def buildProtocol(self, addr: Any) -> PolicyConnection:
        return PolicyConnection(self)

    def lost(self, connection: PolicyConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        for connection in list(self._idle):
            connection.close()

    async def ask(self, request: bytes) -> str:
        """
        @raise Trouble: it did not work.
        """
        await self._seat()
        try:
            return await self._exchange(request)
        finally:
            self._open -= 1
            if self._waiting:
                self._waiting.popleft().callback(None)

    async def _seat(self) -> None:
        if self._open >= MAX_OPEN:
            turn: Deferred[None] = Deferred()
            self._waiting.append(turn)
            turn.addTimeout(self.server.timeout, self.clock)
            try:
                await turn
            except Exception as e:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                if isinstance(e, CancelledError):
                    raise
                raise Trouble(errno.ETIMEDOUT) from e
        self._open += 1

    async def _exchange(self, request: bytes) -> str:
        while self._idle:
            try:
                return await self._use(self._idle.pop(), request)
            except Trouble as e:
                if not e.stale:
                    raise
        return await self._use(await self._new(), request)

    async def _use(self, connection: PolicyConnection, request: bytes) -> str:
        action = await connection.ask(request)
        if connection.rest():
            self._idle.append(connection)
        return action

    async def _new(self) -> PolicyConnection:
        made = self._connect(self)
        try:
            connection: PolicyConnection = await made
        except TimeoutError as e:
            raise self._no_connection(errno.ETIMEDOUT) from e
        except ConnectError as e:
            number = e.osError if isinstance(e.osError, int) else errno.EIO
            raise self._no_connection(number) from e
        except OSError as e:
            raise self._no_connection(e.errno or errno.EIO) from e
        except CancelledError:
            raise
        except Exception as e:  # a name that leads nowhere, and the like
            self.warn(f"connect to {self.server.where}: {e}")
            raise Trouble(errno.EHOSTUNREACH) from e
        return connection

    def _no_connection(self, number: int) -> Trouble:
        self.warn(f"connect to {self.server.where}: {os.strerror(number)}")
        return Trouble(number)


@implementer(IPolicyServers)
class PolicyServers:
    """
    All servers that this process asks.
    """

    def __init__(
        self, reactor: Any, warn: Callable[[str], None], queue_directory: str
    ) -> None:
        """
        @param queue_directory: where paths of sockets begin.
        """
        self._reactor = reactor
        self._warn = warn
        self._directory = queue_directory
        self._pools: dict[PolicyServer, _Pool] = {}

    def ask(self, server: PolicyServer, request: bytes) -> Deferred[str | None]:
        pool = self._pools.get(server)
        if pool is None:
            connect = self._connector(server)
            pool = _Pool(server, self._reactor, self._warn, connect)
            self._pools[server] = pool
        return Deferred.fromCoroutine(self._ask(pool, request))

    def stop(self) -> None:
        """
        Close what nobody uses.
        """
        for pool in self._pools.values():
            pool.close()

    async def _ask(self, pool: _Pool, request: bytes) -> str | None:
        server = pool.server
        for left in reversed(range(server.try_limit)):
            try:
                return await pool.ask(request)
            except Trouble as e:
                if not left or e.number not in _USUAL:
                    self._warn(f"problem talking to server {server.where}: {e}")
            if left:
                await deferLater(self._reactor, server.retry_delay)
        return None

    def _connector(self, server: PolicyServer) -> Callable[[Factory], Deferred[Any]]:
        if server.kind == "unix":
            path = os.path.join(self._directory, server.where)
            return UNIXClientEndpoint(self._reactor, path, server.timeout).connect
        host, port = host_and_port(server.where)

        def connect(factory: Factory) -> Deferred[Any]:
            number = _port_number(port)
            endpoint = HostnameEndpoint(self._reactor, host, number, server.timeout)
            return endpoint.connect(factory)

        return connect


def _port_number(port: str) -> int:
    if port.isascii() and port.isdigit():
        return int(port)
    import socket

    return socket.getservbyname(port, "tcp")
