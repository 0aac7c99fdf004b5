"""
Tests for L{txmta.master.outlet}.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.master.socket_pairs import open_descriptors
from txmta.master.frames import FrameReader, Record, encode
from txmta.master.outlet import Outlet

GOOD: Record = {"t": "n", "n": 1}


class Transport:
    """
    Notes what it is given.
    """

    def __init__(self) -> None:
        self.given: list[bytes | int] = []

    def write(self, data: bytes) -> None:
        self.given.append(data)

    def sendFileDescriptor(self, descriptor: int) -> None:
        self.given.append(descriptor)


class OutletTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.outlet = Outlet()
        self.transport = Transport()

    def written(self) -> list[bytes | int]:
        while self.outlet.write(self.transport):
            pass
        self.assertEqual(self.outlet.waiting, 0)
        self.assertFalse(self.outlet)
        return self.transport.given

    def test_gathered(self) -> None:
        """
        Records of one time are one frame, and small frames one write.
        """
        for _ in range(3):
            self.outlet.put(GOOD, None)
            self.outlet.put(GOOD, None)
            self.outlet.gather()
        self.assertEqual(self.outlet.waiting, 3 * len(encode([GOOD, GOOD])))
        self.assertEqual(self.written(), [encode([GOOD, GOOD]) * 3])

    def test_descriptors(self) -> None:
        """
        A record with one has a frame of its own, and it goes in front.
        """
        for n in (7, 8):
            self.outlet.put(GOOD, None)
            self.outlet.put(GOOD, n)
        self.outlet.put(GOOD, None)
        self.outlet.gather()
        frame = encode([GOOD])
        self.assertEqual(self.written(), [frame, 7, frame * 2, 8, frame * 2])

    def test_large(self) -> None:
        """
        What is large is written in pieces, the descriptor with the first.
        """
        large: Record = {"t": "n", "x": "x" * 500_000}
        self.outlet.put(large, 7)
        given = self.written()
        pieces = [each for each in given[1:] if isinstance(each, bytes)]
        self.assertEqual(given[0], 7)
        self.assertEqual(len(pieces), 4)
        self.assertEqual(FrameReader().feed(b"".join(pieces)), [large])

    def test_no_record(self) -> None:
        """
        What cannot be sent is told at once, and its descriptor closed.
        """
        before = open_descriptors()
        descriptor = os.open(os.devnull, os.O_RDONLY)
        self.assertRaises(
            ValueError, self.outlet.put, {"t": "n", "x": "x" * 2_000_000}, descriptor
        )
        self.assertEqual(open_descriptors(), before)
        self.assertFalse(self.outlet)

    def test_close(self) -> None:
        before = open_descriptors()
        self.outlet.put(GOOD, os.open(os.devnull, os.O_RDONLY))
        self.outlet.put(GOOD, None)
        self.outlet.close()
        self.assertEqual(open_descriptors(), before)
        self.assertEqual(self.written(), [])
