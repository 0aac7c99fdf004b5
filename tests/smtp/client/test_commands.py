"""
Tests of L{txmta.smtp.client_commands}.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.client.driving import transaction
from txmta.model import Notify, Recipient
from txmta.smtp.client_commands import (
    Features,
    features,
    mail_from,
    rcpt_to,
    uxtext,
    xtext,
)
from txmta.smtp.replies import ServerReply


def offered(*lines: bytes, ignore: tuple[str, ...] = ()) -> Features:
    return features(ServerReply(250, (b"250-mail", *lines)), ignore)


class FeaturesTests(SynchronousTestCase):
    """
    L{features}
    """

    def test_keywords(self) -> None:
        """
        Keywords are matched without case (RFC 5321 section 2.4), and the
        first line offers nothing.
        """
        got = offered(b"250-pipelining", b"250-8BitMime", b"250-dsn", b"250 StartTLS")
        self.assertTrue(got.pipelining and got.eight_bit and got.dsn and got.starttls)
        first = features(ServerReply(250, (b"250 PIPELINING",)))
        self.assertFalse(first.pipelining)

    def test_size(self) -> None:
        """
        SIZE with a number, without one, and with nonsense (RFC 1870).
        """
        for line, limit in (
            (b"250 SIZE 1000", 1000),
            (b"250 SIZE=1000", 1000),
            (b"250 SIZE", 0),
            (b"250 SIZE 0", 0),
            (b"250 SIZE lots", 0),
            (b"250 SIZE -5", 0),
            (b"250 SIZE 18446744073709551616", 2**64),
            (b"250 SIZE " + b"9" * 2000, 0),
        ):
            got = offered(line)
            self.assertEqual((got.size, got.size_limit), (True, limit), line[:40])

    def test_smtputf8(self) -> None:
        """
        SMTPUTF8 without 8BITMIME makes no sense; Postfix assumes both.
        """
        got = offered(b"250 SMTPUTF8")
        self.assertTrue(got.smtputf8 and got.eight_bit)

    def test_ignored(self) -> None:
        """
        smtp_discard_ehlo_keywords
        """
        got = offered(b"250-pipelining", b"250 DSN", ignore=("PIPELINING",))
        self.assertEqual((got.pipelining, got.dsn), (False, True))


ALL = offered(
    b"250-PIPELINING", b"250-SIZE", b"250-8BITMIME", b"250-DSN", b"250 SMTPUTF8"
)


class CommandTests(SynchronousTestCase):
    """
    L{mail_from} and L{rcpt_to}
    """

    def mail(
        self, offers: Features = ALL, quoting: bool = True, **values: object
    ) -> str:
        work = transaction("a@example.com", size=5)
        body = values.pop("body", "")
        assert isinstance(body, str)
        work.body = body
        work.envelope = replace(work.envelope, **values)  # type: ignore[arg-type]
        return mail_from(work, offers, quoting)

    def rcpt(
        self, recipient: Recipient, offers: Features = ALL, utf8: bool = False
    ) -> str:
        work = transaction("a@example.com", smtputf8=utf8)
        return rcpt_to(recipient, work, offers, True)

    def test_mail(self) -> None:
        """
        Each parameter only where it was offered.
        """
        self.assertEqual(
            self.mail(
                body="8BITMIME", envid="QQ=+1", ret="HDRS", smtputf8=True, sender="a@b"
            ),
            "MAIL FROM:<a@b> SIZE=5 BODY=8BITMIME ENVID=QQ+3D+2B1 RET=HDRS SMTPUTF8",
        )
        self.assertEqual(
            self.mail(
                Features(), body="8BITMIME", envid="Q", ret="HDRS", smtputf8=True
            ),
            "MAIL FROM:<me@example.org>",
        )
        self.assertEqual(self.mail(sender=""), "MAIL FROM:<> SIZE=5")

    def test_quoting(self) -> None:
        """
        A local part that is no dot-string is quoted (RFC 5321 section
        4.1.2), unless smtp_quote_rfc821_envelope = no.
        """
        sender = 'a b"@example.com'
        self.assertEqual(
            self.mail(Features(), sender=sender), 'MAIL FROM:<"a b\\""@example.com>'
        )
        self.assertEqual(
            self.mail(Features(), False, sender=sender), f"MAIL FROM:<{sender}>"
        )

    def test_rcpt(self) -> None:
        """
        ORCPT and NOTIFY where DSN is offered (RFC 3461 section 4); without an
        ORCPT of the sender, ours says what the recipient was.
        """
        given_orcpt = Recipient(0, "a@b", "x@b", "rfc822;y+z@b", Notify.NEVER)
        self.assertEqual(
            self.rcpt(given_orcpt),
            "RCPT TO:<a@b> ORCPT=rfc822;y+2Bz@b NOTIFY=NEVER",
        )
        self.assertEqual(self.rcpt(given_orcpt, Features()), "RCPT TO:<a@b>")
        ours = Recipient(0, "a@b", "x y@b", "", Notify.SUCCESS | Notify.DELAY)
        self.assertEqual(
            self.rcpt(ours),
            'RCPT TO:<a@b> ORCPT=rfc822;"x+20y"@b NOTIFY=SUCCESS,DELAY',
        )
        self.assertEqual(self.rcpt(Recipient(0, "a@b", "")), "RCPT TO:<a@b>")

    def test_orcpt_utf8(self) -> None:
        """
        An address that is not ASCII is of type utf-8 (RFC 6533 section 3),
        if the sender asked for SMTPUTF8.
        """
        recipient = Recipient(0, "\xe9@b", "\xe9@b")
        self.assertEqual(
            self.rcpt(recipient, utf8=True), "RCPT TO:<\xe9@b> ORCPT=utf-8;\\x{E9}@b"
        )
        self.assertEqual(self.rcpt(recipient), "RCPT TO:<\xe9@b> ORCPT=rfc822;+C3+A9@b")


class XtextTests(SynchronousTestCase):
    """
    L{xtext} and L{uxtext}
    """

    @settings(deadline=None)
    @given(st.text(st.characters(codec="utf-8"), max_size=20))
    def test_safe(self, text: str) -> None:
        """
        What comes out fits into a parameter, and nothing is lost.
        """
        quoted = xtext(text)
        self.assertRegex(quoted, r"\A[!-<>-~]*\Z")
        octets = quoted.encode("ascii")
        parts = octets.split(b"+")
        back = parts[0] + b"".join(
            [bytes.fromhex(p[:2].decode()) + p[2:] for p in parts[1:]]
        )
        self.assertEqual(back, text.encode("utf-8", "surrogateescape"))
        self.assertRegex(uxtext(text), r"\A[!-*,-<>-~]*\Z")
