"""
Tests for L{txmta.master.frames}.
"""

from __future__ import annotations

import json
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.master import frames
from txmta.master.frames import (
    MAX_DEPTH,
    MAX_FRAME,
    BadFrame,
    FrameReader,
    Record,
    encode,
    encode_record,
)

_texts = st.text(max_size=20) | st.binary(max_size=20).map(
    lambda b: b.decode("utf-8", "surrogateescape")
)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts.filter(lambda t: not frames._FOREIGN.search(t)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "t"]), inner, max_size=2)
    ),
    max_leaves=5,
)
_records = st.lists(
    st.builds(
        lambda t, more: {**more, "t": t},
        st.sampled_from(["outcome", "done"]),
        st.dictionaries(st.sampled_from(["key", "n", "reason"]), _values),
    ),
    max_size=6,
)


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def read(data: bytes, *cuts: int) -> list[Record]:
    """
    @return: what comes of the octets, cut at these places.
    """
    reader = FrameReader()
    got: list[Record] = []
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        got += reader.feed(data[start:end])
    if reader.waiting:
        raise AssertionError("something is left")
    return got


class RoundTripTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None, database=None)
    @given(_records, st.data())
    def test_any_cut(self, records: list[Record], data: st.DataObject) -> None:
        """
        The same octets, in any pieces, are the same records.
        """
        octets = encode(records)
        places = st.lists(st.integers(0, len(octets)), max_size=6)
        self.assertEqual(read(octets, *sorted(data.draw(places))), records)

    def test_octet_by_octet(self) -> None:
        records: list[Record] = [{"t": "a", "n": n} for n in range(3)]
        octets = encode(records[:2]) + encode(records[2:])
        self.assertEqual(read(octets, *range(1, len(octets))), records)
        for cut in range(len(octets)):
            self.assertEqual(read(octets, cut), records)

    def test_octets_that_are_no_text(self) -> None:
        """
        Octets of an address that are not UTF-8 are the same at the other end,
        also beside a character outside the basic plane.
        """
        text = b"\xf0\x9f\x93\xa7\x80\xff\xc3".decode("utf-8", "surrogateescape")
        (record,) = read(encode([{"t": "a", "text": text}]))
        self.assertEqual(record["text"], text)

    def test_many_are_several_frames(self) -> None:
        """
        Records that are too many for one frame go in several, in order.
        """
        records: list[Record] = [{"t": "a", "n": n, "x": "," * 900} for n in range(900)]
        self.assertEqual(read(encode(records)), records)

    def test_full_frame(self) -> None:
        """
        A record may fill a frame, and not be larger.
        """
        room = MAX_FRAME - len(encode_record({"t": "a", "x": ""})) - 2
        (record,) = read(encode([{"t": "a", "x": "x" * room}]))
        self.assertEqual(len(str(record["x"])), room)
        self.assertRaises(ValueError, encode, [{"t": "a", "x": "x" * (room + 1)}])

    def test_what_json_has_not(self) -> None:
        for value in (float("nan"), float("inf")):
            self.assertRaises(ValueError, encode, [{"t": "a", "x": value}])

    def test_what_the_reader_would_not_take(self) -> None:
        """
        A record of too many values is refused at the sender.
        """
        many: Record = {"t": "a", "x": [1] * frames.MAX_VALUES}
        self.assertRaises(ValueError, encode_record, many)
        text: Record = {"t": "a", "x": "," * (frames.MAX_VALUES - 3)}
        self.assertEqual(read(encode([text, text])), [text, text])

    def test_nothing(self) -> None:
        self.assertEqual(encode([]), b"")


