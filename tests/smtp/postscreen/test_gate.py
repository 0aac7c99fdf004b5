"""
Connections before the screen, what is asked about them, and what is remembered.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.smtp.server.support import Listed, Sink
from txmta.config.settings import Settings
from txmta.errors import ResolverUnavailable, TableUnavailable
from txmta.interfaces import IResolver, ITable
from txmta.model import Answer
from txmta.smtp.access.dns_lists import read_site
from txmta.smtp.postscreen import cache
from txmta.smtp.postscreen.cache import ScreenCache
from txmta.smtp.postscreen.gate import MAX_EARLY, Gate, Surroundings
from txmta.smtp.postscreen.lists import Lists
from txmta.smtp.postscreen.results import NEW
from txmta.smtp.postscreen.rules import ScreenRules


@implementer(IResolver)
class Names:
    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def lookup(self, name: str, kind: str) -> Answer | Deferred[Answer]:
        self.asked.append(name)
        answer = self.answers.get(name.split(".")[-2], Answer((), exists=False, ttl=7))
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]


@implementer(ITable)
class Table:
    def __init__(self, **values: str) -> None:
        self.values = {name.replace("_", "."): v for name, v in values.items()}
        self.broken = False

    def lookup(self, key: str) -> str | None:
        if self.broken:
            raise TableUnavailable("hash:/x", "broken")
        return self.values.get(key)


class Transport(StringTransport):
    protocol: Any

    def abortConnection(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        if not self.disconnecting:
            super().loseConnection()
            self.protocol.connectionLost(Failure(connectionDone.value))


class Served(Protocol):
    """
    smtpd.
    """

    def __init__(self) -> None:
        self.heard = b""

    def dataReceived(self, data: bytes) -> None:
        self.heard += data


class Smtpd:
    def __init__(self) -> None:
        self.made: list[Served] = []

    def buildProtocol(self, addr: Any) -> Served:
        self.made.append(Served())
        return self.made[-1]


class GateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.sink = Sink()
        self.names = Names()
        self.smtpd = Smtpd()
        self.warnings: list[str] = []
        self.folder = self.mktemp()
        os.mkdir(self.folder)

    def gate(self, *access: Any, **values: str) -> Gate:
        rules = ScreenRules.of(Settings.of(myhostname="mx.test", **values))
        kept = ScreenCache(
            self.folder, 99.0, 99.0, self.clock.seconds, self.warnings.append
        )
        self.addCleanup(kept.close)
        around = Surroundings(
            self.clock,
            self.clock.seconds,
            self.sink,
            Lists(self.names, rules.sites, self.clock, 10.0),
            kept,
            access,
        )
        return Gate(rules, around, self.smtpd)

    def client(self, gate: Gate, address: str = "192.0.2.1") -> Transport:
        peer = IPv4Address("TCP", address, 77)
        transport = Transport(IPv4Address("TCP", "192.0.2.9", 25), peer)
        transport.protocol = gate.buildProtocol(peer)
        transport.protocol.makeConnection(transport)
        return transport

    def test_passes(self) -> None:
        """
        The same connection is smtpd's afterwards, with what was said before.
        """
        gate = self.gate()
        transport = self.client(gate)
        transport.protocol.dataReceived(b"EHLO me\r\n")
        self.assertEqual(self.smtpd.made[0].heard, b"EHLO me\r\n")
        self.assertIs(transport.protocol, self.smtpd.made[0])
        self.assertIs(self.smtpd.made[0].transport, transport)
        self.assertEqual(gate.connections, set())
        self.assertEqual(gate.together, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_waits(self) -> None:
        gate = self.gate()
        transport = self.client(gate)
        self.clock.advance(5.9)
        self.assertEqual(self.smtpd.made, [])
        self.assertEqual(gate.together["192.0.2.1"], 1)
        self.clock.advance(0.1)
        self.assertEqual(len(self.smtpd.made), 1)
        self.assertIs(transport.protocol, self.smtpd.made[0])
        self.client(gate)
        self.assertEqual(len(self.smtpd.made), 2, "it is known")

    def test_hang_up(self) -> None:
        gate = self.gate()
        self.client(gate).loseConnection()
        self.assertEqual(gate.connections, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIn("HANGUP after 0", self.sink.lines[1])

    def test_access_list(self) -> None:
        broken = Table()
        broken.broken = True
        for items, end in (
            ((Listed(["192.0.2.1"]),), "ALLOWLISTED"),
            ((Listed(), Table(**{"192_0_2_1": "reject"})), "DENYLISTED"),
            ((Table(**{"192_0_2_1": "DUNNO"}), "reject"), "CONNECT"),
            (("dunno", "reject"), "DENYLISTED"),
            ((broken, "reject"), "CONNECT"),
        ):
            self.sink.events.clear()
            self.client(self.gate(*items))
            lines = [each for each in self.sink.lines if "warning" not in each]
            self.assertIn(end, lines[-1], items)

    def test_lists(self) -> None:
        self.names.answers["bad"] = Answer(("127.0.0.2",), ttl=5)
        sites = "bad.test=127.0.0.[2..9]*3, good.test*-1, bad.test=127.0.0.99*9"
        gate = self.gate(postscreen_dnsbl_sites=sites, postscreen_dnsbl_action="drop")
        transport = self.client(gate)
        self.clock.advance(6)
        words = (
            b"521 5.7.1 Service unavailable; client [192.0.2.1] blocked using bad.test"
        )
        self.assertIn(words, transport.value())
        self.assertIn("DNSBL rank 3 for [192.0.2.1]:77", self.sink.lines[1])
        self.assertEqual(
            sorted(self.names.asked), ["1.2.0.192.bad.test", "1.2.0.192.good.test"]
        )

    def test_lists_are_late(self) -> None:
        """
        A list that has not answered when the time is over says nothing.
        """
        self.names.answers["bad"] = Deferred()
        gate = self.gate(postscreen_dnsbl_sites="bad.test")
        self.client(gate)
        self.clock.advance(6)
        self.assertEqual(len(self.smtpd.made), 1)
        self.names.answers["bad"].callback(Answer(("127.0.0.2",)))

    def test_too_much(self) -> None:
        """
        What is said too early is kept, but not all of it.
        """
        gate = self.gate(postscreen_dnsbl_sites="a.test")
        self.names.answers["a"] = Deferred()
        transport = self.client(gate)
        transport.protocol.dataReceived(b"x" * (MAX_EARLY + 1))
        self.assertEqual(transport.producerState, "paused")
        self.clock.advance(6)
        self.assertEqual(transport.producerState, "producing")

    def test_stop(self) -> None:
        gate = self.gate()
        transport = self.client(gate)
        gate.stop()
        self.assertTrue(transport.value().endswith(b"try again later\r\n"))
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ListsTests(SynchronousTestCase):
    def test_names(self) -> None:
        """
        A secret in a name is not told.
        """
        names = Names(secret=Answer(("127.0.0.2",), ttl=5))
        sites = [read_site("secret.test", weights=True)]
        table = Table(secret_test="public.test")
        lists = Lists(names, sites, Clock(), 10.0, [table])
        score = lists.ask("192.0.2.1", lambda: None).score()
        self.assertEqual((score.score, score.name), (1, "public.test"))

    def test_trouble(self) -> None:
        """
        Whoever cannot be asked says nothing; the time for an answer is limited.
        """
        clock = Clock()
        names = Names(a=ResolverUnavailable("a", "A", "gone"), b=Deferred())
        sites = [read_site(each, weights=True) for each in ("a.test", "b.test")]
        done: list[int] = []
        inquiry = Lists(names, sites, clock, 10.0).ask(
            "2001:db8::1", lambda: done.append(1)
        )
        self.assertEqual(done, [])
        clock.advance(10)
        self.assertEqual((done, inquiry.score().score), ([1], 0))


class CacheTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 1000.0
        self.warnings: list[str] = []
        self.folder = self.mktemp()
        os.mkdir(self.folder)

    def cache(self) -> ScreenCache:
        made = ScreenCache(
            self.folder, 100.0, 50.0, lambda: self.now, self.warnings.append
        )
        self.addCleanup(made.close)
        return made

    def test_shared(self) -> None:
        """
        Other processes, and later ones, know it, too.
        """
        one, other = self.cache(), self.cache()
        self.assertIsNone(other.find("192.0.2.1"))
        one.keep("192.0.2.1", {**NEW, "pregreet": 1200})
        self.assertEqual(other.find("192.0.2.1"), {**NEW, "pregreet": 1200})
        one.close()
        self.assertIsNotNone(one.find("192.0.2.1"))

    def test_forgotten(self) -> None:
        kept = self.cache()
        kept.keep("a", {**NEW, "pregreet": 1200})
        for now, there in ((1299.0, True), (1350.0, False)):
            self.now = now
            kept.keep("b", {**NEW, "pregreet": 9000})
            self.assertEqual(kept.find("a") is not None, there, now)

    def test_most(self) -> None:
        self.patch(cache, "MAX_CLIENTS", 2)
        kept = self.cache()
        for n in range(4):
            kept.keep(f"c{n}", {**NEW, "pregreet": 2000 + n})
        self.now = 1100.0
        kept.keep("last", {**NEW, "pregreet": 3000})
        self.assertIsNone(kept.find("c0"))
        self.assertIsNotNone(kept.find("last"))

    def test_broken(self) -> None:
        """
        Without it clients are tested, and nobody is turned away.
        """
        with open(os.path.join(self.folder, cache.NAME), "wb") as f:
            f.write(b"no database" * 1000)
        kept = self.cache()
        kept.keep("a", NEW)
        self.assertIsNone(kept.find("a"))
        self.assertEqual(len(self.warnings), 1)
        self.assertIn("clients are not remembered", self.warnings[0])

    def test_busy(self) -> None:
        kept = self.cache()
        kept.keep("a", {**NEW, "pregreet": 1200})
        other = sqlite3.connect(os.path.join(self.folder, cache.NAME))
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.patch(cache, "_BUSY", 0)
        kept.close()
        kept.keep("b", {**NEW, "pregreet": 1200})
        self.assertEqual(self.warnings, [])
        self.assertIsNotNone(kept.find("a"))
