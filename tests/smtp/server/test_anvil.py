"""
Limits on what one client does, in Postfix's words.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.support import FRIEND, HOST, STRANGER, Listed, World, world
from txmta.model import Client
from txmta.smtp.anvil import Anvil, ClientLimits, Meter, Where
from txmta.smtp.own_tally import OwnTally
from txmta.smtp.service import server_factory

CLIENT = Client("192.0.2.7", 1, "a.test")


class SessionTests(SynchronousTestCase):
    def warnings(self, w: World) -> list[str]:
        return [each for each in w.sink.lines if "limit exceeded" in each]

    def test_connection_rate(self) -> None:
        """
        smtpd_client_connection_rate_limit; connections that are over count.
        """
        w = world(smtpd_client_connection_rate_limit="2")
        for _ in range(2):
            talk = w.connect()
            self.assertIn(b"220", talk.heard())
            talk.hang_up()
        words = f"{HOST} Error: too many connections from {STRANGER}"
        self.assertEqual(w.connect().heard(), f"421 4.7.0 {words}\r\n".encode())
        self.assertEqual(
            self.warnings(w),
            [
                "warning: Connection rate limit exceeded: 3 from "
                f"unknown[{STRANGER}] for service smtp"
            ],
        )
        w.clock.advance(60.5)
        self.assertIn(b"220", w.connect().heard())

    def test_message_rate(self) -> None:
        w = world(smtpd_client_message_rate_limit="1")
        talk = w.connect()
        talk.say(b"MAIL FROM:<a@a.test>\r\n")
        talk.say(b"RSET\r\n")
        self.assertEqual(
            talk.say(b"MAIL FROM:<a@a.test>\r\n"),
            f"450 4.7.1 Error: too much mail from {STRANGER}\r\n".encode(),
        )
        self.assertIn(b"503", talk.say(b"RCPT TO:<a@here.test>\r\n"))
        self.assertEqual(
            self.warnings(w),
            [
                "warning: Message delivery request rate limit exceeded: 2 from "
                f"unknown[{STRANGER}] for service smtp"
            ],
        )
        self.assertIn(b"250", w.connect("192.0.2.99").say(b"MAIL FROM:<>\r\n"))

    def test_recipient_rate(self) -> None:
        """
        Over all sessions of the client.
        """
        w = world(smtpd_client_recipient_rate_limit="2")
        for expected in (b"250 2.1.5", b"250 2.1.5", b"450 4.7.1"):
            talk = w.connect()
            talk.say(b"MAIL FROM:<a@a.test>\r\n")
            heard = talk.say(b"RCPT TO:<postmaster>\r\n")
            self.assertIn(expected, heard)
        self.assertEqual(
            heard, f"450 4.7.1 Error: too many recipients from {STRANGER}\r\n".encode()
        )
        self.assertEqual(
            self.warnings(w),
            [
                "warning: Recipient address rate limit exceeded: 3 from "
                f"unknown[{STRANGER}] for service smtp"
            ],
        )

    def test_exempt(self) -> None:
        w = world(
            smtpd_client_message_rate_limit="1", smtpd_client_connection_rate_limit="1"
        )
        for _ in range(3):
            heard = w.connect(FRIEND).say(b"MAIL FROM:<a@a.test>\r\n")
            self.assertIn(b"250 2.1.0", heard)

    def test_xclient(self) -> None:
        """
        Who may speak for others is not counted, whoever they are; also when
        lists need time.
        """
        for later in (False, True):
            w = world(
                smtpd_client_connection_rate_limit="1",
                smtpd_authorized_xclient_hosts=STRANGER,
            )
            exempt = w.lists["smtpd_client_event_limit_exceptions"] = Listed(())
            w.lists["smtpd_authorized_xclient_hosts"] = Listed((STRANGER,))
            w.factory = server_factory(w.settings, w.services())
            exempt.later = later
            for _ in range(3):
                talk = w.connect()
                for each in exempt.waiting:
                    if not each.called:
                        each.callback(False)
                self.assertIn(b"220", talk.heard())

    def test_statistics(self) -> None:
        """
        As anvil(8) says them, now and then, and at the end.
        """
        w = world(smtpd_client_message_rate_limit="5", anvil_status_update_time="10m")
        talk = w.connect()
        talk.say(b"MAIL FROM:<a@a.test>\r\n")
        talk.hang_up()
        w.clock.advance(600)
        w.connect().hang_up()
        found = [each for each in w.sink.lines if "statistics" in each]
        self.assertEqual(
            [each.partition(" at ")[0] for each in found],
            [
                f"statistics: max connection rate 1/60s for (smtp:{STRANGER})",
                f"statistics: max connection count 1 for (smtp:{STRANGER})",
                f"statistics: max message rate 1/60s for (smtp:{STRANGER})",
            ],
        )
        self.assertRegex(found[0], r" at [A-Z][a-z]{2} [ 0-9]{2} \d\d:\d\d:\d\d\Z")
        w.factory.drain()
        self.assertGreater(len([e for e in w.sink.lines if "statistics" in e]), 3)

    def test_network(self) -> None:
        """
        smtpd_client_ipv4_prefix_length: a network is one client.
        """
        w = world(
            smtpd_client_message_rate_limit="1", smtpd_client_ipv4_prefix_length="24"
        )
        w.connect("192.0.2.1").say(b"MAIL FROM:<a@a.test>\r\n")
        heard = w.connect("192.0.2.2").say(b"MAIL FROM:<a@a.test>\r\n")
        self.assertEqual(
            heard.splitlines()[-1], b"450 4.7.1 Error: too much mail from 192.0.2.2"
        )


class MeterTests(SynchronousTestCase):
    def meter(self, *rates: int) -> Meter:
        self.world = world()
        return Meter(
            Anvil(
                OwnTally(),
                ClientLimits(rates=rates),
                Where("smtp", HOST),
                self.world.clock,
                self.world.sink,
            ),
            CLIENT.address,
        )

    def test_tls(self) -> None:
        """
        smtpd_client_new_tls_session_rate_limit: STARTTLS is refused once there
        were too many new sessions.
        """
        meter = self.meter(0, 0, 0, 1, 0)
        self.assertIsNone(meter.start_tls(CLIENT))
        self.assertIsNone(meter.new_tls(CLIENT))
        self.assertIsNone(meter.start_tls(CLIENT))
        reply = meter.new_tls(CLIENT)
        assert reply is not None
        words = "Error: too many new TLS sessions from a.test[192.0.2.7]"
        self.assertEqual(reply.encode(), f"421 4.7.0 {HOST} {words}\r\n".encode())
        reply = meter.start_tls(CLIENT)
        assert reply is not None
        self.assertEqual(reply.encode(), f"454 4.7.0 {words}\r\n".encode())
        self.assertEqual(
            self.world.sink.lines,
            [
                "warning: New TLS session rate limit exceeded: 2 from "
                "a.test[192.0.2.7] for service smtp",
                "warning: Refusing STARTTLS request from a.test[192.0.2.7] for "
                "service smtp",
            ],
        )

    def test_login(self) -> None:
        meter = self.meter(0, 0, 0, 0, 1)
        self.assertIsNone(meter.login(CLIENT))
        reply = meter.login(CLIENT)
        assert reply is not None
        self.assertEqual(
            reply.encode(),
            b"450 4.7.1 Error: too many AUTH commands from 192.0.2.7\r\n",
        )
        self.assertIn("AUTH command rate limit exceeded: 2", self.world.sink.lines[0])
