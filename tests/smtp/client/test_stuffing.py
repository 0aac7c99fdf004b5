"""
Tests of L{txmta.smtp.stuffing}.
"""

from __future__ import annotations

import re
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.smtp.stuffing import Stuffer

END = b"\r\n.\r\n"


def stuffed(*blocks: bytes, limit: int = 998) -> bytes:
    stuffer = Stuffer(limit)
    return b"".join([stuffer.feed(block) for block in blocks]) + stuffer.finish()


def unstuffed(wire: bytes) -> bytes:
    """
    What a receiver that follows RFC 5321 section 4.5.2 makes of it; a
    second implementation, line by line.
    """
    lines = wire.split(b"\r\n")
    assert lines[-2:] == [b".", b""], "no end of data at the end"
    out = []
    for line in lines[:-2]:
        assert line != b".", "an end of data too early"
        out.append(line[1:] if line.startswith(b".") else line)
    return b"".join([line + b"\r\n" for line in out])


class WireTests(SynchronousTestCase):
    """
    Content in wire form comes through unchanged.
    """

    def test_empty(self) -> None:
        """
        No content is the dot alone, at the start of a line.
        """
        self.assertEqual(stuffed(), b".\r\n")
        self.assertEqual(stuffed(b""), b".\r\n")

    def test_dots(self) -> None:
        """
        A dot at the start of a line is doubled, in the first line too, and
        nowhere else (RFC 5321 section 4.5.2).
        """
        self.assertEqual(
            stuffed(b".a\r\n..b\r\nc.\r\n.\r\n"), b"..a\r\n...b\r\nc.\r\n..\r\n.\r\n"
        )

    def test_no_line_end(self) -> None:
        """
        The last line gets its CRLF.
        """
        self.assertEqual(stuffed(b"a"), b"a" + END)
        self.assertEqual(stuffed(b"."), b".." + END)

    def test_cut_anywhere(self) -> None:
        """
        State is carried over blocks: no cut changes what is sent.
        """
        content = b".\r\n..\r\na\r\n.\r\n\r\n.b\rc\nd\r\r\n\n.\0.\r\n\0.\r\n.e"
        for limit in (0, 3, 998):
            expected = stuffed(content, limit=limit)
            for i in range(len(content) + 1):
                for j in range(i, len(content) + 1):
                    pieces = content[:i], content[i:j], content[j:]
                    self.assertEqual(
                        stuffed(*pieces, limit=limit), expected, (i, j, limit)
                    )

    @settings(deadline=None)
    @given(st.lists(st.binary(max_size=40), max_size=6))
    def test_transparent(self, lines: list[bytes]) -> None:
        """
        A receiver gets what was in the queue.
        """
        content = b"".join([re.sub(rb"[\r\n]", b"", line) + b"\r\n" for line in lines])
        self.assertEqual(unstuffed(stuffed(content)), content)


class SmugglingTests(SynchronousTestCase):
    """
    Nothing in content is an end of data, to anybody.
    """

    #: What has been taken for one by some receiver or other.
    ends = re.compile(rb"(?:\r\n|[\r\n])\0*\.\0*(?:\r\n|[\r\n])")

    def check(self, wire: bytes, what: object) -> None:
        self.assertTrue(wire.endswith(b".\r\n"), what)
        found = [m.end() for m in self.ends.finditer(b"\r\n" + wire)]
        self.assertEqual(found, [len(wire) + 2], what)
        self.assertNotRegex(wire, rb"\r(?!\n)|(?<!\r)\n", what)

    def test_all_short(self) -> None:
        """
        All strings of up to five octets of interest, in the middle of
        content, at its start and at its end.
        """
        for length in range(1, 6):
            for octets in product(b"\r\n.\0A", repeat=length):
                text = bytes(octets)
                self.check(stuffed(b"x" + text + b"MAIL FROM:<a@b>\r\n"), text)
                self.check(stuffed(text), text)

    def test_all_short_cut(self) -> None:
        """
        The same with a cut between blocks at every position: 3,905 strings.
        """
        for length in range(1, 6):
            for octets in product(b"\r\n.\0A", repeat=length):
                text = bytes(octets)
                expected = stuffed(b"x", text + b"y")
                for cut in range(length + 1):
                    wire = stuffed(b"x" + text[:cut], text[cut:] + b"y")
                    self.assertEqual(wire, expected, (text, cut))

    def test_nul(self) -> None:
        """
        A receiver that drops NULs finds two dots; all others the content.
        """
        content = b"\0.\r\n\0.\r\nb\r\n\0\0.\r\n\0\r\n.\0\r\n\0.\0\r\n"
        wire = stuffed(content)
        self.assertEqual(unstuffed(wire), content)
        self.assertEqual(wire.replace(b"\0", b"").count(b"\r\n.\r\n"), 1)
        flood = b"\0" * 5000 + b".\r\n"
        self.assertNotIn(b"\n.\r\n", stuffed(b"a\r\n", flood).replace(b"\0", b"")[:-5])

    def test_normalised(self) -> None:
        """
        A lone LF is a line end, a lone CR a space, as with Postfix.
        """
        self.assertEqual(stuffed(b"a\n.\nb\r.\rc\r\r\n"), b"a\r\n..\r\nb . c \r\n.\r\n")
        self.assertEqual(stuffed(b"a\r"), b"a " + END)


class LineLengthTests(SynchronousTestCase):
    """
    smtp_line_length_limit
    """

    def test_fits(self) -> None:
        """
        A line of just the limit is not broken; nor does a stuffed dot count.
        """
        content = b"x" * 998 + b"\r\n." + b"y" * 997 + b"\r\n"
        stuffer = Stuffer(998)
        self.assertEqual(stuffer.feed(content), content.replace(b"\n.", b"\n.."))
        self.assertFalse(stuffer.broken)

    def test_broken(self) -> None:
        """
        A longer one is broken with CRLF SPACE, which counts in the next.
        """
        wire = stuffed(b"s\r\n" + b"x" * 2000 + b"\r\nt\r\n")
        lines = wire.split(b"\r\n")
        self.assertEqual([len(line) for line in lines], [1, 998, 998, 6, 1, 1, 0])
        self.assertEqual([line[:1] for line in lines[2:4]], [b" ", b" "])

    def test_dot_after_break(self) -> None:
        """
        A dot at a break is no dot at the start of a line.
        """
        self.assertEqual(stuffed(b"abcd..\r\n", limit=4), b"abcd\r\n ..\r\n.\r\n")

    def test_off(self) -> None:
        """
        0: no limit.
        """
        content = b"x" * 5000 + b"\r\n"
        self.assertEqual(stuffed(content, limit=0), content + b".\r\n")

    @settings(deadline=None)
    @given(
        st.lists(st.integers(0, 40), max_size=8),
        st.integers(0, 60),
        st.integers(2, 12),
    )
    def test_any(self, lengths: list[int], cut: int, limit: int) -> None:
        """
        No line is over the limit, nothing is lost, and cuts do not matter.
        """
        content = b"".join([b"x" * n + b"\r\n" for n in lengths])
        wire = stuffed(content, limit=limit)
        self.assertLessEqual(max(map(len, wire.split(b"\r\n"))), limit)
        self.assertEqual(wire.replace(b"\r\n ", b""), content + b".\r\n")
        self.assertEqual(stuffed(content[:cut], content[cut:], limit=limit), wire)
