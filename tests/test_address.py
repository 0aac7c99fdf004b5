"""
Tests of L{txmta.address}.
"""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.address import (
    is_literal,
    join,
    literal_address,
    parse_path,
    quote,
    scan,
    split,
    unquote,
    valid_domain,
    valid_mail_domain,
)

#: What Debian's Postfix takes, and what it makes of it.
ACCEPTED = {
    "<user@example.com>": "user@example.com",
    "<USER@Example.COM>": "USER@Example.COM",
    "<user+ext.x@sub.example.com>": "user+ext.x@sub.example.com",
    "<>": "",
    "<postmaster>": "postmaster",
    "<Postmaster>": "Postmaster",
    '<"a b"@example.com>': "a b@example.com",
    '<"a\\"b\\\\c"@example.com>': 'a"b\\c@example.com',
    '<"a@b"@example.com>': "a@b@example.com",
    '<"">': "",
    '<""@example.com>': "@example.com",
    "<@relay.example,@other.example:user@example.com>": "user@example.com",
    "<@relay.example:user>": "user",
    "<user@[192.0.2.1]>": "user@[192.0.2.1]",
    "<user@[IPv6:2001:db8::1]>": "user@[IPv6:2001:db8::1]",
    "<user@example.com.>": "user@example.com.",
    "<user@localhost>": "user@localhost",
    "<user@a_b.example>": "user@a_b.example",
    "user@example.com": "user@example.com",
    "user": "user",
    "Some One <user@example.com>": "user@example.com",
    '"One, Some" <user@example.com>': "user@example.com",
    "<user@example.com> (comment)": "user@example.com",
    "(com(m)ent) <user@example.com>": "user@example.com",
    "< user @ example.com >": "user@example.com",
    "<user%there@example.com>": "user%there@example.com",
    "<there!user>": "there!user",
    "<a\\@b@example.com>": "a@b@example.com",
    "<a:b@example.com>": "a:b@example.com",
    '<user@"a@b">': "user@a@b",
    "<k\u00e4se@example.com>": "k\u00e4se@example.com",
    "<\udce4@example.com>": "\udce4@example.com",
}

REFUSED = (
    "",
    " ",
    "<",
    ">",
    "<user@example.com",
    "user@example.com>",
    "<user@example.com>x",
    "<a@example.com> <b@example.com>",
    "<a@example.com>, b@example.com",
    "a@example.com, b@example.com",
    "one two",
    "a b@example.com",
    "<user@>",
    "<@>",
    "<user@.>",
    "<user@a..b>",
    "<user@.example.com>",
    "<user@example.com..>",
    "<user@-a.example>",
    "<user@a-.example>",
    "<user@exa mple.com;>",
    "<user@192.0.2.1>",
    "<user@[192.0.2.256]>",
    "<user@[0.0.0.1]>",
    "<user@[IPv6:2001:db8::g]>",
    "<user@[2001:db8::1]>",
    "<user@[tag:content]>",
    "<user@[192.0.2.1]x>",
    "<a,b@example.com>",
    "<a;b@example.com>",
    "<a b@example.com>",
    '<"a"b@example.com>',
    "<user@example.com extra>",
    "<user@m\u00fcller.example>",
    "<user\x00@example.com>",
    "<user\x7f@example.com>",
    "<user@" + "a" * 64 + ".example>",
    "<user@" + "a." * 130 + "example>",
    "<" + "a" * 2048 + "@example.com>",
    "<user@\udce4.example>",
)


