"""
L{txmta.delivery.mbox}
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.copy import Stamp
from txmta.delivery.mbox import MboxLines, head, quoted, separator

DATE = "Tue Nov  4 08:25:41 2025"

#: Content in wire form, and what stands in the file.
CONTENTS = (
    (b"", b"\n"),
    (b"a: b\r\n\r\nbody\r\n", b"a: b\n\nbody\n\n"),
    (b"no end", b"no end\n\n"),
    (b"From x\r\na: b\r\nFrom y\r\n", b">From x\na: b\n>From y\n\n"),
    (b"\r\nFrom \r\n>From \r\nfrom \r\n", b"\n>From \n>From \nfrom \n\n"),
    (b"From\r\nFrom:\r\n From a\r\nFromm a\r\n", b"From\nFrom:\n From a\nFromm a\n\n"),
    (b"x\r\nFrom ", b"x\n>From \n\n"),
    (b"x\r\nFro", b"x\nFro\n\n"),
    (b"x\nFrom bare\r\nFrom \rz", b"x\n>From bare\n>From \rz\n\n"),
    (b"\xff\0\r\n\r\n\r\n", b"\xff\0\n\n\n\n"),
    (b"x\r", b"x\r\n\n"),
)


class SeparatorTests(SynchronousTestCase):
    def test_sender(self) -> None:
        """
        Quoted as in Postfix; no line end of an address can make a message.
        """
        for sender, expected in (
            ("a@b.test", "a@b.test"),
            ("", "MAILER-DAEMON"),
            ("a b@c.test", '"a b"@c.test'),
            ("a\nFrom b@c.test", '"a?From b"@c.test'),
            ("\udcff@c.test", "\udcff@c.test"),
        ):
            line = f"From {expected}  {DATE}\n".encode("utf-8", "surrogateescape")
            self.assertEqual(separator(sender, DATE), line)

    def test_head(self) -> None:
        self.assertEqual(
            head(Stamp("a@b.test", "o@b.test", "d@b.test"), DATE),
            b"From a@b.test  Tue Nov  4 08:25:41 2025\nReturn-Path: <a@b.test>\n"
            b"X-Original-To: o@b.test\nDelivered-To: d@b.test\n",
        )


class LinesTests(SynchronousTestCase):
    def test_whole(self) -> None:
        for content, expected in CONTENTS:
            lines = MboxLines()
            self.assertEqual(lines.feed(content) + lines.finish(), expected)

    def test_quoted(self) -> None:
        """
        Small messages are quoted in one go, to the same octets.
        """
        for lines, expected in (
            (b"From x\nFrom y\n", b">From x\n>From y\n"),
            (b"", b""),
            (b"a\n\nFrom", b"a\n\nFrom"),
        ):
            self.assertEqual(quoted(lines), expected)

    def test_cut_anywhere(self) -> None:
        """
        At every pair of positions, and octet by octet.
        """
        for content, expected in CONTENTS:
            cuts = range(len(content) + 1)
            for pieces in (
                *((content[:a], content[a:b], content[b:]) for a in cuts for b in cuts),
                tuple(content[n : n + 1] for n in range(len(content))),
            ):
                if b"".join(pieces) != content:
                    continue
                lines = MboxLines()
                found = b"".join(map(lines.feed, pieces)) + lines.finish()
                self.assertEqual(found, expected, pieces)

    def test_little_is_kept(self) -> None:
        lines = MboxLines()
        given = lines.feed(b"x" * 1000 + b"\nFrom")
        self.assertGreaterEqual(len(given), 1000)
