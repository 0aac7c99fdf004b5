"""
Tests for L{txmta.master.intake}.
"""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.master.socket_pairs import open_descriptors
from txmta.master.frames import BadFrame, Record, encode
from txmta.master.intake import Intake, release
from txmta.master.records import BadRecord, Number, Schema

N = Schema({"n": Number(0, 9)})
GOOD: Record = {"t": "n", "n": 1}
CARRIER: Record = {"t": "deliver", "n": 1}


def opened() -> int:
    return os.open(os.devnull, os.O_RDONLY)


class IntakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.before = open_descriptors()
        self.intake = Intake({"n": N, "deliver": N}, ["deliver"])

    def nothing_left(self) -> None:
        self.intake.close()
        self.assertEqual(open_descriptors(), self.before)

    def test_plain(self) -> None:
        self.assertEqual(self.intake.feed(encode([GOOD])), [(GOOD, None)])

    def test_wanted(self) -> None:
        """
        Only who has a use for descriptors gets any.
        """
        self.assertEqual(self.intake.wanted, 1)
        self.assertEqual(Intake({"n": N}, []).wanted, 0)

    @settings(max_examples=50, deadline=None, database=None)
    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=5))
    def test_any_cut(self, sent: list[tuple[bool, int]]) -> None:
        """
        Whatever the kernel reads at a time, each carrier has its descriptor.
        """
        intake = Intake({"n": N, "deliver": N}, ["deliver"])
        expected = [opened() if carries else None for carries, _ in sent]
        got = []
        for (carries, cut), descriptor in zip(sent, expected, strict=True):
            frame = encode([CARRIER if carries else GOOD])
            got += intake.feed(frame[:cut], [] if descriptor is None else [descriptor])
            got += intake.feed(frame[cut:])
        self.assertEqual([descriptor for _, descriptor in got], expected)
        release(got)
        self.nothing_left()

    def test_refused(self) -> None:
        """
        What came with something bad is not given out, and its descriptors are
        closed.
        """
        for bad, error in (
            (encode([CARRIER, CARRIER]), BadRecord),
            (encode([CARRIER, {"t": "x"}]), BadRecord),
            (encode([CARRIER, {"t": "n", "n": 10}]), BadRecord),
            (encode([CARRIER]) + b"\xff\xff\xff\xff", BadFrame),
        ):
            self.intake = Intake({"n": N, "deliver": N}, ["deliver"])
            self.assertRaises(error, self.intake.feed, bad, [opened()])
            self.nothing_left()

    def test_belongs_to_none(self) -> None:
        e = self.assertRaises(BadRecord, self.intake.feed, encode([GOOD]), [opened()])
        self.assertEqual(str(e), "descriptors that belong to no record")
        self.nothing_left()
