"""
L{txmta.queue.maildrop}: what is written can be read, and nothing else.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.model import Notify
from txmta.queue import maildrop
from txmta.queue.maildrop import (
    FIRST,
    MAX_FIELD,
    Malformed,
    OtherVersion,
    Submitted,
    first_line,
    head,
    head_room,
    read_first,
    read_message,
    tail,
)

CONTENT = b"Subject: x\n\nhello\n"
FIELDS = [
    ("from", "alice"),
    ("name", "Alice L."),
    ("notify", "6"),
    ("to", "bob@example.com"),
]


def file(
    fields: list[tuple[str, str]] = FIELDS,
    after: tuple[str, ...] = ("carol",),
    content: bytes = CONTENT,
) -> bytes:
    rest = tail(after)
    line = first_line(False, len(content), len(rest))
    return line + head(fields) + content + rest


def parse(octets: bytes) -> Submitted:
    """
    As L{txmta.queue.handed_in} does.
    """
    layout = read_first(octets[:FIRST])
    room = max(0, head_room(layout, len(octets)))
    start = octets[FIRST : FIRST + room]
    end = octets[max(FIRST, len(octets) - layout.rest) :]
    return read_message(layout, len(octets), start, end)


class FormTests(SynchronousTestCase):
    def refused(self, octets: bytes, why: str) -> None:
        self.assertIn(why, str(self.assertRaises(Malformed, parse, octets)))

    def test_round_trip(self) -> None:
        submitted = parse(file())
        self.assertEqual(submitted.sender, "alice")
        self.assertEqual(submitted.full_name, "Alice L.")
        self.assertEqual(submitted.recipients, ["bob@example.com", "carol"])
        self.assertEqual(submitted.notify, Notify.SUCCESS | Notify.FAILURE)
        self.assertFalse(submitted.crlf)
        at, size = submitted.start, submitted.size
        self.assertEqual(file()[at : at + size], CONTENT)

    def test_names_of_notify(self) -> None:
        """
        The same bits as in the queue.
        """
        for name, bit in maildrop.NOTIFY.items():
            self.assertEqual(Notify[name.upper()], bit)

    def test_octets(self) -> None:
        """
        Octets that are not UTF-8 are carried; control characters are not.
        """
        submitted = parse(file([("from", "\udce4\u00e4"), ("to", "a\nto b\0")]))
        self.assertEqual(submitted.sender, "\udce4\u00e4")
        self.assertEqual(submitted.recipients, ["a to b ", "carol"])

    def test_cut_and_grown(self) -> None:
        """
        Every other length is refused.
        """
        whole = file()
        for end in range(len(whole)):
            self.assertRaises(Malformed, parse, whole[:end])
        self.refused(whole + b"x", "has")

    def test_not_complete(self) -> None:
        octets = first_line() + head(FIELDS) + CONTENT + tail(())
        self.refused(octets, "is not complete")

    def test_version(self) -> None:
        octets = file().replace(b"maildrop 1 ", b"maildrop 2 ")
        self.assertRaises(OtherVersion, parse, octets)

    def test_bad_fields(self) -> None:
        for name, value in (
            ("bcc", "x"),
            ("from", "twice"),
            ("notify", "3"),
            ("notify", "16"),
            ("ret", "BOTH"),
            ("body", "BINARYMIME"),
            ("envid", "x" * 101),
            ("context", "here"),
            ("name", ""),
        ):
            self.refused(file([("from", "a"), ("to", "b"), (name, value)]), "bad field")

    def test_no_recipients(self) -> None:
        self.refused(file([("from", "a")], ()), "has no recipients")

    def test_fields_after_content(self) -> None:
        """
        Only recipients come after the content.
        """
        rest = b"from mallory\n" + tail(("x",))
        octets = first_line(False, 0, len(rest)) + head(FIELDS) + rest
        self.refused(octets, "bad field: from")

    def test_too_much(self) -> None:
        """
        Fields are bounded in size and number, and sizes that do not fit the
        file are not believed.
        """
        self.assertRaises(ValueError, head, [("to", "x" * MAX_FIELD)])
        long = head([("from", "a")])[:-1] + b"to " + b"x" * MAX_FIELD + b"\n\n"
        rest = tail(())
        self.refused(first_line(False, 0, len(rest)) + long + rest, "is none")
        self.patch(maildrop, "MAX_RECIPIENTS", 2)
        self.refused(file(after=("a", "b")), "too many recipients")
        self.refused(first_line(False, 10**15, 10) + b"x\nend\n", "is not as long")
        self.patch(maildrop, "MAX_FIELDS", 100)
        self.refused(file(after=("x" * 40, "y" * 40, "z" * 40)), "too many fields")

    @given(st.binary(max_size=200), st.integers(0, 300))
    @hypothesis_settings(deadline=None)
    def test_anything(self, octets: bytes, at: int) -> None:
        """
        Any octets are a message or refused, and nothing else happens.
        """
        whole = file()
        for each in (octets, first_line(False, 5, 5) + octets, whole[:at] + octets):
            try:
                submitted = parse(each)
            except Malformed:
                continue
            self.assertTrue(submitted.recipients)
            self.assertLessEqual(submitted.start + submitted.size, len(each))
