"""
Content: where it ends, dots, line ends.
"""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.smtp.data import ChunkReader, DataReader

#: Octets that matter, most of the time.
OCTETS = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"a", b"\0"]),
    max_size=14,
).map(b"".join)


def plainly(data: bytes) -> tuple[bytes, bytes | None]:
    """
    The same as L{DataReader}, line by line, without any care for speed.
    """
    end = (b"\r\n" + data).find(b"\r\n.\r\n")
    text = data[:end] if end >= 0 else data
    lines = re.findall(rb"[^\n]*\n|[^\n]+$", text)
    out = b""
    for line in lines:
        line = line[1:] if line.startswith(b".") else line
        if line.endswith(b"\n"):
            # A dot that was taken away leaves no CR that belongs to the line.
            line = line[:-1].removesuffix(b"\r") + b"\r\n"
        out += line
    return out, data[end + 3 :] if end >= 0 else None


def read(pieces: list[bytes]) -> tuple[bytes, bytes | None, DataReader]:
    reader = DataReader()
    out = b""
    for i, piece in enumerate(pieces):
        block, rest = reader.feed(piece)
        out += block
        if rest is not None:
            return out, rest + b"".join(pieces[i + 1 :]), reader
    return out, None, reader


class DataReaderTests(SynchronousTestCase):
    @settings(max_examples=400, deadline=None)
    @given(OCTETS)
    def test_as_line_by_line(self, octets: bytes) -> None:
        """
        Blocks give what lines would give.
        """
        octets += b"\r\n.\r\nQUIT\r\n"
        out, rest, reader = read([octets])
        self.assertEqual((out, rest), plainly(octets))
        self.assertEqual(reader.size, len(out))

    @settings(max_examples=300, deadline=None)
    @given(OCTETS)
    def test_cut_anywhere(self, octets: bytes) -> None:
        """
        The network may cut content at any place, and octet by octet.
        """
        octets += b"\r\n.\r\n"
        whole, rest, _reader = read([octets])
        for cut in range(len(octets) + 1):
            out, after, _reader = read([octets[:cut], octets[cut:]])
            self.assertEqual((out, after), (whole, rest), cut)
        single = [octets[i : i + 1] for i in range(len(octets))]
        self.assertEqual(read(single)[:2], (whole, rest))

    @settings(max_examples=300, deadline=None)
    @given(OCTETS)
    def test_wire_form(self, octets: bytes) -> None:
        """
        What comes out has no LF without CR, and only the end of data ends it.
        """
        out, rest, reader = read([octets])
        self.assertNotRegex(out, rb"(?<!\r)\n")
        ends = b"\r\n.\r\n" in b"\r\n" + octets
        self.assertEqual(rest is not None, ends)
        body = octets if rest is None else octets[: len(octets) - len(rest)]
        if re.search(rb"(?<!\r)\n", body[:-1]):
            self.assertTrue(reader.bare_newline or rest is None)

    def test_bare_newline_noticed(self) -> None:
        for octets, bare in (
            (b"a\r\nb\r\n.\r\n", False),
            (b"a\nb\r\n.\r\n", True),
            (b"\n\r\n.\r\n", True),
            (b"a\r\n.\n\r\n.\r\n", True),
            (b"a\rb\r\n.\r\n", False),
        ):
            self.assertIs(read([octets])[2].bare_newline, bare, octets)

    def test_large(self) -> None:
        """
        Content is given out while it arrives.
        """
        reader = DataReader()
        block, rest = reader.feed(b"x" * 100000)
        self.assertEqual((len(block), rest), (100000, None))


def chunks(pieces: list[bytes], sizes: list[int]) -> tuple[bytes, ChunkReader]:
    """
    Read chunks of the sizes given, from pieces that know nothing of them.
    """
    reader = ChunkReader()
    out, data = b"", b""
    source = iter(pieces)
    for size in sizes:
        reader.left = size
        rest: bytes | None = None
        while rest is None:
            block, rest = reader.feed(data or next(source, b""))
            out += block
            data = b""
        data = rest
    return out + reader.finish(), reader


class ChunkReaderTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(OCTETS, st.data())
    def test_boundaries_do_not_matter(self, octets: bytes, data: st.DataObject) -> None:
        """
        However it is cut into chunks and pieces, content is the same.
        """
        whole, reader = chunks([octets], [len(octets)])
        at = data.draw(st.integers(0, len(octets)))
        cut = data.draw(st.integers(0, len(octets)))
        sizes = [at, len(octets) - at]
        out, _ = chunks([octets[:cut], octets[cut:]], sizes)
        self.assertEqual(out, whole)
        self.assertEqual(reader.size, len(whole))

    @settings(max_examples=300, deadline=None)
    @given(OCTETS)
    def test_wire_form(self, octets: bytes) -> None:
        """
        Line ends become CR LF, one is added at the end, dots stay.
        """
        out, _ = chunks([octets], [len(octets)])
        expected = re.sub(rb"(?<!\r)\n", b"\r\n", octets)
        if expected and not expected.endswith(b"\r\n"):
            expected += b"\r\n"
        self.assertEqual(out, expected)
