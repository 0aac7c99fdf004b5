"""
Tests of L{txmta.delivery.smtp_connections}; the rest is tested with the
agent.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.client.driving import GREETING, LABEL, PIPELINING
from tests.smtp.client.test_connection import SECONDS, Wire
from txmta.delivery import smtp_connections
from txmta.delivery.smtp_connections import KeepRules, KeptConnections
from txmta.smtp.client import ClientConnection, Limits
from txmta.smtp.client_engine import ClientEngine
from txmta.smtp.client_events import ClientRules, Peer, Target
from txmta.smtp.client_login import Account, LoginRules
from txmta.smtp.client_sasl import Credentials


class KeepTests(SynchronousTestCase):
    """
    L{KeptConnections}
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.kept = KeptConnections(self.clock, KeepRules(idle=2, age=300))

    def connection(
        self, address: str = "192.0.2.1", account: Account | None = None
    ) -> ClientConnection:
        made = ClientConnection(
            ClientEngine(ClientRules("me"), Peer(LABEL, account=account)),
            Target("mail", address, 25),
            self.clock,
            Limits(SECONDS),
            lambda event: None,
        )
        made.makeConnection(Wire())
        made.dataReceived(GREETING)
        made.dataReceived(PIPELINING)
        return made

    def closed(self, connection: ClientConnection) -> bool:
        wire = connection.transport
        assert isinstance(wire, Wire)
        return wire.disconnecting and wire.value().endswith(b"QUIT\r\n")

    def test_newest_first(self) -> None:
        """
        The newest is taken, so that too many grow old.
        """
        one, two = self.connection(), self.connection()
        self.kept.keep(one, "x.test")
        self.kept.keep(two, "x.test")
        self.assertIs(self.kept.take_for("x.test"), two)
        self.assertIs(self.kept.take_for("x.test"), one)
        self.assertIsNone(self.kept.take_for("x.test"))
        self.assertIsNone(self.kept.take_to(one.target))
        self.assertEqual(len(self.kept), 0)

    def test_taken_once(self) -> None:
        """
        Taken under one key, it is gone under the other.
        """
        one = self.connection()
        self.kept.keep(one, "x.test")
        self.assertIs(self.kept.take_to(one.target), one)
        self.assertIsNone(self.kept.take_for("x.test"))

    def test_who(self) -> None:
        """
        A connection is for nobody else than who it was made for; not for
        another password either.
        """
        alice, bob = Credentials("alice", "a"), Credentials("bob", "b")
        hers = self.connection(account=Account(alice, LoginRules()))
        strangers = self.connection()
        self.kept.keep(hers, "")
        self.kept.keep(strangers, "")
        self.assertIsNone(self.kept.take_to(hers.target, bob))
        other = Credentials("alice", "other")
        self.assertIsNone(self.kept.take_to(hers.target, other))
        self.assertIs(self.kept.take_to(hers.target, alice), hers)
        self.assertIs(self.kept.take_to(hers.target), strangers)

    def test_address_only(self) -> None:
        """
        A connection to a backup host waits under its address only.
        """
        one = self.connection()
        self.kept.keep(one, "")
        self.assertIsNone(self.kept.take_for(""))
        self.assertIs(self.kept.take_to(one.target), one)

    def test_each_its_time(self) -> None:
        """
        One timer for all, yet each has its time.
        """
        one = self.connection()
        self.kept.keep(one, "x.test")
        self.clock.advance(1)
        two = self.connection()
        self.kept.keep(two, "x.test")
        self.clock.advance(1)
        self.assertEqual((self.closed(one), self.closed(two)), (True, False))
        self.clock.advance(1)
        self.assertTrue(self.closed(two))

    def test_kept_again(self) -> None:
        """
        Use renews the time.
        """
        one = self.connection()
        for _ in range(5):
            self.kept.keep(one, "x.test")
            self.clock.advance(1.5)
            self.assertIs(self.kept.take_for("x.test"), one)
        self.kept.keep(one, "x.test")
        self.clock.advance(1.9)
        self.assertEqual(len(self.kept), 1)

    def test_bounded(self) -> None:
        """
        Neither one destination nor all together hold more than they may.
        """
        self.patch(smtp_connections, "MAX_KEPT_FOR_ONE", 2)
        self.patch(smtp_connections, "MAX_KEPT", 3)
        made = [self.connection(f"192.0.2.{n}") for n in range(1, 7)]
        for connection, nexthop in zip(made, "aaabbb", strict=True):
            self.kept.keep(connection, nexthop)
        self.assertEqual(len(self.kept), 3)
        self.assertEqual(
            [self.closed(c) for c in made], [False, False, True, False, True, True]
        )

    def test_stopped(self) -> None:
        """
        After C{stop} nothing is kept.
        """
        one, two = self.connection(), self.connection()
        self.kept.keep(one, "x.test")
        self.kept.stop()
        self.kept.keep(two, "x.test")
        self.assertTrue(self.closed(one) and self.closed(two))
        for connection in (one, two):
            connection.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])
