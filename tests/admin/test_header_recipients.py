"""
L{txmta.admin.header_recipients}. What Postfix finds in the same headers is in
L{tests.interop.test_sendmail_oracle}.
"""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.admin.header_recipients import HeaderRecipients, addresses


class AddressTests(SynchronousTestCase):
    def test_lists(self) -> None:
        for text, expected in (
            ("a@b", ["a@b"]),
            ("a, b@c,, d;", ["a", "b@c", "d"]),
            ("Joe <a@b>, (c, d) e", ["a@b", "e"]),
            ('"q, r"@x', ["q, r@x"]),
            ('"a\\"b\\\\" @x', ['a"b\\@x']),
            ("grp: a, b;, c", ["a", "b", "c"]),
            ("undisclosed:;", []),
            ("<>", []),
            ("<a@b> (x) tail, c", ["a@b", "c"]),
            ("a b", ["a", "b"]),
            ("a @ b . c", ["a@b.c"]),
            ("x@[1.2.3.4]", ["x@[1.2.3.4]"]),
            ("<@a,@b:c@d>", ["@a,@b:c@d"]),
            ("a\r\n b", ["a", "b"]),
            ("(nested (x) y) a", ["a"]),
            ("<a", ["a"]),
            ('"open', ["open"]),
            ("(open", []),
            ("[open", ["[open"]),
            ("a\\", ["a"]),
            ("\\", []),
            ("", []),
        ):
            self.assertEqual(addresses(text), expected, text)

    @given(st.text('a"\\()<>[],;:@. \n\u00e4', max_size=40))
    @hypothesis_settings(deadline=None)
    def test_total(self, text: str) -> None:
        """
        Every text is a list; none grows.
        """
        self.assertLessEqual(sum(map(len, addresses(text))), 2 * len(text))

    def test_linear(self) -> None:
        """
        No text takes longer than its length.
        """
        for piece in ("(", "<", '"\\', "a,", "[", "a b ", "@a,", "(\\", ":;"):
            text = piece * (100_000 // len(piece))
            start = time.process_time()
            addresses(text)
            self.assertLess(time.process_time() - start, 2.0, piece)


class HeaderTests(SynchronousTestCase):
    def found(self, *headers: str) -> list[str]:
        recipients = HeaderRecipients()
        for header in headers:
            self.assertTrue(recipients.header(header))
        return recipients.all()

    def test_names(self) -> None:
        self.assertEqual(
            self.found("To: a\n", "CC : b\n", "bcc:\n c\n", "X-To: d\n", "From: e\n"),
            ["a", "b", "c"],
        )

    def test_resent(self) -> None:
        """
        Of a message resent, those of the first sending do not get it again.
        """
        self.assertEqual(
            self.found("To: a\n", "Resent-To: b\n", "Cc: c\n", "Resent-Bcc: d\n"),
            ["b", "d"],
        )

    def test_no_header(self) -> None:
        for text in ("no header", " To: x", "To x: y", ": x", ""):
            self.assertFalse(HeaderRecipients().header(text))
