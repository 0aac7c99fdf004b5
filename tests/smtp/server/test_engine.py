"""
The engine: one question at a time, limits, TLS, the end.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.driver import HOST, LOOSE, STRICT, YES, Driven
from txmta.config.settings import Settings
from txmta.model import Reply, TLSInfo
from txmta.smtp.commands import State
from txmta.smtp.requests import Rcpt, Request, Sender
from txmta.smtp.rules import Limits, Rules, forbidden

TLS = TLSInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, 256)
NO = Reply(550, "5.7.1", "no")


def silent(request: Request) -> Reply | None:
    return None


def settled(rules: Rules = STRICT) -> Driven:
    """
    A session with one accepted recipient.
    """
    driven = Driven(rules)
    driven.feed(b"EHLO x\r\n")
    driven.feed(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
    return driven


class QueueTests(SynchronousTestCase):
    def test_one_question_at_a_time(self) -> None:
        """
        Pipelined commands wait for the answer to the one before.
        """
        driven = Driven(answers=silent)
        driven.feed(b"EHLO x\r\n")
        driven.feed(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRSET\r\n")
        self.assertEqual([type(r) for r in driven.asked], [Sender])
        self.assertTrue(driven.engine.busy)
        self.assertEqual(driven.feed(b"RSET\r\n"), "")
        self.assertEqual(driven.answer(), "250 2.0.0 Ok\r\n")
        self.assertEqual([type(r) for r in driven.asked], [Sender, Rcpt])
        said = driven.answer(NO)
        self.assertEqual(said, "550 5.7.1 no\r\n250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n")

    def test_reset_waits_for_the_message(self) -> None:
        """
        RSET behind the final dot is answered after the message.
        """
        driven = settled()
        driven.feed(b"DATA\r\n")
        driven.answers = silent
        self.assertEqual(driven.feed(b"x\r\n.\r\nRSET\r\n"), "")
        self.assertTrue(driven.engine.committing)
        said = driven.answer(Reply(451, "4.3.0", "disk"))
        self.assertEqual(said, "451 4.3.0 disk\r\n250 2.0.0 Ok\r\n")
        self.assertFalse(driven.engine.committing)

    def test_nothing_before_the_greeting(self) -> None:
        """
        A client that talks first is out of step; where that is allowed, its
        commands wait.
        """
        for rules, expected in (
            (STRICT, "554 5.5.0 Error: SMTP protocol synchronization\r\n"),
            (LOOSE, f"220 {HOST} ESMTP\r\n250 2.0.0 Ok\r\n"),
        ):
            driven = Driven(rules, greet=False)
            self.assertEqual(driven.feed(b"NOOP\r\n"), "")
            driven.engine.greet("c[192.0.2.1]", False)
            self.assertEqual(driven.run(), expected)

    def test_octets_one_by_one_while_busy(self) -> None:
        """
        What waits is not copied for each octet that comes.
        """
        driven = Driven(answers=silent)
        driven.feed(b"EHLO x\r\n")
        driven.feed(b"MAIL FROM:<>\r\n")
        for _ in range(100000):
            driven.engine.receive(b"x")
        self.assertEqual(len(driven.engine.stream), 100000)

    def test_endless_line_is_not_kept(self) -> None:
        driven = Driven()
        for _ in range(100):
            driven.feed(b"x" * 65536)
        self.assertEqual(len(driven.engine.stream), 0)
        self.assertIn("500 5.5.2", driven.feed(b"\r\n"))


class LimitTests(SynchronousTestCase):
    def test_slow_down(self) -> None:
        """
        Every reply waits after smtpd_soft_error_limit errors, and what was
        said before does not.
        """
        rules = replace(STRICT, limits=Limits(sleep=1.5, soft_errors=2))
        driven = Driven(rules)
        driven.feed(b"EHLO x\r\n")
        driven.feed(b"FOO\r\nFOO\r\nRSET\r\n")
        self.assertEqual(driven.story.count("sleep 1.5"), 2)
        at = driven.story.index("sleep 1.5")
        self.assertTrue(driven.story[at - 1].startswith("500"), driven.story)

    def test_no_sleep_after_the_end(self) -> None:
        """
        The last words are held back too, and the session is open until then.
        """
        rules = replace(STRICT, limits=Limits(sleep=1, soft_errors=1, hard_errors=1))
        driven = Driven(rules)
        driven.engine.receive(b"FOO\r\n")
        engine = driven.engine
        while (request := engine.next()) is not None:
            last = request
        self.assertFalse(engine.closed)
        self.assertEqual(engine.output(), b"")
        self.assertEqual(type(last).__name__, "Sleep")
        engine.wake()
        driven.run()
        self.assertTrue(engine.closed)
        self.assertIn("421 4.7.0", "".join(driven.story))

    def test_content_too_large(self) -> None:
        """
        Nothing is kept of what is too large, and its rest is no command.
        """
        driven = settled(replace(STRICT, limits=Limits(size=1000)))
        driven.feed(b"DATA\r\n")
        for _ in range(20):
            self.assertEqual(driven.feed(b"x" * 100), "")
        self.assertEqual(driven.story.count("<txmta.smtp.requests.Forget"), 1)
        said = driven.feed(b"\r\n.\r\n")
        self.assertEqual(said, "552 5.3.4 Error: message file too big\r\n")
        self.assertIs(driven.engine.state, State.IDLE)

    def test_no_size_limit(self) -> None:
        driven = settled(replace(STRICT, limits=Limits(size=0)))
        driven.feed(b"DATA\r\n")
        driven.feed(b"x" * 200000 + b"\r\n.\r\n")
        self.assertIn("250 2.0.0 Ok", driven.story[-1])


class NoopTests(SynchronousTestCase):
    def test_noop_commands(self) -> None:
        """
        smtpd_noop_commands, which count as junk.
        """
        limits = Limits(sleep=0, junk=1, hard_errors=1)
        driven = Driven(replace(STRICT, noop=frozenset({b"XYZ"}), limits=limits))
        for _ in range(2):
            self.assertEqual(driven.feed(b"xyz 1\r\n"), "250 2.0.0 Ok\r\n")
        self.assertIn("421 4.7.0", driven.feed(b"XYZ\r\n"))


class TLSTests(SynchronousTestCase):
    """
    The place for STARTTLS: RFC 3207.
    """

    rules = replace(STRICT, tls=True)

    def test_forgets(self) -> None:
        """
        Section 4.2: greeting and envelope do not outlive the handshake.
        """
        driven = settled(self.rules)
        self.assertIn("250-STARTTLS\r\n", driven.feed(b"EHLO x\r\n"))
        driven.feed(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
        said = driven.feed(b"STARTTLS\r\n")
        self.assertEqual(said, "220 2.0.0 Ready to start TLS\r\n")
        self.assertEqual(driven.story[-1], "StartTLS")
        driven.engine.secured(TLS)
        self.assertEqual(driven.engine.session.helo, "")
        self.assertEqual(driven.engine.session.protocol, "SMTP")
        self.assertIsNone(driven.engine.transaction)
        self.assertIn("503 5.5.1", driven.feed(b"DATA\r\n"))
        self.assertNotIn("STARTTLS", driven.feed(b"EHLO x\r\n"))
        self.assertIn("554 5.5.1", driven.feed(b"STARTTLS\r\n"))

    def test_injected_with_the_command(self) -> None:
        """
        CVE-2011-0411: octets behind STARTTLS end the session.
        """
        driven = Driven(self.rules)
        driven.feed(b"EHLO x\r\n")
        said = driven.feed(b"STARTTLS\r\nRCPT TO:<injected@d.example>\r\n")
        self.assertEqual(said, "554 5.5.0 Error: SMTP protocol synchronization\r\n")
        self.assertTrue(driven.engine.closed)
        self.assertNotIn("StartTLS", driven.story)

    def test_injected_before_the_handshake(self) -> None:
        """
        So do octets, even half a command, that come before the handshake.
        """
        for octets in (b"MAIL FROM:<a@b.example>\r\n", b"MAIL"):
            driven = Driven(self.rules)
            driven.feed(b"EHLO x\r\n")
            driven.feed(b"STARTTLS\r\n")
            driven.feed(octets)
            driven.engine.secured(TLS)
            driven.run()
            self.assertTrue(driven.engine.closed, octets)
            self.assertEqual(driven.asked, [])

    def test_arguments(self) -> None:
        driven = Driven(self.rules)
        self.assertIn("501 5.5.4 Syntax: STARTTLS", driven.feed(b"STARTTLS now\r\n"))


class EndTests(SynchronousTestCase):
    def trouble(self, driven: Driven) -> str:
        driven.engine.lost()
        driven.run()
        return next((s for s in driven.story if s.startswith("Trouble")), "")

    def test_stages(self) -> None:
        """
        Where a client went away, in Postfix's words.
        """
        driven = Driven()
        self.assertIn("after='CONNECT'", self.trouble(driven))
        driven = Driven()
        driven.feed(b"FOO\r\n")
        self.assertIn("after='UNKNOWN'", self.trouble(driven))
        driven = settled()
        self.assertIn("after='RCPT'", self.trouble(driven))
        driven = settled()
        driven.feed(b"DATA\r\n")
        driven.feed(b"abc\r\n")
        self.assertIn("after='DATA (3 bytes)'", self.trouble(driven))
        driven = settled()
        driven.feed(b"BDAT 9\r\nabc")
        self.assertIn("after='BDAT (3 bytes)'", self.trouble(driven))

    def test_silent_ends(self) -> None:
        """
        Nobody is told that a client went away after its message, or after QUIT.
        """
        driven = settled()
        driven.feed(b"DATA\r\n")
        driven.feed(b".\r\n")
        self.assertEqual(self.trouble(driven), "")
        driven = settled()
        driven.feed(b"QUIT\r\n")
        self.assertEqual(self.trouble(driven), "")

    def test_lost_transaction_is_forgotten(self) -> None:
        driven = settled()
        driven.feed(b"DATA\r\n")
        self.trouble(driven)
        self.assertIn("<txmta.smtp.requests.Forget", driven.story)

    def test_lost_while_committing(self) -> None:
        """
        A message that is complete is not taken back.
        """
        driven = settled()
        driven.feed(b"DATA\r\n")
        driven.answers = silent
        driven.feed(b".\r\n")
        self.trouble(driven)
        self.assertNotIn("<txmta.smtp.requests.Forget", driven.story)
        driven.engine.answer(YES)

    def test_drain(self) -> None:
        """
        A transaction may end; the next command gets 421.
        """
        driven = settled()
        driven.engine.drain()
        driven.feed(b"DATA\r\n")
        said = driven.feed(b".\r\nNOOP\r\n")
        self.assertEqual(
            said,
            "250 2.0.0 Ok\r\n"
            f"421 4.3.2 {HOST} Service not available, closing transmission channel\r\n",
        )
        self.assertTrue(driven.engine.closed)

    def test_drain_idle(self) -> None:
        """
        Between transactions 421 comes at once, instead of 220 too; but not
        while a handshake begins.
        """
        driven = Driven(replace(STRICT, tls=True))
        driven.feed(b"EHLO x\r\n")
        driven.feed(b"STARTTLS\r\n")
        driven.engine.drain()
        self.assertEqual(driven.run(), "")
        driven.engine.secured(TLS)
        self.assertEqual(driven.run()[:9], "421 4.3.2")
        fresh = Driven(greet=False)
        fresh.engine.drain()
        self.assertEqual(fresh.run(), "")
        fresh.engine.greet("client[192.0.2.1]", False)
        self.assertEqual(fresh.run()[:9], "421 4.3.2")
        self.assertTrue(fresh.engine.closed)

    def test_answer_after_the_end(self) -> None:
        """
        An answer that comes too late opens nothing again.
        """
        driven = Driven(answers=silent)
        driven.feed(b"MAIL FROM:<>\r\n")
        driven.engine.stop()
        self.assertIn("421 4.3.2", driven.run())
        self.assertEqual(driven.answer(), "")
        self.assertTrue(driven.engine.closed)

    def test_after_the_end(self) -> None:
        """
        What arrives after we hung up is not looked at.
        """
        driven = settled()
        driven.feed(b"QUIT\r\nMAIL FROM:<>\r\n")
        self.assertEqual(driven.feed(b"NOOP\r\n"), "")
        driven.engine.time_out()
        driven.engine.stop()
        driven.engine.lost()
        self.assertEqual(driven.run(), "")


class ReplyTests(SynchronousTestCase):
    def test_control_characters(self) -> None:
        """
        A client's octets cannot break a reply.
        """
        driven = Driven()
        said = driven.feed(b"MAIL FROM:<a@b.example> X=\r\x00\x1b\x7fY\r\n")
        self.assertEqual(said[:3], "555")
        self.assertNotRegex(said[:-2], r"[\x00-\x1f\x7f]")

    def test_several_lines(self) -> None:
        driven = Driven(answers=lambda r: Reply(550, "5.7.1", "one\ntwo"))
        said = driven.feed(b"MAIL FROM:<>\r\n")
        self.assertEqual(said, "550-5.7.1 one\r\n550 5.7.1 two\r\n")

    def test_final_answers(self) -> None:
        """
        421 and a reply that says so end the session.
        """
        for reply in (Reply(421, "4.3.0", "bye"), Reply(554, "5.7.1", "bye", True)):
            driven = Driven(answers=silent)
            driven.feed(b"MAIL FROM:<>\r\n")
            driven.answer(reply)
            self.assertTrue(driven.engine.closed)


class ForbiddenTests(SynchronousTestCase):
    def test_default(self) -> None:
        pattern = Rules.of(Settings.of()).forbidden
        for line in (b"GET /", b"get", b"CONNECT x", b"\x16\x03", b"123"):
            self.assertIsNotNone(pattern.match(line), line)
        for line in (b"GETX", b"foo", b"FOO GET"):
            self.assertIsNone(pattern.match(line), line)

    def test_nothing(self) -> None:
        self.assertIsNone(forbidden(()).match(b"GET /"))

    def test_not_understood(self) -> None:
        """
        A table that we cannot open stops the start, by name.
        """
        error = self.assertRaises(ValueError, forbidden, ("hash:/x",))
        self.assertIn("hash:/x", str(error))
        self.assertRaises(ValueError, forbidden, ("regexp:{{/[/ x}}",))
