"""
XCLIENT and XFORWARD.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.support import FRIEND, STRANGER, Listed, Talk, World, world
from txmta.config.settings import Settings

_GREETING = b"220 mx.example.org ESMTP Postfix\r\n"


def privileged(*verbs: str, **values: str) -> World:
    """
    A server where the friend may use these verbs.
    """
    for verb in verbs or ("xclient", "xforward"):
        values[f"smtpd_authorized_{verb}_hosts"] = FRIEND
    values.setdefault("myhostname", "mx.example.org")
    values.setdefault("smtpd_error_sleep_time", "0")
    values.setdefault("queue_directory", "/nonexistent")
    return World(Settings.of(**values))


def talk(server: World, address: str = FRIEND) -> Talk:
    talk = server.connect(address)
    talk.heard()
    return talk


class XclientTests(SynchronousTestCase):
    def test_stranger(self) -> None:
        """
        Who is not listed is not offered it, and may not use it.
        """
        client = talk(privileged(), STRANGER)
        self.assertNotIn(b"XCLIENT", client.say(b"EHLO x\r\n"))
        self.assertEqual(
            client.say(b"XCLIENT ADDR=127.0.0.1\r\n"),
            b"550 5.7.0 Error: insufficient authorization\r\n",
        )

    def test_nobody_by_default(self) -> None:
        client = talk(world())
        self.assertNotIn(b"XCLIENT", client.say(b"EHLO x\r\n"))
        self.assertIn(b"550 5.7.0", client.say(b"XCLIENT ADDR=127.0.0.1\r\n"))
        self.assertIn(b"550 5.7.0", client.say(b"XFORWARD ADDR=127.0.0.1\r\n"))

    def test_broken_list(self) -> None:
        """
        A list that cannot be read lists nobody.
        """
        server = privileged()
        for name in ("smtpd_authorized_xclient_hosts",):
            server.lists[name] = Listed(broken=True)
        server.__post_init__()
        self.assertNotIn(b"XCLIENT", talk(server).say(b"EHLO x\r\n"))

    def test_offered(self) -> None:
        offered = talk(privileged()).say(b"EHLO x\r\n")
        self.assertIn(
            b"250-XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR "
            b"DESTPORT\r\n250-XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT\r\n"
            b"250-ENHANCEDSTATUSCODES\r\n",
            offered,
        )

    def test_discarded(self) -> None:
        server = privileged(
            smtpd_discard_ehlo_keywords="xclient, xforward, enhancedstatuscodes"
        )
        self.assertNotIn(b"XCLIENT", talk(server).say(b"EHLO x\r\n"))

    def test_becomes_another(self) -> None:
        """
        What it says is what everybody believes; it is a session from its
        beginning, and the privilege is that of the new client.
        """
        server = privileged()
        client = talk(server)
        client.say(b"EHLO x\r\n")
        said = b"XCLIENT NAME=a.test ADDR=IPv6:2001:DB8::1 PORT=12 LOGIN=joe+40x\r\n"
        self.assertEqual(client.say(said), _GREETING)
        session = client.server.session
        self.assertEqual(session.client.label, "a.test[2001:db8::1]")
        self.assertEqual(session.client.reverse_name, "a.test")
        self.assertEqual(session.client.port, 12)
        assert session.login is not None
        self.assertEqual(session.login.username, "joe@x")
        self.assertEqual((session.helo, session.protocol), ("", "SMTP"))
        offered = client.say(b"EHLO y\r\n")
        self.assertNotIn(b"XCLIENT", offered)
        self.assertIn(b"XFORWARD", offered)
        client.say(b"QUIT\r\n")
        client.hang_up()
        self.assertEqual(
            server.sink.lines[-1],
            "disconnect from a.test[2001:db8::1] ehlo=2 xclient=0/1 quit=1 "
            "commands=3/4",
        )

    def test_may_not_relay(self) -> None:
        """
        A friend that says it is a stranger is one.
        """
        client = talk(privileged(smtpd_relay_restrictions="permit_mynetworks, reject"))
        client.say(b"EHLO x\r\n")
        client.say(b"XCLIENT ADDR=192.0.2.77 HELO=h PROTO=ESMTP\r\n")
        client.say(b"MAIL FROM:<a@b.test>\r\n")
        self.assertIn(
            b"554 5.7.1 <c@d.test>: Recipient address rejected: Access denied",
            client.say(b"RCPT TO:<c@d.test>\r\n"),
        )

    def test_not_counted(self) -> None:
        """
        Limits on single clients do not hold for who may be any of them.
        """
        server = privileged(smtpd_client_connection_rate_limit="1")
        server.lists["smtpd_client_event_limit_exceptions"] = Listed()
        server.__post_init__()
        for _ in range(3):
            self.assertEqual(server.connect(FRIEND).heard()[:3], b"220")
        self.assertEqual(server.connect(STRANGER).heard()[:3], b"220")
        self.assertEqual(server.connect(STRANGER).heard()[:3], b"421")

    def test_destination(self) -> None:
        client = talk(privileged())
        client.say(b"XCLIENT DESTADDR=192.0.2.80 DESTPORT=587\r\n")
        session = client.server.session
        self.assertEqual(session.server_address, "192.0.2.80")
        self.assertEqual(session.server_port, 587)

    def test_asked_again(self) -> None:
        """
        Where clients are refused as they connect, the new one is, too; and what
        was said of the old one counts no more.
        """
        reject = "inline:{{192.0.2.6=REJECT},{192.0.2.7=DEFER_IF_PERMIT}}"
        server = privileged(
            smtpd_delay_reject="no",
            smtpd_client_restrictions=f"check_client_access {reject}",
        )
        client = talk(server)
        self.assertIn(
            b"554 5.7.1 <unknown[192.0.2.6]>: Client host rejected",
            client.say(b"XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.6\r\n"),
        )
        self.assertIn(b"503 5.7.0", client.say(b"EHLO x\r\n"))
        client = talk(server)
        said = b"XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7\r\n"
        self.assertEqual(client.say(said), _GREETING)
        self.assertEqual(list(client.server.session.postponed), ["CONNECT"])

    def test_login_ends(self) -> None:
        """
        Who was logged in by XCLIENT is not any more after another.
        """
        client = talk(privileged())
        client.say(b"XCLIENT LOGIN=joe\r\n")
        self.assertIsNotNone(client.server.session.login)
        client.say(b"XCLIENT NAME=[UNAVAILABLE]\r\n")
        self.assertIsNone(client.server.session.login)

    def test_statuses(self) -> None:
        client = talk(privileged())
        client.say(b"XCLIENT NAME=[TEMPUNAVAIL] REVERSE_NAME=b.test HELO=a<b>c\r\n")
        peer = client.server.session.client
        self.assertEqual((peer.name, peer.name_status), ("unknown", 4))
        self.assertEqual((peer.reverse_name, peer.reverse_status), ("b.test", 2))
        self.assertEqual(client.server.session.helo, "a?b?c")
        client.say(b"XCLIENT ADDR=[UNAVAILABLE]\r\n")
        self.assertEqual(client.server.session.client.address, "unknown")

    def test_errors(self) -> None:
        """
        The words are Postfix's; and nothing has changed.
        """
        client = talk(privileged(smtpd_hard_error_limit="100"))
        before = client.server.session.client
        for words, reply in (
            ("", "Syntax: XCLIENT attribute=value..."),
            (" FOO", "Error: attribute=value expected"),
            (" FOO=", "Error: attribute=value expected"),
            (" FOO=bar", "Bad XCLIENT attribute name: FOO"),
            (" NAME=+", "Bad NAME syntax: +"),
            (" NAME=a+20b", "Bad NAME syntax: a b"),
            (" NAME=-x", "Bad NAME syntax: -x"),
            (" ADDR=foo", "Bad ADDR syntax: foo"),
            (" ADDR=::1", "Bad ADDR syntax: ::1"),
            (" ADDR=IPv6:zz", "Bad ADDR syntax: IPv6:zz"),
            (" PORT=999999", "Bad PORT syntax: 999999"),
            (" PROTO=foo", "Bad PROTO syntax: foo"),
            (" DESTADDR=zz", "Bad DESTADDR syntax: zz"),
            (" SOURCE=LOCAL", "Bad XCLIENT attribute name: SOURCE"),
            (" ADDR=192.0.2.9 IDENT=a", "Bad XCLIENT attribute name: IDENT"),
            (f" NAME={'a' * 256}", "Error: attribute value too long"),
        ):
            said = client.say(f"XCLIENT{words}\r\n".encode())
            self.assertEqual(said, f"501 5.5.4 {reply}\r\n".encode())
        self.assertIs(client.server.session.client, before)

    def test_in_a_transaction(self) -> None:
        client = talk(privileged())
        client.say(b"EHLO x\r\n")
        client.say(b"MAIL FROM:<>\r\n")
        busy = b"503 5.5.1 Error: MAIL transaction in progress\r\n"
        self.assertEqual(client.say(b"XCLIENT ADDR=1.2.3.4\r\n"), busy)
        self.assertEqual(client.say(b"XFORWARD ADDR=1.2.3.4\r\n"), busy)


class XforwardTests(SynchronousTestCase):
    def _queued(self, *commands: str) -> tuple[Talk, World]:
        server = privileged()
        client = talk(server)
        client.say(b"EHLO x\r\n")
        for command in commands:
            said = client.say(command.encode() + b"\r\n")
            self.assertEqual(said[:3], b"250", command)
        client.say(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<user@example.org>\r\n")
        client.say(b"DATA\r\n")
        client.say(b".\r\n")
        return client, server

    def test_logged_and_kept(self) -> None:
        _client, server = self._queued(
            "XFORWARD IDENT=a+20b",
            "XFORWARD NAME=x.test ADDR=1.2.3.4 PORT=11 HELO=a+3Cb PROTO=SMTP",
        )
        self.assertIn(
            "ID1: client=localhost[127.0.0.1], orig_queue_id=a?b, "
            "orig_client=x.test[1.2.3.4]",
            server.sink.lines,
        )
        envelope = server.cleanup.messages[0].envelope
        self.assertEqual(
            dict(envelope.forwarded),
            {
                "NAME": "x.test",
                "ADDR": "1.2.3.4",
                "PORT": "11",
                "HELO": "a?b",
                "PROTO": "SMTP",
                "IDENT": "a?b",
            },
        )
        self.assertEqual(envelope.client.label, "localhost[127.0.0.1]")

    def test_unknown(self) -> None:
        for command, more in (
            ("XFORWARD HELO=foo", ", orig_client=unknown"),
            (
                "XFORWARD NAME=[UNAVAILABLE] IDENT=[UNAVAILABLE]",
                ", orig_client=unknown",
            ),
            ("XFORWARD NAME=y.test", ", orig_client=y.test"),
            ("XFORWARD ADDR=IPv6:2001:DB8::1", ", orig_client=unknown[2001:db8::1]"),
            ("XFORWARD IDENT=A1", ", orig_queue_id=A1"),
            ("XFORWARD SOURCE=REMOTE", ""),
        ):
            _client, server = self._queued(command)
            line = f"ID1: client=localhost[127.0.0.1]{more}"
            self.assertIn(line, server.sink.lines)

    def test_source(self) -> None:
        """
        It decides whether headers are completed as those of our own users.
        """
        for source in ("LOCAL", "REMOTE"):
            _client, server = self._queued(f"XFORWARD SOURCE={source.lower()}")
            envelope = server.cleanup.messages[0].envelope
            self.assertEqual(envelope.local_origin, source == "LOCAL")

    def test_for_one_message(self) -> None:
        client, server = self._queued("XFORWARD NAME=x.test")
        client.say(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<user@example.org>\r\n")
        self.assertIn("ID2: client=localhost[127.0.0.1]", server.sink.lines)

    def test_forgotten(self) -> None:
        for command in (b"RSET\r\n", b"EHLO y\r\n"):
            client = talk(privileged())
            client.say(b"EHLO x\r\n")
            client.say(b"XFORWARD NAME=x.test\r\n")
            client.say(command)
            self.assertEqual(client.server.session.forwarded, {})

    def test_errors(self) -> None:
        client = talk(privileged())
        client.say(b"EHLO x\r\n")
        for words, reply in (
            ("", "Syntax: XFORWARD attribute=value..."),
            (" FOO=", "Error: attribute=value expected"),
            (" FOO=bar", "Bad XFORWARD attribute name: FOO"),
            (" SOURCE=foo", "Bad SOURCE syntax: foo"),
            (" NAME=-x", "Bad NAME syntax: -x"),
            (" ADDR=foo", "Bad ADDR syntax: foo"),
            (" PORT=foo", "Bad PORT syntax: foo"),
            (f" PROTO={'a' * 65}", f"Bad PROTO syntax: {'a' * 65}"),
        ):
            said = client.say(f"XFORWARD{words}\r\n".encode())
            self.assertEqual(said, f"501 5.5.4 {reply}\r\n".encode())
