"""
Counts of clients: alone, and over processes.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txmta.smtp import own_tally, tally
from txmta.smtp.anvil import Counts
from txmta.smtp.own_tally import OwnTally
from txmta.smtp.tally import BUCKETS, SIZE, WAYS, Tally, fresh


class CountsContract:
    """
    What each table does.
    """

    assertEqual: Any

    def counts(self) -> Counts:
        raise NotImplementedError

    def test_rate(self) -> None:
        """
        Events of a kind are counted for a time, which starts with the first.
        """
        counts = self.counts()
        self.assertEqual([counts.add(b"a", 10.0, 60.0, 1) for _ in range(3)], [1, 2, 3])
        self.assertEqual(counts.add(b"a", 69.0, 60.0, 2), 1)
        self.assertEqual(counts.add(b"a", 70.0, 60.0, 1), 4)
        self.assertEqual(counts.add(b"b", 70.0, 60.0, 1), 1)
        self.assertEqual(counts.add(b"a", 70.5, 60.0, 1), 1)

    def test_ask(self) -> None:
        counts = self.counts()
        counts.add(b"a", 1.0, 60.0, 3)
        self.assertEqual(counts.add(b"a", 1.0, 60.0, 3, 0), 1)
        self.assertEqual(counts.add(b"a", 1.0, 60.0, 3, 0), 1)

    def test_open(self) -> None:
        """
        Connections are open until they are over, however long that takes.
        """
        counts = self.counts()
        self.assertEqual(counts.enter(b"a", 1.0, 60.0, 0), (1, 1))
        self.assertEqual(counts.enter(b"a", 2.0, 60.0, 0), (2, 2))
        self.assertEqual(counts.enter(b"a", 900.0, 60.0, 0), (1, 3))
        counts.leave(b"a", 900.0, 60.0)
        counts.leave(b"a", 900.0, 60.0)
        self.assertEqual(counts.enter(b"a", 900.0, 60.0, 0), (2, 2))

    def test_clock_set_back(self) -> None:
        counts = self.counts()
        counts.add(b"a", 1000.0, 60.0, 1)
        self.assertEqual(counts.add(b"a", 10.0, 60.0, 1), 1)


class OwnTallyTests(CountsContract, SynchronousTestCase):
    def counts(self) -> Counts:
        return OwnTally()

    def test_bounded(self) -> None:
        """
        Who has connections is not forgotten, however many others come.
        """
        self.patch(own_tally, "MOST", 100)
        counts = OwnTally()
        counts.enter(b"stays", 0.0, 60.0, 0)
        for n in range(1000):
            counts.add(b"%d" % n, float(n), 60.0, 1)
            self.assertLessEqual(len(counts._clients), 100)
        self.assertEqual(counts.enter(b"stays", 999.0, 60.0, 0)[1], 2)


class TallyTests(CountsContract, SynchronousTestCase):
    def counts(self) -> Tally:
        self.descriptor = fresh()
        self.addCleanup(os.close, self.descriptor)
        return Tally(self.descriptor)

    def child(self, *keys: bytes) -> None:
        """
        Another process lets clients in, counts them, and dies with them.
        """
        pid = os.fork()
        if not pid:
            try:
                twin = Tally(self.descriptor)
                for key in keys:
                    twin.enter(key, 1.0, 60.0, 0)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)

    def test_processes(self) -> None:
        """
        All count together; what a dead one had open is gone when another one
        takes its place.
        """
        counts = self.counts()
        counts.enter(b"a", 1.0, 60.0, 0)
        self.child(b"a", b"a", b"b")
        self.assertEqual(counts.enter(b"a", 1.0, 60.0, 0), (4, 4))
        self.child(b"c")
        self.assertEqual(counts.enter(b"a", 1.0, 60.0, 0), (5, 3))

    def test_bounded(self) -> None:
        """
        The table never grows, and in a full one new clients still count.
        """
        counts = self.counts()
        bucket = b""
        for n in range(5000):
            bucket = b"%d" % n
            counts.add(bucket, float(n), 1e9, 1)
        self.assertEqual(os.fstat(self.descriptor).st_size, SIZE)
        self.assertEqual(counts.add(bucket, 5000.0, 1e9, 1), 2)
        self.assertGreater(BUCKETS * WAYS, 5000)

    def test_full_bucket(self) -> None:
        """
        Of one bucket the eldest goes, never one with connections; when all
        have some, a new one is not counted.
        """
        self.patch(tally, "BUCKETS", 1)
        counts = self.counts()
        for n in range(WAYS):
            counts.enter(b"%d" % n, float(n), 1e9, 0)
        self.assertEqual(counts.enter(b"new", 50.0, 1e9, 0), (1, 1))
        self.assertEqual(counts.enter(b"new", 51.0, 1e9, 0), (1, 1))
        counts.leave(b"3", 60.0, 1e9)
        self.assertEqual(counts.enter(b"new", 61.0, 1e9, 0), (1, 1))
        self.assertEqual(counts.enter(b"new", 62.0, 1e9, 0), (2, 2))
        self.assertEqual(counts.enter(b"0", 63.0, 1e9, 0), (2, 2))

    def test_cannot_be_cut(self) -> None:
        """
        A process gone wrong cannot take the table from the others.
        """
        self.counts()
        self.assertRaises(OSError, os.ftruncate, self.descriptor, 0)

    def test_damaged(self) -> None:
        """
        Whatever is in it: numbers.
        """
        counts = self.counts()
        os.pwrite(self.descriptor, os.urandom(SIZE), 0)
        for n in range(200):
            rate, count = counts.enter(b"%d" % n, 1.0, 60.0, 0)
            self.assertGreaterEqual(rate, 1)
            self.assertGreaterEqual(count, 1)
            counts.leave(b"%d" % n, 1.0, 60.0)
