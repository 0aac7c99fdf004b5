"""
Rows are untrusted: whatever is in them, there is a message or a C{ValueError}.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.model import Client, Envelope, Login, Recipient, Trace
from txmta.queue.store.codec import (
    MAX_ATTRIBUTES,
    MAX_INFO,
    checksum,
    decode_envelope,
    decode_recipient,
    encode_attributes,
    encode_info,
    from_text,
    one_line,
    to_text,
)

#: Text as an address may be: any octets, but no line ends.
TEXT = st.binary(max_size=30).map(
    lambda b: b.translate(None, b"\r\n\0").decode("utf-8", "surrogateescape")
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5).map(lambda t: t or "v"),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)


class CodecTests(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(TEXT, TEXT, TEXT, st.integers(0, 65535), st.booleans())
    def test_envelope(self, a: str, b: str, c: str, port: int, flag: bool) -> None:
        """
        What is put in comes out, whatever the octets.
        """
        envelope = Envelope(
            "id", 1.5, a, (), Client(b, port, c, a), b, c, a, flag, b, c, flag
        )
        attributes = encode_attributes(envelope)
        self.assertEqual(decode_envelope("id", to_text(a), attributes, ()), envelope)

    def test_login(self) -> None:
        """
        Rows of before there was a login say that nobody had logged in.
        """
        plain = Envelope("id", 1.5, "a", (), Client("b", 1))
        attributes = encode_attributes(plain)
        self.assertNotIn(b"login", attributes)
        self.assertIsNone(decode_envelope("id", "a", attributes, ()).login)
        envelope = replace(plain, login=Login("us er", "PLAIN", "x@y"))
        attributes = encode_attributes(envelope)
        self.assertEqual(decode_envelope("id", "a", attributes, ()), envelope)
        for lie in ("user", ["user"], ["a", "b", 3], ["a\nb", "PLAIN", ""], None):
            octets = json.dumps(json.loads(attributes) | {"login": lie}).encode()
            self.assertRaises(ValueError, decode_envelope, "id", "a", octets, ())
        bad = replace(plain, login=Login("a\nb", "PLAIN"))
        self.assertRaises(ValueError, encode_attributes, bad)

    def test_trace(self) -> None:
        """
        What is only asked about is of a version that who does not know it
        refuses; neither half of that can be lost.
        """
        plain = Envelope("id", 1.5, "a", (), Client("b", 1))
        for trace in (Trace.RECORD, Trace.VERIFY):
            envelope = replace(plain, trace=int(trace))
            attributes = encode_attributes(envelope)
            self.assertEqual(decode_envelope("id", "a", attributes, ()), envelope)
            version = json.loads(attributes)["v"]
            self.assertEqual(version, 2 if trace is Trace.VERIFY else 1)
        for lie in ({"v": 2}, {"trace": 1}, {"v": 2, "trace": 2}, {"trace": 4}):
            fields = json.loads(encode_attributes(plain)) | lie
            octets = json.dumps(fields).encode()
            self.assertRaises(ValueError, decode_envelope, "id", "a", octets, ())

    @settings(max_examples=200, deadline=None)
    @given(TEXT, TEXT, TEXT, st.integers(0, 15), TEXT)
    def test_recipient(self, a: str, b: str, c: str, notify: int, why: str) -> None:
        recipient = Recipient(3, a, b, c, notify)
        known = decode_recipient(3, to_text(a), 1, encode_info(recipient, why))
        self.assertEqual(known.recipient, recipient)
        self.assertEqual(known.reason, why)
        self.assertEqual(from_text(to_text(a)), a)

    @settings(max_examples=300, deadline=None)
    @given(JSON)
    def test_any_json(self, value: object) -> None:
        """
        Any JSON is judged, and never crashes.
        """
        octets = json.dumps(value).encode()
        for decode in (
            lambda: decode_envelope("id", "a", octets, ()),
            lambda: decode_recipient(1, "a", 0, octets.decode()),
        ):
            with contextlib.suppress(ValueError):
                decode()

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_octets(self, octets: bytes) -> None:
        for decode in (
            lambda: decode_envelope("id", octets, octets, ()),
            lambda: decode_recipient(1, octets, 0, octets),
        ):
            with contextlib.suppress(ValueError):
                decode()

    def test_common_recipient_costs_nothing(self) -> None:
        self.assertIsNone(encode_info(Recipient(0, "a@b", "a@b")))

    def test_long_reason(self) -> None:
        """
        A reason is cut before it could make a recipient unreadable.
        """
        for character in ("x", "\udc80", "\n"):
            recipient = Recipient(0, "a@b", "o" * 3000, "x" * 3000)
            info = encode_info(recipient, character * 10000)
            assert info is not None
            self.assertLessEqual(len(info), MAX_INFO)
            known = decode_recipient(0, "a@b", 1, info)
            self.assertEqual(known.recipient, recipient)
        self.assertEqual(one_line("a\r\nb\0c"), "a  b c")

    def test_fields_do_not_run_together(self) -> None:
        """
        The checksum tells apart what only differs in where it is cut.
        """
        sums = {
            checksum(1, "ab", b"", [Recipient(0, "c", "c")]),
            checksum(1, "a", b"", [Recipient(0, "bc", "bc")]),
            checksum(1, "a", b"", [Recipient(0, "b", "b"), Recipient(1, "c", "c")]),
            checksum(1, "a", b"", [Recipient(0, "b", "c")]),
            checksum(1, "a", b"", [Recipient(0, "b", "b", "c")]),
            checksum(2, "ab", b"", [Recipient(0, "c", "c")]),
        }
        self.assertEqual(len(sums), 6)

    def test_bounds(self) -> None:
        """
        What is too large is refused on the way in, and on the way out.
        """
        for envelope in (
            Envelope("i", 0, "", (), Client("a", 1), helo="h" * MAX_ATTRIBUTES),
            Envelope("i", 0, "", (), Client("a", 1), envid="e" * MAX_ATTRIBUTES),
        ):
            with self.assertRaises(ValueError):
                encode_attributes(envelope)
        with self.assertRaises(ValueError):
            encode_info(Recipient(0, "a@b", "o" * MAX_INFO))
        good = encode_attributes(Envelope("i", 0, "", (), Client("a", 1)))
        decode_envelope("i", "", good.ljust(MAX_ATTRIBUTES), ())
        with self.assertRaises(ValueError):
            decode_envelope("i", "", good.ljust(MAX_ATTRIBUTES + 1), ())
        with self.assertRaises(ValueError):
            decode_recipient(0, "a@b", 0, "{}".ljust(MAX_INFO + 1))

    def test_impossible(self) -> None:
        """
        Another version, and times that are none, are no message of ours.
        """
        good = encode_attributes(Envelope("i", 7.5, "", (), Client("a", 1)))
        self.assertEqual(decode_envelope("i", "", good, ()).arrival, 7.5)
        for old, new in (
            (b'"v":1', b'"v":2'),
            (b"7.5", b"NaN"),
            (b"7.5", b"1e999"),
            (b"7.5", b"-1e12"),
            (b"7.5", b"true"),
        ):
            self.assertIn(old, good)
            with self.assertRaises(ValueError):
                decode_envelope("i", "", good.replace(old, new), ())

    def test_line_ends(self) -> None:
        for bad in ("a\n", "\r", "a\0b"):
            with self.assertRaises(ValueError):
                checksum(0, bad, b"", [])
            with self.assertRaises(ValueError):
                checksum(0, "", b"", [Recipient(0, bad, "a")])
            with self.assertRaises(ValueError):
                encode_attributes(Envelope("i", 0, "", (), Client("a", 1), helo=bad))

    def test_texts_of_rows(self) -> None:
        """
        Each text of a message is one line of text, or it is no message.
        """
        fields = {"v": 1, "arrival": 1.0, "helo": "H", "protocol": "P", "body": "B"}
        fields |= {"ret": "R", "envid": "E"}
        client = ["1.2.3.4", 5, "name", "reverse", "label"]

        def decode(client: object, sender: object = "a", **other: object) -> Envelope:
            attributes = json.dumps({**fields, **other, "client": client})
            return decode_envelope("i", sender, attributes.encode(), ())

        self.assertEqual(decode(client).ret, "R")
        for bad in ("a\nb", "\r", "a\0", 1, None, ["x"]):
            for name in ("helo", "protocol", "body", "ret", "envid"):
                with self.assertRaises(ValueError):
                    decode(client, **{name: bad})
            for n in (0, 2, 3, 4):
                with self.assertRaises(ValueError):
                    decode([*client[:n], bad, *client[n + 1 :]])
        with self.assertRaises(ValueError):
            decode(client, "a\nb")
