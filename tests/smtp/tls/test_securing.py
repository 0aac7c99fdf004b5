"""
STARTTLS and TLS from the first octet on, of one session.
"""

from __future__ import annotations

from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.tls.support import AUTHORITY, Client, files, secure_world
from tests.tls_help import Authority, write
from txmta.model import ClientName

HELLO = b"EHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<user@example.org>\r\n"
READY = b"220 2.0.0 Ready to start TLS\r\n"


def started(**values: str) -> Client:
    """
    @return: after the handshake.
    """
    client = Client(secure_world(**values))
    client.plain(HELLO)
    client.plain(b"STARTTLS\r\n")
    client.shake()
    return client


class StartTLSTests(SynchronousTestCase):
    def test_session(self) -> None:
        """
        220 is the last that is said in plaintext; then mail can be sent; STARTTLS
        is not offered again.
        """
        w = secure_world()
        client = Client(w)
        self.assertIn(b"250-STARTTLS\r\n", client.plain(HELLO))
        self.assertEqual(client.plain(b"STARTTLS\r\n"), READY)
        client.shake()
        self.assertNotIn(b"STARTTLS", client.say(HELLO))
        self.assertEqual(client.say(ENVELOPE), b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n")
        client.say(b"DATA\r\n")
        self.assertIn(b"250 2.0.0", client.say(b"Subject: x\r\n\r\nx\r\n.\r\n"))
        (envelope,) = [taken.envelope for taken in w.cleanup.queued]
        assert envelope.tls is not None
        self.assertEqual(envelope.tls.protocol, "TLSv1.3")
        self.assertIn(b"221 2.0.0 Bye", client.say(b"QUIT\r\n"))
        self.assertEqual(
            [line for line in w.sink.lines if "TLS" in line],
            [
                "Anonymous TLS connection established from unknown[192.0.2.1]: TLSv1.3 "
                "with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 "
                "server-signature ECDSA (P-256) server-digest SHA256"
            ],
        )

    def test_forgets(self) -> None:
        """
        RFC 3207 section 4.2: what was said in plaintext does not count.
        """
        client = Client(secure_world(smtpd_helo_required="yes"))
        client.plain(HELLO)
        client.plain(ENVELOPE)
        client.plain(b"STARTTLS\r\n")
        client.shake()
        self.assertIn(b"503 5.5.1 Error: need RCPT", client.say(b"DATA\r\n"))
        self.assertEqual(client.server.session.helo, "")
        said = client.say(b"MAIL FROM:<a@b.example>\r\n")
        self.assertEqual(said, b"503 5.5.1 Error: send HELO/EHLO first\r\n")

    def test_injected(self) -> None:
        """
        CVE-2011-0411: octets behind STARTTLS end the session.
        """
        w = secure_world()
        client = Client(w)
        client.plain(HELLO)
        said = client.plain(b"STARTTLS\r\n" + ENVELOPE)
        self.assertNotIn(READY, said)
        self.assertIsNone(client.transport.handle)
        self.assertTrue(client.server._engine.closed)

    def test_required(self) -> None:
        """
        With encrypt, all but a few commands need TLS first.
        """
        client = Client(secure_world(smtpd_tls_security_level="encrypt"))
        client.plain(HELLO)
        for command in (b"MAIL FROM:<>\r\n", b"RSET\r\n", b"VRFY a\r\n"):
            self.assertEqual(
                client.plain(command),
                b"530 5.7.0 Must issue a STARTTLS command first\r\n",
            )
        self.assertEqual(client.plain(b"NOOP\r\n"), b"250 2.0.0 Ok\r\n")
        client.plain(b"STARTTLS\r\n")
        client.shake()
        self.assertEqual(client.say(b"MAIL FROM:<>\r\n"), b"250 2.1.0 Ok\r\n")

    def test_twice(self) -> None:
        client = started()
        self.assertEqual(
            client.say(b"STARTTLS\r\n"), b"554 5.5.1 Error: TLS already active\r\n"
        )


class WrapperTests(SynchronousTestCase):
    def test_session(self) -> None:
        """
        The greeting comes after the handshake.
        """
        w = secure_world(smtpd_tls_wrappermode="yes")
        client = Client(w)
        self.assertEqual(client.heard(), b"")
        client.shake()
        self.assertIn(b"220 mx.example.org", client.say(b""))
        self.assertNotIn(b"STARTTLS", client.say(HELLO))
        self.assertEqual(client.say(b"MAIL FROM:<>\r\n"), b"250 2.1.0 Ok\r\n")
        lines = [line.split(" from")[0] for line in w.sink.lines]
        self.assertEqual(lines, ["connect", "Anonymous TLS connection established"])

    def test_early(self) -> None:
        """
        Nothing is read before the client's name is known.
        """
        w = secure_world(smtpd_tls_wrappermode="yes")
        w.names.later = Deferred()
        client = Client(w)
        self.assertEqual(client.transport.producerState, "paused")
        w.names.later.callback(ClientName())
        self.assertEqual(client.transport.producerState, "producing")
        client.shake()
        self.assertIn(b"220 mx.example.org", client.say(b""))


class TroubleTests(SynchronousTestCase):
    def test_timeout(self) -> None:
        """
        A client that never ends the handshake is cut off.
        """
        w = secure_world(smtpd_starttls_timeout="7s")
        client = Client(w)
        client.begin()
        w.clock.advance(6.9)
        self.assertFalse(client.transport.aborted)
        w.clock.advance(0.2)
        self.assertTrue(client.transport.aborted)
        client.lose()
        self.assertEqual(
            w.sink.lines[-3:],
            [
                "SSL_accept error from unknown[192.0.2.1]: Connection timed out",
                "lost connection after STARTTLS from unknown[192.0.2.1]",
                "disconnect from unknown[192.0.2.1] ehlo=1 starttls=0/1 commands=1/2",
            ],
        )

    def test_trickle(self) -> None:
        """
        Octets buy no time.
        """
        w = secure_world(smtpd_starttls_timeout="7s")
        client = Client(w)
        client.begin()
        for octet in b"\x16\x03\x01\x02\x00":
            client.transport.dataReceived(bytes([octet]))
            w.clock.advance(1.5)
        self.assertTrue(client.transport.aborted)

    def test_garbage(self) -> None:
        """
        What is no handshake ends the session; the log says why.
        """
        w = secure_world()
        client = Client(w)
        client.begin()
        client.transport.dataReceived(b"MAIL FROM:<a@b.example>\r\n")
        self.assertIn("SSL_accept error from unknown[192.0.2.1]: -1", w.sink.lines)
        (line,) = [line for line in w.sink.lines if "TLS library problem" in line]
        self.assertTrue(line.startswith("warning: TLS library problem: error:"), line)

    def test_rate(self) -> None:
        """
        smtpd_client_new_tls_session_rate_limit counts new sessions.
        """
        w = secure_world(smtpd_client_new_tls_session_rate_limit="1")
        replies = []
        for _ in range(3):
            client = Client(w)
            client.plain(HELLO)
            heard = client.plain(b"STARTTLS\r\n")
            if heard == READY:
                client.shake()
                heard = client.say(HELLO)
            replies.append(heard[:9])
        self.assertEqual(replies, [b"250-mx.ex", b"421 4.7.0", b"454 4.7.0"])


class CertificateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder, chain = files()
        self.values = {
            "smtpd_tls_chain_files": chain,
            "smtpd_tls_CAfile": write(self.folder / "ca.pem", AUTHORITY.certificate),
            "smtpd_tls_loglevel": "2",
            "smtpd_tls_ask_ccert": "yes",
        }

    def client(self, authority: Authority | None, **values: str) -> Client:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if authority is not None:
            key, own = authority.make("client.example")
            context.use_certificate(crypto.X509.from_cryptography(own))
            context.use_privatekey(crypto.PKey.from_cryptography_key(key))
        self.world = secure_world(**{**self.values, **values})
        client = Client(self.world, context)
        client.begin()
        client.shake()
        return client

    def test_trusted(self) -> None:
        info = self.client(AUTHORITY).server.session.tls
        assert info is not None
        self.assertEqual(
            (info.trusted, info.subject, info.issuer),
            (True, "client.example", "Test CA"),
        )
        self.assertRegex(info.fingerprint, r"\A([0-9A-F]{2}:){31}[0-9A-F]{2}\Z")
        self.assertNotEqual(info.fingerprint, info.key_fingerprint)
        self.assertIn(
            f"unknown[192.0.2.1]: subject_CN=client.example, issuer=Test CA, "
            f"fingerprint={info.fingerprint}, "
            f"pkey_fingerprint={info.key_fingerprint}",
            self.world.sink.lines,
        )
        self.assertIn("Trusted TLS connection", self.world.sink.lines[-1])

    def test_untrusted(self) -> None:
        """
        A certificate of a stranger is no obstacle, and no merit.
        """
        info = self.client(Authority("Nobody")).server.session.tls
        assert info is not None
        self.assertEqual((info.trusted, info.issuer), (False, "Nobody"))
        self.assertIn("Untrusted TLS connection", self.world.sink.lines[-1])

    def test_none(self) -> None:
        info = self.client(None).server.session.tls
        assert info is not None
        self.assertEqual((info.trusted, info.fingerprint), (False, ""))

    def test_required(self) -> None:
        """
        smtpd_tls_req_ccert: who has none that verifies may say one word.
        """
        encrypt = {
            "smtpd_tls_security_level": "encrypt",
            "smtpd_tls_req_ccert": "yes",
            "smtpd_tls_ask_ccert": "no",
        }
        for authority, reply in (
            (AUTHORITY, b"250-mx.example.org"),
            (Authority("Nobody"), b"421 4.7.1 mx.example.org Error: Client certif"),
            (None, b"421 4.7.1 mx.example.org Error: No client certificate presented"),
        ):
            heard = self.client(authority, **encrypt).say(HELLO)
            self.assertTrue(heard.startswith(reply), heard)


class ResumptionTests(SynchronousTestCase):
    def test_ticket(self) -> None:
        """
        A client that comes again need not do everything again; but where a
        certificate counts, it must show it again.
        """
        folder, chain = files()
        ca = write(folder / "ca.pem", AUTHORITY.certificate)
        for values, resumed in (
            ({}, True),
            ({"smtpd_tls_ask_ccert": "yes", "smtpd_tls_CAfile": ca}, False),
            ({"smtpd_tls_session_cache_timeout": "0"}, False),
            ({"tls_session_ticket_cipher": ""}, False),
        ):
            w = secure_world(smtpd_tls_chain_files=chain, **values)
            first = Client(w)
            first.begin()
            first.shake()
            first.say(HELLO)
            assert first.handle is not None
            second = Client(w, first.context)
            second.begin()
            second.shake(first.handle.get_session())
            info = second.server.session.tls
            assert info is not None
            self.assertEqual(info.resumed, resumed, values)
