"""
Text below refusals.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.support import world
from txmta.errors import ConfigError
from txmta.model import Client, Reply
from txmta.smtp.footer import Footer
from txmta.smtp.session import Session

_REFUSAL = Reply(554, "5.7.1", "No")


class FooterTests(SynchronousTestCase):
    def below(self, template: str, helo: str = "") -> str:
        session = Session(Client("192.0.2.1", 4711, "a.example"), helo)
        return Footer(template, "mx.example.org").below(_REFUSAL, session).text

    def test_forms(self) -> None:
        """
        Another line, or more of the same; macros and conditions.
        """
        for template, expected in (
            ("Call us", "No\nCall us"),
            ("\\c. Call us\\nat once", "No. Call us\nat once"),
            ("$client $server_name", "No\na.example[192.0.2.1] mx.example.org"),
            ("x${helo_name? of $helo_name}.", "No\nx of h."),
            ("x${nothing?y}$nothing", "No\nx"),
        ):
            self.assertEqual(self.below(template, helo="h"), expected, template)

    def test_unprintable(self) -> None:
        """
        What a client says of himself adds no line, and is bounded.
        """
        text = self.below("$helo_name", helo="a\r\n250 Ok\x1b\xfc" + "b" * 9000)
        self.assertTrue(text.startswith("No\na__250 Ok__bb"), text[:40])
        self.assertLess(len(text), 2100)

    def test_session(self) -> None:
        """
        Below refusals of all kinds, not below anything else.
        """
        w = world(smtpd_reject_footer="\\c. Call us\\nSoon")
        t = w.connect()
        self.assertNotIn(b"Soon", t.heard() + t.say(b"EHLO x\r\n"))
        self.assertEqual(
            t.say(b"XYZZY\r\n"),
            b"500-5.5.2 Error: command not recognized. Call us\r\n500 5.5.2 Soon\r\n",
        )
        t.say(b"MAIL FROM:<a@b.example>\r\n")
        self.assertIn(
            b"denied. Call us\r\n454 4.7.1 Soon", t.say(b"RCPT TO:<x@y.z>\r\n")
        )

    def test_malformed(self) -> None:
        """
        Such a server does not start.
        """
        self.assertRaises(ValueError, Footer, "${x", "mx")
        error = self.assertRaises(ConfigError, world, smtpd_reject_footer="${x")
        (found,) = error.problems
        self.assertTrue(found.startswith("smtpd_reject_footer: "), found)
