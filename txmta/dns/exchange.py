"""
Ask the name servers one question, once.

Owns: sockets, time-outs, the order of servers, TCP after truncation, giving
    up EDNS where a server does not know it.
Knows nothing of: caches, what an answer says.

Each try has a socket of its own, hence a random source port, and a random id;
the socket is connected, so that the kernel drops what others send and tells
of a port that nobody listens to.

Sources: RFC 1035 section 4.2; RFC 5452 (what makes an answer ours); RFC 7766
(TCP); RFC 6891 section 7 (servers without EDNS).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IConnector,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
    IUDPTransport,
)
from twisted.internet.protocol import (
    ClientFactory,
    DatagramProtocol,
    connectionDone,
)
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from txmta.dns.messages import (
    FORMERR,
    HEADER,
    NOTIMP,
    TRUNCATED,
    BadMessage,
    Question,
    belongs,
    parse,
)
from txmta.dns.resolv_conf import Servers
from txmta.errors import ResolverUnavailable
from txmta.model import Answer

#: Octets of a datagram that are read: more than what we say we can take.
MAX_DATAGRAM = 4096

#: Datagrams to one socket that are not the answer, after which somebody is
#: guessing and we ask over TCP (RFC 5452 section 9.2).
MAX_STRANGE = 20


class NoAnswer(Exception):
    """
    A server did not answer this time.
    """


@dataclass(frozen=True)
class Network:
    """
    @ivar clock: monotonic.
    @ivar port: where name servers listen; tests have another.
    """

    udp: IReactorUDP
    tcp: IReactorTCP
    clock: IReactorTime
    port: int = 53


class _Wait:
    """
    A Deferred that fires once, at the latest when the time is over.
    """

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self.deferred: Deferred[bytes] = Deferred()
        self._timer = clock.callLater(seconds, self.fail, "timed out")
        self._over = False

    def succeed(self, data: bytes) -> None:
        if self._end():
            self.deferred.callback(data)

    def fail(self, reason: str) -> None:
        if self._end():
            self.deferred.errback(Failure(NoAnswer(reason)))

    def _end(self) -> bool:
        if self._over:
            return False
        self._over = True
        if self._timer.active():
            self._timer.cancel()
        return True


class _Datagrams(DatagramProtocol):
    noisy = False

    def __init__(self, server: tuple[str, int], query: bytes, wait: _Wait) -> None:
        self._server = server
        self._query = query
        self._wait = wait
        self._strange = 0

    def send(self) -> None:
        transport = cast(IUDPTransport, self.transport)
        transport.connect(*self._server)
        transport.write(self._query, None)

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if addr[:2] == self._server and belongs(datagram, self._query):
            self._wait.succeed(datagram)
            return
        self._strange += 1
        if self._strange == MAX_STRANGE:
            # As if it said so itself: TC, and nothing else of interest.
            query_id = HEADER.unpack_from(self._query)[0]
            self._wait.succeed(HEADER.pack(query_id, TRUNCATED, 0, 0, 0, 0))

    def connectionRefused(self) -> None:
        self._wait.fail("connection refused")

    def stopProtocol(self) -> None:
        # How the epoll reactor tells of a port that nobody listens to.
        self._wait.fail("connection refused")


class _Stream(Int16StringReceiver):
    factory: _StreamFactory

    def connectionMade(self) -> None:
        self.sendString(self.factory.query)

    def stringReceived(self, string: bytes) -> None:
        if belongs(string, self.factory.query):
            self.factory.wait.succeed(string)
        else:
            self.factory.wait.fail("not the answer")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.wait.fail("connection lost")


class _StreamFactory(ClientFactory):
    noisy = False
    protocol = _Stream  # type: ignore[assignment]

    def __init__(self, query: bytes, wait: _Wait) -> None:
        self.query = query
        self.wait = wait

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.wait.fail(reason.getErrorMessage())


class Exchange:
    """
    One question, put to the servers until one knows the answer.
    """

    def __init__(
        self, network: Network, servers: Servers, question: Question, until: float
    ) -> None:
        """
        @param until: monotonic; nothing is tried after that.
        """
        self._network = network
        self._servers = servers
        self._question = question
        self._until = until
        self.answered = ""

    async def run(self, order: tuple[str, ...]) -> Answer:
        """
        @param order: the servers' addresses; C{answered} says later which one
            knew the answer.
        @raise ResolverUnavailable: nobody answered, or nothing of use.
        @raise AliasElsewhere: as L{parse}.
        """
        reason = "no server"
        for address in order * self._servers.attempts:
            if self._left() <= 0:
                break
            try:
                answer = await self._ask(address)
            except (NoAnswer, BadMessage) as e:
                reason = f"{address}: {e}"
                continue
            self.answered = address
            return answer
        question = self._question
        raise ResolverUnavailable(
            question.name, question.kind, f"Host not found, try again ({reason})"
        )

    def _left(self) -> float:
        left = self._until - self._network.clock.seconds()
        return min(left, self._servers.timeout)

    async def _ask(self, address: str) -> Answer:
        data = await self._exchange(address, edns=True)
        if HEADER.unpack_from(data)[1] & 15 in (FORMERR, NOTIMP):
            data = await self._exchange(address, edns=False)
        return parse(data, self._question, self._servers.trusts(address))

    async def _exchange(self, address: str, edns: bool) -> bytes:
        query = self._question.encode(secrets.randbelow(0x10000), edns)
        data = await self._datagram(address, query)
        if HEADER.unpack_from(data)[1] & TRUNCATED:
            data = await self._stream(address, query)
        return data

    async def _datagram(self, address: str, query: bytes) -> bytes:
        network = self._network
        wait = _Wait(network.clock, max(0.0, self._left()))
        protocol = _Datagrams((address, network.port), query, wait)
        interface = "::" if ":" in address else ""
        port = None
        try:
            # Port 0: the kernel picks a random one.
            port = network.udp.listenUDP(0, protocol, interface, MAX_DATAGRAM)
            protocol.send()
            return await wait.deferred
        except (CannotListenError, OSError) as e:
            wait.deferred.addErrback(lambda _: None)
            wait.fail("cannot send")
            raise NoAnswer(f"cannot send: {e}") from e
        finally:
            if port is not None:
                port.stopListening()

    async def _stream(self, address: str, query: bytes) -> bytes:
        network = self._network
        left = max(0.0, self._left())
        wait = _Wait(network.clock, left)
        factory = _StreamFactory(query, wait)
        connector = network.tcp.connectTCP(
            address, network.port, cast(Any, factory), left, None
        )
        try:
            return await wait.deferred
        finally:
            connector.disconnect()
