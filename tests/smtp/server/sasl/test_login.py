"""
AUTH, from the octets of a client to what the session knows.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.sasl.support import (
    SCRAM,
    TLS,
    b64,
    cram,
    login_world,
    plain,
)
from txmta.model import Login
from txmta.smtp.login import shown

OK = b"235 2.7.0 Authentication successful\r\n"
FAILED = b"535 5.7.8 Error: authentication failed: authentication failure\r\n"


class OfferTests(SynchronousTestCase):
    def test_ehlo(self) -> None:
        """
        AUTH stands where Postfix has it.
        """
        w = login_world(smtpd_sasl_mechanism_filter="plain, login")
        answer = w.connect().say(b"EHLO x\r\n")
        self.assertIn(b"250-VRFY\r\n250-AUTH PLAIN LOGIN\r\n250-ENH", answer)

    def test_old_clients(self) -> None:
        w = login_world(
            broken_sasl_auth_clients="yes", smtpd_sasl_mechanism_filter="plain"
        )
        answer = w.connect().say(b"EHLO x\r\n")
        self.assertIn(b"250-AUTH PLAIN\r\n250-AUTH=PLAIN\r\n", answer)

    def test_security_options(self) -> None:
        """
        Inside TLS other mechanisms may be offered.
        """
        w = login_world(
            smtpd_sasl_security_options="noplaintext, noanonymous",
            smtpd_sasl_tls_security_options="noanonymous",
        )
        talk = w.connect()
        self.assertNotIn(b" PLAIN", talk.say(b"EHLO x\r\n"))
        answer = talk.say(b"AUTH PLAIN " + plain("user", "wonderland") + b"\r\n")
        self.assertIn(b"535 5.7.8 Error: authentication failed: Invalid", answer)
        talk.server.session.tls = TLS
        self.assertIn(b" PLAIN", talk.say(b"EHLO x\r\n"))

    def test_exceptions(self) -> None:
        w = login_world(smtpd_sasl_exceptions_networks="192.0.2.1")
        self.assertNotIn(b"AUTH", w.connect().say(b"EHLO x\r\n"))
        self.assertIn(b"AUTH", w.connect("192.0.2.2").say(b"EHLO x\r\n"))

    def test_keyword_discarded(self) -> None:
        w = login_world(smtpd_discard_ehlo_keywords="auth")
        talk = w.connect()
        self.assertNotIn(b"AUTH", talk.say(b"EHLO x\r\n"))
        self.assertEqual(
            talk.say(b"AUTH PLAIN\r\n"),
            b"503 5.5.1 Error: authentication not enabled\r\n",
        )


class LoginTests(SynchronousTestCase):
    def test_plain(self) -> None:
        w = login_world()
        talk = w.talk()
        said = b"AUTH plain " + plain("user", "wonderland") + b"\r\n"
        self.assertEqual(talk.say(said), OK)
        self.assertEqual(talk.server.session.login, Login("user", "PLAIN"))

    def test_plain_without_initial_response(self) -> None:
        talk = login_world().talk()
        self.assertEqual(talk.say(b"AUTH PLAIN\r\n"), b"334 \r\n")
        self.assertEqual(talk.say(plain("user", "wonderland") + b"\r\n"), OK)

    def test_login(self) -> None:
        talk = login_world().talk()
        self.assertEqual(talk.say(b"AUTH LOGIN\r\n"), b"334 VXNlcm5hbWU6\r\n")
        self.assertEqual(talk.say(b64("user") + b"\r\n"), b"334 UGFzc3dvcmQ6\r\n")
        self.assertEqual(talk.say(b64("wonderland") + b"\r\n"), OK)

    def test_cram_md5(self) -> None:
        import base64

        talk = login_world().talk()
        code, challenge = talk.say(b"AUTH CRAM-MD5\r\n").split()
        self.assertEqual(code, b"334")
        said = cram("user", "wonderland", base64.b64decode(challenge))
        self.assertEqual(talk.say(said + b"\r\n"), OK)

    def test_hash(self) -> None:
        """
        A hash that SCRAM is made for checks a password, too.
        """
        w = login_world({"user": SCRAM})
        said = b"AUTH PLAIN " + plain("user", "wonderland") + b"\r\n"
        self.assertEqual(w.talk().say(said), OK)
        said = b"AUTH PLAIN " + plain("user", "Wonderland") + b"\r\n"
        self.assertEqual(w.talk().say(said), FAILED)

    def test_wrong(self) -> None:
        """
        Wrong password and unknown user are told apart by nobody; the log has
        Postfix's words and no password.
        """
        w = login_world()
        for name, password in (("user", "open sesame"), ("nobody", "wonderland")):
            talk = w.talk()
            said = b"AUTH PLAIN " + plain(name, password) + b"\r\n"
            self.assertEqual(talk.say(said), FAILED)
            self.assertIsNone(talk.server.session.login)
            self.assertEqual(
                w.sink.lines[-1],
                "warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: "
                f"authentication failure, sasl_username={name}",
            )
        text = "\n".join(w.sink.lines)
        for secret in ("sesame", "wonderland", plain("user", "open sesame").decode()):
            self.assertNotIn(secret, text)

    def test_control_characters(self) -> None:
        """
        What a client says cannot forge log lines.
        """
        w = login_world()
        for name in ("a\nb", "a\x1b[31mb", "a\u2028b"):
            said = b"AUTH PLAIN " + plain(name, "x") + b"\r\n"
            self.assertEqual(w.talk().say(said), FAILED)
        w.talk().say(b"AUTH \x1b[31m\r\n")
        for line in w.sink.lines:
            self.assertTrue(line.isprintable(), line)

    def test_shown(self) -> None:
        """
        The log is not the only one that is told; nor is it told without end.
        """
        self.assertEqual(shown("a\n\x1b\u2028\u00e4"), "a???\u00e4")
        self.assertEqual(len(shown("x" * 5000)), 100)

    def test_other_identity(self) -> None:
        """
        Nobody acts for somebody else.
        """
        for authzid, answer in (("user", OK), ("root", FAILED)):
            said = plain("user", "wonderland", authzid)
            self.assertEqual(
                login_world().talk().say(b"AUTH PLAIN " + said + b"\r\n"), answer
            )


class SenderTests(SynchronousTestCase):
    """
    The AUTH parameter of MAIL (RFC 4954 section 5).
    """

    def sent(self, *parameters: str, login: bool = True) -> Login | None:
        w = login_world()
        talk = w.talk()
        if login:
            talk.say(b"AUTH PLAIN " + plain("user", "wonderland") + b"\r\n")
        for parameter in parameters:
            talk.say(b"RSET\r\n")
            said = f"MAIL FROM:<a@b.example> {parameter}\r\n"
            self.assertEqual(talk.say(said.encode()), b"250 2.1.0 Ok\r\n")
        talk.say(b"RCPT TO:<user@example.org>\r\n")
        talk.say(b"DATA\r\n")
        talk.say(b".\r\n")
        return w.cleanup.queued[-1].envelope.login

    def test_sender(self) -> None:
        self.assertEqual(self.sent(""), Login("user", "PLAIN"))
        self.assertEqual(self.sent("AUTH=<>"), Login("user", "PLAIN"))
        self.assertEqual(
            self.sent("AUTH=e+3Dmc2@example.com"),
            Login("user", "PLAIN", "e+3Dmc2@example.com"),
        )

    def test_of_each_message(self) -> None:
        self.assertEqual(self.sent("AUTH=x", ""), Login("user", "PLAIN"))

    def test_nobody(self) -> None:
        """
        Who has not logged in vouches for nobody.
        """
        self.assertIsNone(self.sent("AUTH=x", login=False))

    def test_control_characters(self) -> None:
        self.assertEqual(self.sent("AUTH=a\x1bb"), Login("user", "PLAIN", "a?b"))

    def test_syntax(self) -> None:
        talk = login_world().talk()
        self.assertEqual(
            talk.say(b"MAIL FROM:<a@b> AUTH=x AUTH=y\r\n"),
            b"503 5.5.4 Error: multiple AUTH= options\r\n",
        )


class LoggedTests(SynchronousTestCase):
    def test_client_line(self) -> None:
        """
        The line that names who sent a message, as log readers know it.
        """
        w = login_world()
        talk = w.talk()
        talk.say(b"AUTH PLAIN " + plain("user", "wonderland") + b"\r\n")
        talk.say(b"MAIL FROM:<a@b.example> AUTH=x\r\n")
        talk.say(b"RCPT TO:<user@example.org>\r\n")
        self.assertEqual(
            w.sink.lines[-1],
            "ID1: client=unknown[192.0.2.1], sasl_method=PLAIN, sasl_username=user, "
            "sasl_sender=x",
        )


class SequenceTests(SynchronousTestCase):
    def test_cancel(self) -> None:
        w = login_world()
        talk = w.talk()
        talk.say(b"AUTH LOGIN\r\n")
        self.assertEqual(talk.say(b"*\r\n"), b"501 5.7.0 Authentication aborted\r\n")
        self.assertEqual(
            w.sink.lines[-1],
            "warning: unknown[192.0.2.1]: SASL LOGIN authentication aborted",
        )
        self.assertEqual(talk.say(b"NOOP\r\n"), b"250 2.0.0 Ok\r\n")

    def test_base64(self) -> None:
        for first, words in (
            (b"AUTH PLAIN !!!!", b"Invalid base64 data in initial response"),
            (b"AUTH PLAIN AAA", b"Invalid base64 data in initial response"),
            (b"AUTH PLAIN\r\n|AA=A", b"Invalid base64 data in continued response"),
        ):
            talk = login_world().talk()
            for each in first.split(b"|"):
                answer = talk.say(each.rstrip() + b"\r\n")
            self.assertEqual(
                answer, b"535 5.7.8 Error: authentication failed: " + words + b"\r\n"
            )

    def test_empty_initial_response(self) -> None:
        """
        "=" is a response of no octets (RFC 4954 section 4).
        """
        talk = login_world().talk()
        self.assertEqual(talk.say(b"AUTH PLAIN =\r\n"), FAILED)

    def test_length(self) -> None:
        """
        A response may have 12288 octets, and a command no more than before.
        """
        talk = login_world({"user": "{PLAIN}" + "x" * 8000}).talk()
        talk.say(b"AUTH PLAIN\r\n")
        said = plain("user", "x" * 8000)
        self.assertGreater(len(said), 10000)
        self.assertEqual(talk.say(said + b"\r\n"), OK)
        talk = login_world().talk()
        talk.say(b"AUTH PLAIN\r\n")
        self.assertEqual(
            talk.say(b"A" * 12292 + b"\r\n"),
            b"500 5.5.6 SASL response limit exceeded\r\n",
        )
        self.assertEqual(talk.say(b"NOOP\r\n"), b"250 2.0.0 Ok\r\n")

    def test_out_of_order(self) -> None:
        w = login_world()
        talk = w.talk()
        talk.say(b"MAIL FROM:<a@b.example>\r\n")
        self.assertEqual(
            talk.say(b"AUTH PLAIN\r\n"),
            b"503 5.5.1 Error: MAIL transaction in progress\r\n",
        )
        talk.say(b"RSET\r\n")
        said = b"AUTH PLAIN " + plain("user", "wonderland") + b"\r\n"
        self.assertEqual(talk.say(said), OK)
        self.assertEqual(talk.say(said), b"503 5.5.1 Error: already authenticated\r\n")

    def test_syntax(self) -> None:
        talk = login_world().talk()
        for said in (b"AUTH\r\n", b"AUTH PLAIN a b\r\n"):
            self.assertEqual(talk.say(said), b"501 5.5.4 Syntax: AUTH mechanism\r\n")

    def test_not_enabled(self) -> None:
        talk = login_world(smtpd_helo_required="yes").connect()
        talk.heard()
        self.assertEqual(
            talk.say(b"AUTH PLAIN\r\n"), b"503 5.5.1 Error: send HELO/EHLO first\r\n"
        )

    def test_injection(self) -> None:
        """
        What was sent before the login is not obeyed as said by the user.
        """
        talk = login_world().talk()
        said = b"AUTH PLAIN " + plain("user", "wonderland") + b"\r\nMAIL FROM:<a@b>\r\n"
        self.assertEqual(
            talk.say(said), b"554 5.5.0 Error: SMTP protocol synchronization\r\n"
        )
        self.assertIsNone(talk.server.session.login)
        talk = login_world().talk()
        talk.say(b"AUTH PLAIN\r\n")
        answer = talk.say(plain("user", "wonderland") + b"\r\nMAIL FROM:<a@b>\r\n")
        self.assertIn(b"554 5.5.0", answer)

    def test_tls_only(self) -> None:
        """
        In plaintext nobody is asked for a password.
        """
        w = login_world()
        talk = w.talk()
        talk.server._engine.rules.__dict__["auth_tls_only"] = True
        self.assertNotIn(b"AUTH", talk.say(b"EHLO x\r\n"))
        said = b"AUTH PLAIN " + plain("user", "wonderland") + b"\r\n"
        self.assertEqual(
            talk.say(said),
            b"504 5.5.4 Encryption required for requested authentication mechanism\r\n",
        )
        self.assertEqual(w.table.asked, [])
        talk.server.session.tls = TLS
        self.assertIn(b"AUTH", talk.say(b"EHLO x\r\n"))
        self.assertEqual(talk.say(said), OK)

    def test_error_limit(self) -> None:
        w = login_world(smtpd_hard_error_limit="2")
        talk = w.talk()
        said = b"AUTH PLAIN " + plain("user", "x") + b"\r\n"
        talk.say(said)
        answer = talk.say(said)
        self.assertIn(b"421 4.7.0 mx.example.org Error: too many errors", answer)

    def test_counts(self) -> None:
        w = login_world()
        talk = w.talk()
        talk.say(b"AUTH PLAIN " + plain("user", "x") + b"\r\n")
        talk.say(b"QUIT\r\n")
        talk.hang_up()
        self.assertIn("ehlo=1 auth=0/1 quit=1 commands=2/3", w.sink.lines[-1])


class DelayTests(SynchronousTestCase):
    def test_growing(self) -> None:
        """
        Each failure of an address costs it more time.
        """
        w = login_world(
            smtpd_sasl_failure_delay="1s", smtpd_sasl_failure_max_delay="3s"
        )
        said = b"AUTH PLAIN " + plain("user", "x") + b"\r\n"
        for seconds in (1.0, 2.0, 3.0, 3.0):
            talk = w.talk()
            self.assertEqual(talk.say(said), b"")
            w.clock.advance(seconds - 0.1)
            self.assertEqual(talk.heard(), b"")
            w.clock.advance(0.2)
            self.assertEqual(talk.heard(), FAILED)

    def test_client_gone(self) -> None:
        w = login_world(smtpd_sasl_failure_delay="1s")
        talk = w.talk()
        talk.say(b"AUTH PLAIN " + plain("user", "x") + b"\r\n")
        talk.hang_up()
        self.assertEqual(w.clock.getDelayedCalls(), [])

    def test_limit(self) -> None:
        """
        Who failed too often is not asked any more, not even for a password that
        is right.
        """
        w = login_world(smtpd_sasl_failure_limit="2")
        for _ in range(2):
            w.talk().say(b"AUTH PLAIN " + plain("user", "x") + b"\r\n")
        said = b"AUTH PLAIN " + plain("user", "wonderland") + b"\r\n"
        self.assertIn(b"454 4.7.0", w.talk().say(said))
        w.clock.advance(601)
        self.assertEqual(w.talk().say(said), OK)
