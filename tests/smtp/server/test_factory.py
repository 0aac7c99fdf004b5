"""
How many connections, and their end.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.support import FRIEND, HOST, STRANGER, Listed, World, world
from txmta.config.settings import Settings
from txmta.errors import ConfigError, TableUnavailable
from txmta.model import ClientName, Reply
from txmta.smtp.seats import CountedSeats
from txmta.smtp.service import problems, server_factory

TOO_MANY = f"421 4.7.0 {HOST} Error: too many connections from 192.0.2.1\r\n".encode()


class CrowdTests(SynchronousTestCase):
    def test_per_client(self) -> None:
        """
        smtpd_client_connection_count_limit, in Postfix's words, until one goes.
        """
        w = world(smtpd_client_connection_count_limit="2")
        one, two = w.connect(), w.connect()
        self.assertIn(b"220", two.heard())
        three = w.connect()
        self.assertEqual(three.heard(), TOO_MANY)
        self.assertTrue(three.transport.disconnecting)
        self.assertIn(
            "warning: Connection concurrency limit exceeded: 3 from "
            "unknown[192.0.2.1] for service smtp",
            w.sink.lines,
        )
        self.assertIn(b"220", w.connect("192.0.2.2").heard())
        three.hang_up()
        one.hang_up()
        self.assertIn(b"220", w.connect().heard())

    def test_exempt(self) -> None:
        """
        Not so for smtpd_client_event_limit_exceptions.
        """
        w = world(smtpd_client_connection_count_limit="1")
        for _ in range(5):
            self.assertIn(b"220", w.connect(FRIEND).heard())

    def test_exempt_by_name(self) -> None:
        w = world(smtpd_client_connection_count_limit="1")
        w.lists["smtpd_client_event_limit_exceptions"].items = ("localhost",)
        for _ in range(5):
            self.assertIn(b"220", w.connect(FRIEND).heard())
        w.connect(STRANGER)
        self.assertIn(b"421 4.7.0", w.connect(STRANGER).heard())

    def test_exempt_later(self) -> None:
        """
        The list may need time, or be unreadable; then it exempts nobody.
        """
        w = world(smtpd_client_connection_count_limit="1")
        exempt = w.lists["smtpd_client_event_limit_exceptions"]
        w.connect()
        exempt.later = True
        later = w.connect()
        self.assertEqual(later.heard(), b"")
        exempt.waiting[0].callback(True)
        self.assertIn(b"220", later.heard())
        exempt.later = False
        exempt.broken = True
        self.assertEqual(w.connect().heard(), TOO_MANY)
        self.assertIn(
            "warning: table hash:/broken: no such file", "\n".join(w.sink.lines)
        )

    def test_no_limit(self) -> None:
        w = world(smtpd_client_connection_count_limit="0")
        for _ in range(100):
            self.assertIn(b"220", w.connect().heard())

    def test_networks(self) -> None:
        """
        smtpd_client_ipv6_prefix_length: one client has many IPv6 addresses.
        """
        w = world(smtpd_client_connection_count_limit="1")
        for host, welcome in (
            ("2001:db8::1", True),
            ("2001:db8::2", False),
            ("2001:db8:1::1", True),
        ):
            server = w.factory.buildProtocol(IPv6Address("TCP", host, 1))
            refusal = w.factory.admit(server)
            self.assertEqual(refusal is None, welcome, host)

    def test_networks_of_four(self) -> None:
        """
        smtpd_client_ipv4_prefix_length.
        """
        w = world(
            smtpd_client_connection_count_limit="1",
            smtpd_client_ipv4_prefix_length="24",
        )
        w.connect("192.0.2.1")
        self.assertIn(b"421 4.7.0", w.connect("192.0.2.9").heard())
        self.assertIn(b"220", w.connect("192.0.3.1").heard())

    def test_all_together(self) -> None:
        """
        Before descriptors run out, clients are told to come back.
        """
        w = world()
        w.factory = server_factory(w.settings, w.services(), total=2)
        for i in (1, 2):
            self.assertIn(b"220", w.connect(f"192.0.2.{i}").heard())
        third = w.connect("192.0.2.3")
        self.assertEqual(third.heard(), b"421 4.3.2 All server ports are busy\r\n")
        self.assertTrue(third.transport.disconnecting)

    def test_seats(self) -> None:
        """
        Each session has one seat; who finds none is told to come back, takes
        none, and gives none back.
        """
        w = world()
        seats = CountedSeats(2)
        w.factory = server_factory(w.settings, w.services(), seats=seats)
        first, _second = (w.connect(f"192.0.2.{i}") for i in (1, 2))
        third = w.connect("192.0.2.3")
        self.assertEqual(third.heard(), b"421 4.3.2 All server ports are busy\r\n")
        third.hang_up()
        self.assertIs(seats.take(), None)
        first.hang_up()
        self.assertIn(b"220", w.connect("192.0.2.4").heard())
        self.assertIs(seats.take(), None)


STOPPING = (
    f"421 4.3.2 {HOST} Service not available, closing transmission channel\r\n"
).encode()


class DrainTests(SynchronousTestCase):
    def test_nobody_there(self) -> None:
        self.successResultOf(world().factory.drain())

    def test_transaction_may_end(self) -> None:
        """
        Who is between transactions gets 421 at once, others when theirs is over.
        """
        w = world()
        idle, busy = w.connect(), w.connect()
        busy.say(b"EHLO x\r\n")
        busy.say(b"MAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\n")
        drained = w.factory.drain(30)
        self.assertEqual(idle.heard().partition(b"\r\n")[2], STOPPING)
        self.assertTrue(idle.transport.disconnecting)
        idle.hang_up()
        busy.say(b"DATA\r\n")
        w.clock.advance(29)
        self.assertFalse(busy.transport.disconnecting)
        said = busy.say(b".\r\n")
        self.assertEqual(said, b"250 2.0.0 Ok: queued as ID1\r\n" + STOPPING)
        self.assertTrue(busy.transport.disconnecting)
        self.assertNoResult(drained)
        busy.hang_up()
        self.successResultOf(drained)
        self.assertEqual(w.clock.getDelayedCalls(), [])

    def test_chunks_may_end(self) -> None:
        """
        Between two chunks is inside a transaction.
        """
        w = world()
        t = w.connect()
        t.say(b"EHLO x\r\n")
        t.say(b"MAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\nBDAT 3\r\nabc")
        w.factory.drain(30)
        self.assertEqual(t.heard(), b"")
        said = t.say(b"BDAT 2 LAST\r\nde")
        self.assertEqual(said, b"250 2.0.0 Ok: 7 bytes queued as ID1\r\n" + STOPPING)

    def test_half_a_command(self) -> None:
        """
        What has not arrived whole is no command; what was refused, no
        transaction.
        """
        w = world()
        t = w.connect()
        t.say(b"EHLO x\r\n")
        t.say(b"MAIL FROM:<@>\r\nMAIL FR")
        w.factory.drain(30)
        self.assertEqual(t.heard(), STOPPING)
        self.assertEqual(t.say(b"OM:<>\r\n"), b"")

    def test_question_of_mail(self) -> None:
        """
        MAIL that is being judged begins a transaction, if it is accepted.
        """
        for listed in (True, False):
            w = world(local_header_rewrite_clients="permit_mynetworks")
            t = w.connect()
            t.say(b"EHLO x\r\n")
            w.lists["mynetworks"].later = True
            t.say(b"MAIL FROM:<>\r\n")
            w.factory.drain(30)
            self.assertEqual(t.heard(), b"")
            if listed:
                w.lists["mynetworks"].waiting[0].callback(True)
                self.assertEqual(t.heard(), b"250 2.1.0 Ok\r\n")
                self.assertEqual(t.say(b"RSET\r\n"), b"250 2.0.0 Ok\r\n" + STOPPING)
            else:
                error = TableUnavailable("hash:/x", "gone")
                w.lists["mynetworks"].waiting[0].errback(error)
                self.assertIn(STOPPING, t.heard())

    def test_nameless(self) -> None:
        """
        Who waits for the banner gets 421 instead, also when the name of the
        client is not known yet.
        """
        w = world()
        name: Deferred[ClientName] = Deferred()
        w.names.later = name
        t = w.connect()
        drained = w.factory.drain(30)
        self.assertEqual(t.heard(), STOPPING)
        name.callback(ClientName("mail.example.net", "mail.example.net"))
        t.hang_up()
        self.successResultOf(drained)
        self.assertEqual(
            [line for line in w.sink.lines if "connect from" in line],
            [
                "connect from unknown[192.0.2.1]",
                "disconnect from unknown[192.0.2.1] commands=0/0",
            ],
        )
        self.assertEqual(w.clock.getDelayedCalls(), [])

    def test_admitted_too_late(self) -> None:
        """
        A list that answers when we have hung up starts no timer.
        """
        w = world(smtpd_client_connection_count_limit="1")
        w.connect()
        exempt = w.lists["smtpd_client_event_limit_exceptions"]
        exempt.later = True
        t = w.connect()
        w.factory.drain(30)
        self.assertEqual(t.heard(), b"")
        w.clock.advance(30)
        self.assertEqual(t.heard(), STOPPING)
        timers = len(w.clock.getDelayedCalls())
        exempt.waiting[0].callback(True)
        self.assertEqual(len(w.clock.getDelayedCalls()), timers)
        self.assertEqual(t.heard(), b"")

    def test_limit(self) -> None:
        """
        Who does not end in time is ended; who does not read that is cut off.
        """
        w = world()
        t = w.connect()
        t.say(b"EHLO x\r\n")
        t.say(b"MAIL FROM:<>\r\n")
        drained = w.factory.drain(30)
        self.assertEqual(t.heard(), b"")
        w.clock.advance(30)
        self.assertIn(b"421 4.3.2", t.heard())
        w.clock.advance(5)
        self.assertTrue(t.transport.aborted)
        t.hang_up()
        self.successResultOf(drained)

    def test_question_open(self) -> None:
        """
        An answer that comes after the end of a session opens nothing again.
        """
        w = world()
        w.addresses.later = []
        t = w.connect()
        t.say(b"EHLO x\r\n")
        t.say(b"MAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\n")
        w.factory.drain(30)
        w.clock.advance(30)
        self.assertIn(b"421 4.3.2", t.heard())
        w.addresses.later[0].callback(w.addresses.route("user@example.org"))
        self.assertEqual(t.say(b"DATA\r\n"), b"")

    def test_commit_under_way(self) -> None:
        """
        A message that is being committed gets its answer.
        """
        w = world()
        answer: Deferred[Reply] = Deferred()
        w.cleanup.answer = lambda: answer
        t = w.connect()
        t.say(b"EHLO x\r\n")
        t.say(b"MAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\n")
        t.say(b"DATA\r\n")
        t.say(b".\r\n")
        w.factory.drain(30)
        w.clock.advance(30)
        self.assertFalse(t.transport.disconnecting)
        answer.callback(Reply(250, "2.0.0", "Ok: queued as X"))
        self.assertEqual(t.heard(), b"250 2.0.0 Ok: queued as X\r\n" + STOPPING)

    def test_late_arrival(self) -> None:
        w = world()
        w.connect()
        w.factory.drain(30)
        self.assertEqual(w.connect().heard(), STOPPING)

    def test_asked_twice(self) -> None:
        w = world()
        t = w.connect()
        one, two = w.factory.drain(30), w.factory.drain(30)
        t.hang_up()
        self.successResultOf(one)
        self.successResultOf(two)


class SettingsTests(SynchronousTestCase):
    def test_refuse_to_start(self) -> None:
        """
        What is wrong is said all at once.
        """
        settings = Settings.of(
            smtpd_relay_restrictions="permit_mynetwork",
            smtpd_forbidden_commands="hash:/x",
        )
        found = problems(settings)
        self.assertEqual(len(found), 3)
        w = World(Settings.of(myhostname=HOST))
        self.assertRaises(ConfigError, server_factory, settings, w.services())

    def test_defaults(self) -> None:
        self.assertEqual(problems(Settings.of()), [])

    def test_spared(self) -> None:
        """
        The list of exclusions is asked only where it matters.
        """
        w = world(smtpd_forbid_bare_newline="reject")
        w.lists["smtpd_forbid_bare_newline_exclusions"] = broken = Listed(broken=True)
        w.factory = server_factory(w.settings, w.services())
        t = w.connect(STRANGER)
        t.heard()
        self.assertIn(b"550 5.5.2", t.say(b"NOOP\n"))
        self.assertTrue(broken.broken)
        w.factory.buildProtocol(IPv4Address("TCP", FRIEND, 1))
