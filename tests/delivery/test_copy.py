"""
L{txmta.delivery.copy}
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.copy import (
    LineEnds,
    Stamp,
    delivered_head,
    delivered_key,
    delivered_to,
    to_lines,
)


class StampTests(SynchronousTestCase):
    def test_order(self) -> None:
        """
        Return-Path, X-Original-To, Delivered-To, as Postfix's mail_copy().
        """
        self.assertEqual(
            Stamp("s@x", "o@x", "d@x").encode(),
            b"Return-Path: <s@x>\nX-Original-To: o@x\nDelivered-To: d@x\n",
        )

    def test_absent(self) -> None:
        """
        The null sender is shown; headers without a value are not.
        """
        self.assertEqual(Stamp("", "", "").encode(), b"Return-Path: <>\n")

    def test_quoted(self) -> None:
        """
        Addresses are in external form.
        """
        self.assertIn(b'<"a b"@x>', Stamp("a b@x", "", "").encode())

    def test_one_line_each(self) -> None:
        """
        No octet of an address starts another header.
        """
        for bad in ("\r\nBcc: x", "\n", "\r", "\0", "\x1b"):
            address = f"a{bad}b@x"
            encoded = Stamp(address, address, address).encode()
            self.assertEqual(len(encoded.splitlines()), 3, repr(bad))
            self.assertNotIn(bad.encode(), encoded.replace(b"\n", b""))
            self.assertEqual(delivered_head(address).count(b"\r\n"), 1)

    def test_odd_octets(self) -> None:
        """
        What is not UTF-8 comes out as it came in.
        """
        address = b"\xff\xc3\xa9@x".decode("utf-8", "surrogateescape")
        self.assertIn(b"\xff\xc3\xa9@x", Stamp(address, "", "").encode())


class DeliveredTests(SynchronousTestCase):
    def test_found(self) -> None:
        """
        Any case of header and address; only in the headers.
        """
        head = (
            b"Received: x\r\n y\r\nDELIVERED-to: \t Bob@X.test \r\n"
            b'Delivered-To: "a b"@x\r\nX-Delivered-To: no@x\r\n'
            b"\r\nDelivered-To: body@x\r\n"
        )
        found = delivered_to(head)
        self.assertEqual(found, {b"bob@x.test", b'"a b"@x'})
        self.assertIn(delivered_key("BOB@x.test"), found)
        self.assertIn(delivered_key("a b@x"), found)

    def test_no_headers(self) -> None:
        self.assertEqual(delivered_to(b"\r\nDelivered-To: a@x\r\n\r\n"), frozenset())

    def test_round_trip(self) -> None:
        """
        What a forwarded message gets is what stops it when it comes back.
        """
        for address in ("Bob@Here.test", 'a "b@here.test', "\u00e9@here.test"):
            self.assertIn(delivered_key(address), delivered_to(delivered_head(address)))

    def test_bounded(self) -> None:
        head = b"".join(b"Delivered-To: %d@x\r\n" % n for n in range(5000))
        self.assertEqual(len(delivered_to(head)), 1000)


class LineEndTests(SynchronousTestCase):
    CONTENTS = (
        b"",
        b"a\r\n",
        b"a",
        b"a\r\n\r\nb\r\r\n",
        b"bare\rcr\nlf\r\n",
        b"ends in cr\r",
        b"\r\n",
        b"\r\r\r\n\n\r",
    )

    def test_lines(self) -> None:
        """
        CRLF becomes LF, a last line is ended, and nothing else changes.
        """
        self.assertEqual(to_lines(b"a\r\n.b\r\rc"), b"a\n.b\r\rc\n")

    def test_cut_anywhere(self) -> None:
        """
        Blocks give the same octets as the whole.
        """
        for content in self.CONTENTS:
            expected = to_lines(content)
            for cut in range(len(content) + 1):
                lines = LineEnds()
                got = lines.feed(content[:cut]) + lines.feed(content[cut:])
                got += lines.finish()
                self.assertEqual(got, expected, (content, cut))
            lines = LineEnds()
            got = b"".join(lines.feed(content[i : i + 1]) for i in range(len(content)))
            self.assertEqual(got + lines.finish(), expected, content)