class ParsePathTests(SynchronousTestCase):
    def test_accepted(self) -> None:
        """
        What RFC 5321 section 4.1.2 allows, and what Postfix takes besides.
        """
        for text, address in ACCEPTED.items():
            self.assertEqual(parse_path(text), address, text)

    def test_refused(self) -> None:
        """
        What is not one address, or has no possible domain.
        """
        for text in REFUSED:
            with self.assertRaises(ValueError, msg=text):
                parse_path(text)

    def test_strict(self) -> None:
        """
        strict_rfc821_envelopes: brackets, and nothing but an address inside.
        """
        for text in ("<user@example.com>", "<>", "<postmaster>", '<"a b"@c.example>'):
            parse_path(text, strict=True)
        for text in ("user@example.com", "X <user@example.com>", '<""@example.com>'):
            with self.assertRaises(ValueError, msg=text):
                parse_path(text, strict=True)

    def test_utf8(self) -> None:
        """
        With SMTPUTF8 an address is UTF-8, and the domain may have U-labels
        (RFC 6531 section 3.3).
        """
        self.assertEqual(
            parse_path("<user@m\u00fcller.example>", utf8=True),
            "user@m\u00fcller.example",
        )
        self.assertEqual(
            parse_path("<\u00fc@example.com>", utf8=True), "\u00fc@example.com"
        )
        with self.assertRaises(ValueError):
            parse_path("<\udce4@example.com>", utf8=True)

    def test_u_labels(self) -> None:
        """
        Symbols, dots of other scripts and one dot at the end are taken, as by
        Postfix; what UTS 46 does not allow, or is too long as A-labels, is not.
        """
        for domain in (
            "b\u00fccher.example",
            "\u2603.example",
            "there\u3002test",
            "\u00fc.example.",
            "\u00fc_1.example",
        ):
            self.assertEqual(parse_path(f"<x@{domain}>", utf8=True), f"x@{domain}")
            with self.assertRaises(ValueError, msg=domain):
                parse_path(f"<x@{domain}>")
        for domain in (
            "-\u00fc-.example",
            "a..\u00fc",
            "\u2028.example",
            "\u00ad.example",
            "\uff11.\uff12.\uff13.\uff14",
            "\u00fc" * 70 + ".example",
            ".".join(["\u00fc" * 30] * 7),
            "\udcfc.example",
            "[\u00fc]",
        ):
            with self.assertRaises(ValueError, msg=domain):
                parse_path(f"<x@{domain}>", utf8=True)

    def test_no_line_ends(self) -> None:
        """
        No address has a control character: it will stand in headers, in
        commands to other servers, and in the log.
        """
        self.assertEqual(parse_path('<"a\r\nb"@example.com>'), "a  b@example.com")
        with self.assertRaises(ValueError):
            parse_path('<"a\x1bb"@example.com>')

    def test_reasons_are_ours(self) -> None:
        """
        A reason never repeats what the client sent.
        """
        for text in REFUSED:
            try:
                parse_path(text)
            except ValueError as e:
                self.assertTrue(str(e).isascii() and len(str(e)) < 60, text)

    def test_linear(self) -> None:
        """
        Text far longer than any path comes to an end; with a square law it
        would not while anybody waits.
        """
        for piece in ('"', "\\", "(", "<", "@", ":", "@:", '"\\', "a.", "[", "a@", ","):
            text = piece * (80_000 // len(piece))
            scan(text)
            unquote(text)
            quote(text)
            with contextlib.suppress(ValueError):
                parse_path(f"<{text[:2000]}>")

    @given(st.text(max_size=40))
    def test_total(self, text: str) -> None:
        """
        Any text is an address or refused, and an address that was taken is
        taken again, the same, in its external form.
        """
        try:
            address = parse_path(text)
        except ValueError:
            return
        if address:
            self.assertEqual(parse_path(f"<{quote(address)}>"), address)

    @given(st.text(alphabet='ab@%!.,:;"\\ ()[]<>', max_size=12))
    def test_total_with_specials(self, text: str) -> None:
        """
        As above, where it hurts.
        """
        try:
            address = parse_path(text)
        except ValueError:
            return
        external = quote(address)
        if address and not external.startswith("@"):
            self.assertEqual(parse_path(f"<{external}>"), address)


class QuoteTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """
        A local part is quoted if and only if it is no dot-string.
        """
        for internal, external in {
            "user@example.com": "user@example.com",
            "": "",
            "user": "user",
            "a b@c": '"a b"@c',
            "a b": '"a b"',
            "a@b@c": '"a@b"@c',
            ".a@b": '".a"@b',
            "a.@b": '"a."@b',
            "a..b@c": '"a..b"@c',
            "@b": '""@b',
            'a"b\\c@d': '"a\\"b\\\\c"@d',
            "a%b!c+d=e@f": "a%b!c+d=e@f",
            "<a@b": '"<a"@b',
            "k\u00e4se@b": "k\u00e4se@b",
            "\udce4@b": "\udce4@b",
        }.items():
            self.assertEqual(quote(internal), external)
            self.assertEqual(unquote(external), internal)

    def test_unquote_leaves_the_domain(self) -> None:
        """
        Only the local part has quotes; the first C{@} outside them ends it.
        """
        self.assertEqual(unquote('"a@b@c"@d@e'), "a@b@c@d@e")
        self.assertEqual(unquote('a@"b"'), 'a@"b"')
        self.assertEqual(unquote('"a'), "a")
        self.assertEqual(unquote("a\\"), "a")

    @given(st.text(alphabet='ab@.,"\\ (', max_size=10))
    def test_round_trip(self, local: str) -> None:
        """
        Quoting loses nothing.
        """
        self.assertEqual(unquote(quote(f"{local}@example.com")), f"{local}@example.com")


class ScanTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """
        Words, literals and operators; white space and comments are gone.
        """
        tokens = scan('a."b c" (d (e)\\)) @[f]\\@%x')
        self.assertEqual(
            [(t.kind, t.text) for t in tokens],
            [
                ("atom", "a"),
                (".", "."),
                ("quoted", "b c"),
                ("@", "@"),
                ("literal", "[f]"),
                ("quoted", "@"),
                ("%", "%"),
                ("atom", "x"),
            ],
        )

    @given(st.text(max_size=60))
    def test_total(self, text: str) -> None:
        """
        Any text can be cut into tokens.
        """
        self.assertLessEqual(len(join(scan(text))), 2 * len(text) + 2)


class DomainTests(SynchronousTestCase):
    def test_valid(self) -> None:
        """
        Host names, with the underscore that DNS has and RFC 1123 has not.
        """
        for domain in ("a", "a.b", "a-b.c_d", "1a.2", "xn--bcher-kva.example"):
            self.assertTrue(valid_domain(domain), domain)
        for domain in (
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "1.2",
            "1",
            "a b",
            "[a]",
        ):
            self.assertFalse(valid_domain(domain), domain)

    def test_mail_domain(self) -> None:
        """
        One dot at the end is forgiven; literals are checked.
        """
        for domain in ("a.b.", "[192.0.2.1]", "[ipv6:::1]"):
            self.assertTrue(valid_mail_domain(domain), domain)
        for domain in ("a.b..", "[192.0.2.1", "[]", "[::1]", "[IPv6:192.0.2.1]"):
            self.assertFalse(valid_mail_domain(domain), domain)

    def test_literal_address(self) -> None:
        """
        Different spellings of an address are one address.
        """
        self.assertEqual(literal_address("[IPv6:2001:DB8:0::1]"), "2001:db8::1")
        self.assertEqual(literal_address("[192.0.2.1]"), "192.0.2.1")
        self.assertIsNone(literal_address("192.0.2.1"))
        self.assertTrue(is_literal("[x]"))

    def test_split(self) -> None:
        """
        The last C{@} decides.
        """
        self.assertEqual(split("a@b@c"), ("a@b", "c"))
        self.assertEqual(split("a"), ("a", ""))
        self.assertEqual(split("@c"), ("", "c"))
