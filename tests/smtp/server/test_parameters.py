"""
The ESMTP parameters of MAIL and RCPT.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.model import Notify
from txmta.smtp.parameters import (
    BadParameter,
    mail_parameters,
    printable,
    rcpt_parameters,
    utf8_xtext,
    xtext,
)


def encoded(text: str) -> str:
    """
    xtext as RFC 3461 section 4 wants it.
    """
    return "".join(
        c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in text
    )


class XtextTests(SynchronousTestCase):
    @given(st.text(alphabet=st.characters(max_codepoint=126), max_size=20))
    def test_round_trip(self, text: str) -> None:
        self.assertEqual(xtext(encoded(text)), text)

    def test_octets(self) -> None:
        """
        Hex pairs stand for octets, which may be UTF-8 or not.
        """
        self.assertEqual(xtext("+C3+BC"), "\xfc")
        self.assertEqual(xtext("\xfc+C3+BC"), "\xfc\xfc")
        self.assertEqual(xtext("+FF"), "\udcff")

    def test_malformed(self) -> None:
        for text in ("+", "+2", "+2G", "a+", "+2a", "++"):
            self.assertRaises(ValueError, xtext, text)

    def test_unicode(self) -> None:
        """
        RFC 6533 section 3.
        """
        self.assertEqual(utf8_xtext("a\\x{FC}b\\x{1F600}"), "a\xfcb\U0001f600")
        self.assertEqual(utf8_xtext("\xfc"), "\xfc")
        for text in ("\\", "\\x", "\\x{}", "\\x{D800}", "\\x{110000}", "\\x{1234567}"):
            self.assertRaises(ValueError, utf8_xtext, text)

    def test_linear(self) -> None:
        """
        A wrong end far away is found; with a square law it would not be while
        anybody waits.
        """
        size = 100_000
        self.assertEqual(xtext("+41" * size), "A" * size)
        self.assertEqual(utf8_xtext("\\x{41}" * size), "A" * size)
        for piece in ("+41", "a+41", "a"):
            self.assertRaises(ValueError, xtext, piece * size + "+")
        for piece in ("\\x{41}", "a\\x{41}", "a"):
            self.assertRaises(ValueError, utf8_xtext, piece * size + "\\")


class ParameterTests(SynchronousTestCase):
    def refused(
        self, function: object, *parameters: str, off: tuple[str, ...] = ()
    ) -> str:
        assert callable(function)
        error = self.assertRaises(BadParameter, function, parameters, off)
        reply = error.reply
        return f"{reply.code} {reply.status} {reply.text}"

    def test_mail(self) -> None:
        found = mail_parameters(
            ["SIZE=10", "BODY=8bitmime", "SMTPUTF8", "RET=hdrs", "ENVID=a+20b"], ()
        )
        self.assertEqual(
            (found.size, found.body, found.smtputf8, found.ret, found.envid),
            (10, "8BITMIME", True, "HDRS", "a b"),
        )

    def test_hidden_line_ends(self) -> None:
        """
        Nothing that a client encodes can break a header, a log line or a
        queue file (CVE-2020-28026).
        """
        for hidden in ("+0A", "+0D", "+00", "+1B", "+7F", "+C2+85", "+E2+80+A8"):
            self.assertIn("ENVID", self.refused(mail_parameters, f"ENVID=a{hidden}b"))
            orcpt = f"ORCPT=rfc822;a{hidden}b"
            self.assertIn("ORCPT", self.refused(rcpt_parameters, orcpt))
        for hidden in ("A", "0A", "00", "2028", "85", "1B"):
            orcpt = f"ORCPT=utf-8;a\\x{{{hidden}}}b"
            self.assertIn("ORCPT", self.refused(rcpt_parameters, orcpt))

    def test_plain_control_characters(self) -> None:
        self.assertFalse(printable("a\x01b"))
        self.assertFalse(printable("a\x85b"))
        self.assertTrue(printable("a b\xfc\udcff"))
        self.refused(rcpt_parameters, "ORCPT=rfc822;a\x01b")
        self.refused(mail_parameters, "ENVID=a\x01b")

    def test_rcpt(self) -> None:
        found = rcpt_parameters(
            ["NOTIFY=success,,Delay", "ORCPT=rfc822;a+2Bb@c.example"], ()
        )
        self.assertEqual(found.notify, Notify.SUCCESS | Notify.DELAY)
        self.assertIs(type(found.notify), int)
        self.assertEqual(found.orcpt, "rfc822;a+b@c.example")

    def test_huge_sizes(self) -> None:
        """
        Numbers of any length are only compared, and answered.
        """
        for size in ("9" * 21, str(2**63), str(2**64), "9" * 2000):
            refusal = self.refused(mail_parameters, f"SIZE={size}")
            self.assertEqual(
                refusal, "552 5.3.4 Message size exceeds file system imposed limit"
            )
        for size in ("-1", "+1", "0x10", "\u0661", "1e3", ""):
            refusal = self.refused(mail_parameters, f"SIZE={size}")
            self.assertEqual(refusal, "501 5.5.4 Bad message size syntax")

    def test_switched_off(self) -> None:
        """
        A keyword that EHLO did not offer has no parameter.
        """
        off = ("DSN", "8BITMIME", "SMTPUTF8")
        self.assertIn("555", self.refused(mail_parameters, "BODY=7BIT", off=off))
        self.assertIn("555", self.refused(mail_parameters, "SMTPUTF8", off=off))
        for parameter in ("RET=FULL", "ENVID=x"):
            refusal = self.refused(mail_parameters, parameter, off=off)
            self.assertEqual(refusal, "501 5.7.1 DSN support is disabled")