class BadFrameTests(SynchronousTestCase):
    """
    What is not of the form ends in L{BadFrame}, and nothing else.
    """

    def refused(self, data: bytes, reason: str) -> None:
        e = self.assertRaises(BadFrame, read, data)
        self.assertIn(reason, str(e))

    def test_length(self) -> None:
        """
        A length that is out of bounds is refused before anything follows.
        """
        for length in (0, 1, 2, MAX_FRAME + 1, 2**32 - 1):
            self.refused(length.to_bytes(4, "big"), f"a frame of {length} octets")

    def test_form(self) -> None:
        for payload in (
            *(b"garbage", b"[] ", b"{}\n", b"null", b'"abc"', b'["a"]', b"[[]]"),
            *(b"[{}]", b'[{"t":1}]', b'[{"t":null}]', b'[{"t":"a"},1]', b"[1,]"),
            *(b'[{"t":"a"}', b'[{"t":"a"}]]', b'[{"t":"a"}]\0', b"\0\0\0\0"),
            *(b"['t']", b'[{"t":"a\n"}]', b"\xef\xbb\xbf[1]", b'[{"t":"\xff"}]'),
        ):
            e = self.assertRaises(BadFrame, read, framed(payload))
            self.assertTrue(str(e))

    def test_twice(self) -> None:
        """
        A field that is there twice could be taken either way.
        """
        self.refused(framed(b'[{"t":"a","t":"b"}]'), "same field twice")
        self.refused(framed(b'[{"t":"a","x":{"y":1,"y":1}}]'), "same field twice")

    def test_numbers(self) -> None:
        """
        None is infinite, or takes long to read.
        """
        for number in (b"NaN", b"Infinity", b"-Infinity"):
            self.refused(framed(b'[{"t":"a","n":%b}]' % number), "the number")
        digits = b"9" * 500_000
        self.refused(framed(b'[{"t":"a","n":%b}]' % digits), "500000 digits")
        self.refused(framed(b'[{"t":"a","n":-%b}]' % digits), "500001 digits")

    def test_deep(self) -> None:
        """
        Nesting is bounded, whatever is nested.
        """
        for left, right in ((b"[", b"]"), (b'{"t":', b"}"), (b'[{"t":', b"}]")):
            inner = MAX_DEPTH - 2 if len(left) < 6 else (MAX_DEPTH - 2) // 2
            payload = b'[{"t":"a","x":%b1%b}]'
            read(framed(payload % (left * inner, right * inner)))
            for n in (inner + 1, 900, 50_000):
                self.refused(framed(payload % (left * n, right * n)), "nested too deep")
            self.refused(framed(left * 40_000), "a frame")

    def test_half_characters(self) -> None:
        """
        Surrogates that stand for no octet are not taken anywhere.
        """
        for half in ("\\ud800", "\\uDBFF", "\\udc7f", "\\udd00", "\\uDFFF\\ud83d"):
            for payload in (
                *('[{"t":"%s"}]', '[{"t":"a","x":"ab%sc"}]', '[{"t":"a","%s":1}]'),
                *('[{"t":"a","x":[1,["%s"]]}]', '[{"t":"a","x":{"%s":1}}]'),
            ):
                self.refused(framed((payload % half).encode()), "half a character")
        # Escaped, it is none.
        read(framed(b'[{"t":"a","x":"\\\\ud800"}]'))

    def test_half_characters_as_octets(self) -> None:
        self.refused(framed(b'[{"t":"\xed\xa0\x80"}]'), "not JSON")

    def test_time(self) -> None:
        """
        No frame takes long to read, whatever it is full of.
        """
        for item in (b"[]", b"{}", b"1", b"1e9", b'""', b'"\\udc80"', b'{"t":"a"}'):
            many = b",".join([item] * (1_000_000 // (len(item) + 1)))
            start = time.thread_time()
            self.refused(framed(b'[{"t":"a","x":[%b]}]' % many), "values")
            self.assertLess(time.thread_time() - start, 0.5, item)

    @settings(
        max_examples=200,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.binary(max_size=64) | st.text('[]{}":,t1e\\ud80NaI-', max_size=30))
    def test_garbage(self, payload: bytes | str) -> None:
        """
        Whatever comes, it is records or L{BadFrame}.
        """
        octets = payload if isinstance(payload, bytes) else payload.encode()
        for data in (octets, framed(octets), framed(b'[{"t":"a","x":%b}]' % octets)):
            try:
                got = FrameReader().feed(data)
            except BadFrame:
                continue
            for record in got:
                self.assertIsInstance(record["t"], str)
                json.dumps(record).encode("utf-8")

    def test_memory(self) -> None:
        """
        A reader keeps no more than a frame, and forgets it afterwards.
        """
        reader = FrameReader()
        reader.feed(MAX_FRAME.to_bytes(4, "big"))
        for _ in range(MAX_FRAME // 65536 - 1):
            self.assertEqual(reader.feed(b" " * 65536), [])
        self.assertRaises(BadFrame, reader.feed, b" " * 65536)
