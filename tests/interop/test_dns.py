"""
The resolver over real sockets, with a name server on loopback.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable
from typing import Any, cast
from unittest import SkipTest

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver
from twisted.trial.unittest import TestCase

from tests.dns.doubles import record, reply
from txmta.dns.client_names import ClientNames
from txmta.dns.exchange import Network
from txmta.dns.resolver import Resolver
from txmta.dns.udp import QuietUDP
from txmta.errors import ResolverUnavailable
from txmta.model import Answer, Mx

reactor: Any = _reactor

#: For 16 buckets (15 degrees of freedom): chance exceeds it once in a million.
CHI_SQUARE_LIMIT = 57.0

LONG = [b"x" * 250] * 12


def answer(query: bytes) -> bytes:
    """
    A zone with a few names; all that begin with C{h} have an address.
    """
    message = dns.Message()
    message.fromStr(query)
    (question,) = message.queries
    name = question.name.name.decode()
    if name == "broken.test":
        return reply(query, rCode=2)
    if question.type == dns.MX and name == "mail.test":
        return reply(query, (record(name, dns.Record_MX(10, "mx.mail.test")),))
    if question.type == dns.TXT:
        return reply(query, (record(name, dns.Record_TXT(*LONG)),))
    if question.type == dns.A and name.startswith("h"):
        return reply(query, (record(name, dns.Record_A("192.0.2.1")),))
    if question.type == dns.PTR:
        return reply(query, (record(name, dns.Record_PTR("host.test")),))
    return reply(query, rCode=3)


def sockets() -> list[str]:
    """
    @return: those that this process has open.
    """
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return sorted(name for name in found if name.startswith("socket:"))


class UdpServer(DatagramProtocol):
    def __init__(self) -> None:
        self.queries: list[tuple[bytes, int]] = []

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self.queries.append((datagram, addr[1]))
        data = answer(datagram)
        if len(data) > 1232:
            data = reply(datagram, trunc=1)
        assert self.transport is not None
        self.transport.write(data, addr)


class TcpServer(Int16StringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.sendString(answer(string))


class DNSTests(TestCase):
    def setUp(self) -> None:
        self.server = UdpServer()
        port = self.listen()
        self.path = self.mktemp()
        self.write_conf("nameserver 127.0.0.1\n")
        self.network = Network(QuietUDP(reactor), reactor, reactor, port)
        self.resolver = Resolver(self.network, self.path)

    def listen(self) -> int:
        """
        @return: a port that is free for both protocols.
        """
        while True:
            tcp = reactor.listenTCP(0, Factory.forProtocol(TcpServer), 50, "127.0.0.1")
            port: int = tcp.getHost().port
            self.addCleanup(tcp.stopListening)
            try:
                udp = reactor.listenUDP(port, self.server, "127.0.0.1")
            except CannotListenError:
                continue
            self.addCleanup(udp.stopListening)
            return port

    def write_conf(self, text: str) -> None:
        with open(self.path, "w") as f:
            f.write(text)

    async def look_up(self, name: str, kind: str) -> Answer:
        found = self.resolver.lookup(name, kind)
        return await found if isinstance(found, Deferred) else found

    async def test_answers(self) -> None:
        found = await self.look_up("mail.test", "MX")
        self.assertEqual(found.records, (Mx(10, "mx.mail.test"),))
        self.assertFalse((await self.look_up("nowhere.test", "A")).exists)

    async def test_tcp(self) -> None:
        """
        What does not fit into a datagram is asked for again over TCP.
        """
        found = await self.look_up("long.test", "TXT")
        self.assertEqual(found.records, ("x" * 3000,))

    async def test_dead_server(self) -> None:
        """
        A port that nobody listens to is known at once.
        """
        self.write_conf("nameserver 127.0.0.2\nnameserver 127.0.0.1\n")
        start = reactor.seconds()
        found = await self.look_up("host.test", "A")
        self.assertEqual(found.records, ("192.0.2.1",))
        self.assertLess(reactor.seconds() - start, 4)

    async def test_ipv6(self) -> None:
        try:
            udp = reactor.listenUDP(self.network.port, UdpServer(), "::1")
        except CannotListenError as e:
            raise SkipTest("no IPv6 on loopback") from e
        self.addCleanup(udp.stopListening)
        self.write_conf("nameserver ::1\n")
        found = await self.look_up("host.test", "A")
        self.assertEqual(found.records, ("192.0.2.1",))

    async def test_failure(self) -> None:
        with self.assertRaises(ResolverUnavailable):
            await self.look_up("broken.test", "A")

    async def test_client_names(self) -> None:
        hosts = self.mktemp()
        names = ClientNames(self.resolver, reactor, hosts)
        found = names.name("192.0.2.1")
        assert isinstance(found, Deferred)
        self.assertEqual(await found, ("host.test", "host.test", 2, 2))
        found = names.name("192.0.2.2")
        assert isinstance(found, Deferred)
        self.assertEqual(await found, ("unknown", "host.test", 6, 2))

    async def test_random(self) -> None:
        """
        RFC 5452 section 4: source ports and ids cannot be guessed.
        """
        for start in range(0, 4000, 100):
            waiting = [
                self.look_up(f"h{n}.test", "A") for n in range(start, start + 100)
            ]
            for each in [Deferred.fromCoroutine(w) for w in waiting]:
                await each
        self.assertEqual(len(self.server.queries), 4000)
        ports = [port for _, port in self.server.queries]
        ids = [int.from_bytes(query[:2], "big") for query, _ in self.server.queries]
        for shift in (0, 4, 8, 12):
            self.even(number >> shift & 15 for number in ids)
        for shift in (0, 4):
            self.even(number >> shift & 15 for number in ports)
        self.assertGreater(len(set(ports)), 2500)

    def even(self, numbers: Iterable[int]) -> None:
        counts = Counter(numbers)
        expected = counts.total() / 16
        chi_square = sum((counts[n] - expected) ** 2 / expected for n in range(16))
        self.assertLess(chi_square, CHI_SQUARE_LIMIT)

    async def test_quiet(self) -> None:
        """
        A question leaves no line in Twisted's log, and no socket.
        """
        events: list[LogEvent] = []
        observer = cast(ILogObserver, events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        before = sockets()
        for name in ("host.test", "mail.test"):
            await self.look_up(name, "A")
        with self.assertRaises(ResolverUnavailable):
            await self.look_up("broken.test", "A")
        self.assertEqual([formatEvent(e) for e in events], [])
        self.assertEqual(sockets(), before)
