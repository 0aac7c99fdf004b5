"""
Tests of reading constant databases.
"""

from __future__ import annotations

import contextlib
import random
from struct import pack_into

from twisted.trial.unittest import SynchronousTestCase

from tests.maps.index_files import cdb
from txmta.maps import cdb as module
from txmta.maps.cdb import CdbFile, hash_of


def opened(octets: bytes) -> CdbFile:
    return CdbFile(lambda at, size: octets[at : at + size], len(octets))


class CdbTests(SynchronousTestCase):
    def test_hash(self) -> None:
        """
        The function of the format; values worked out by hand.
        """
        self.assertEqual(hash_of(b""), 5381)
        self.assertEqual(hash_of(b"a"), (5381 * 33) ^ 97)
        self.assertEqual(hash_of(b"key"), 0x0B876D32)

    def test_many(self) -> None:
        """
        Every key is found, and no other; the first of two values counts.
        """
        entries = [(b"key%d" % n, b"value%d" % n) for n in range(3000)]
        file = opened(cdb([*entries, (b"key7", b"second"), (b"", b"empty")]))
        for key, value in entries:
            self.assertEqual(file.get(key), value)
        self.assertEqual(file.get(b""), b"empty")
        for n in range(3000):
            self.assertIsNone(file.get(b"other%d" % n))

    def test_sizes(self) -> None:
        """
        Values of any length up to the limit; beyond it nothing is said.
        """
        sizes = (0, 1, 490, 503, 504, 505, 70_000, module.MAX_VALUE)
        file = opened(cdb((b"%d" % n, b"x" * n) for n in (*sizes, 1 << 21)))
        for n in sizes:
            self.assertEqual(file.get(b"%d" % n), b"x" * n)
        self.assertRaises(ValueError, file.get, b"%d" % (1 << 21))

    def test_empty(self) -> None:
        """
        No entries at all.
        """
        self.assertIsNone(opened(cdb([])).get(b"key"))

    def test_cut(self) -> None:
        """
        A file that ends too early is refused, or says so; no key of it is
        taken for one that is not there.
        """
        octets = cdb((b"key%d" % n, b"v") for n in range(20))
        for size in range(len(octets)):
            self.assertRaises(ValueError, opened, octets[:size])
        whole = [octets]
        file = CdbFile(lambda at, size: whole[0][at : at + size], len(octets))
        for size in range(0, len(octets), 7):
            whole[0] = octets[:size]
            with contextlib.suppress(ValueError):
                self.assertEqual(file.get(b"key3"), b"v")

    def test_damaged(self) -> None:
        """
        Octets changed by chance: an answer, or C{ValueError}.
        """
        chance = random.Random(1)
        octets = cdb((b"key%d" % n, b"v" * n) for n in range(40))
        for _ in range(2000):
            broken = bytearray(octets)
            for _ in range(chance.randrange(1, 20)):
                broken[chance.randrange(len(broken))] = chance.choice((0, 255, 7))
            try:
                file = opened(bytes(broken))
                for n in range(0, 40, 9):
                    found = file.get(b"key%d" % n)
                    self.assertTrue(found is None or len(found) <= len(broken))
            except ValueError:
                continue

    def test_endless(self) -> None:
        """
        A hash table without an empty place does not hold up the server.
        """
        number = hash_of(b"key")
        slots = 50_000
        octets = bytearray(2048 + 8 * slots)
        for table in range(256):
            pack_into("<II", octets, table * 8, 2048, slots)
        for slot in range(slots):
            pack_into("<II", octets, 2048 + slot * 8, number ^ 1, 2048)
        reads: list[int] = []

        def read(at: int, size: int) -> bytes:
            reads.append(at)
            return bytes(octets[at : at + size])

        file = CdbFile(read, len(octets))
        self.assertRaises(ValueError, file.get, b"key")
        self.assertLess(len(reads), 600)
