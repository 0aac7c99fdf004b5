"""
Locks between processes, and what the lock file says.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txmta.errors import StoreUnavailable
from txmta.queue.store import ids, locks
from txmta.queue.store.content import Spool
from txmta.queue.store.locks import MAX_OCTETS, Lease, Slot, TurnLock
from txmta.queue.store.start import sweep


class LockCase(SynchronousTestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def turn(self) -> TurnLock:
        lock = TurnLock(self.directory / "queue.lock")
        self.addCleanup(lock.close)
        return lock


class TurnTests(LockCase):
    def test_no_links(self) -> None:
        """
        A lock file that is a link, to whatever, is refused.
        """
        (self.directory / "queue.lock").symlink_to("elsewhere")
        with self.assertRaises(OSError):
            self.turn()
        self.assertFalse((self.directory / "elsewhere").exists())

    def test_what_others_said(self) -> None:
        """
        What we said before is said again when another process said something
        else meanwhile.
        """
        one, other = self.turn(), self.turn()
        one.acquire()
        one.announce(1, False)
        one.release()
        other.acquire()
        self.assertEqual(other.generation, 1)
        other.announce(2, True)
        other.release()
        one.acquire()
        self.assertEqual((one.generation, one.doubt), (2, True))
        one.announce(1, False)
        one.release()
        other.acquire()
        self.assertEqual((other.generation, other.doubt), (1, False))

    def test_length(self) -> None:
        """
        How long the log is, all writers know; what cannot be is none.
        """
        one, other = self.turn(), self.turn()
        one.acquire()
        one.announce(3, False)
        one.count(10**30, 41)
        one.release()
        other.acquire()
        self.assertEqual(other.log_octets, MAX_OCTETS)
        other.count(5, other.syncs + 1)
        other.release()
        one.acquire()
        self.assertEqual((one.generation, one.doubt, one.log_octets), (3, False, 5))
        self.assertEqual(one.syncs, 42)
        one.release()
        for text, said in (
            (b"1 2 1\n", (2, True, 0)),
            (b"1 2 1 -7\n", (2, True, 0)),
            (b"1 2 1 x\n", (0, False, 0)),
        ):
            (self.directory / "queue.lock").write_bytes(text)
            lock = self.turn()
            lock.acquire()
            self.assertEqual((lock.generation, lock.doubt, lock.log_octets), said)
            lock.release()

    def test_nonsense(self) -> None:
        """
        A lock file that says nothing sensible, as a new one, says nothing.
        """
        for text in (b"", b"x", b"1 2", b"\xff\xff"):
            (self.directory / "queue.lock").write_bytes(text)
            lock = self.turn()
            lock.acquire()
            self.assertEqual(
                (lock.holder(), lock.generation, lock.doubt), (0, 0, False)
            )
            lock.release()


class SlotTests(LockCase):
    def slot(self) -> Slot:
        slot = Slot(self.directory)
        self.addCleanup(slot.close)
        return slot

    def test_no_more_slots(self) -> None:
        """
        Rather no process than two with the same queue ids.
        """
        self.patch(locks, "SLOTS", 2)
        self.assertEqual([self.slot().number for _ in range(2)], [0, 1])
        with self.assertRaises(StoreUnavailable):
            self.slot()

    def test_sweep_reads_names_first(self) -> None:
        """
        Names, slots, rows, in this order: the content of a process that
        starts, or ends, meanwhile is not swept.
        """
        (self.directory / ids.encode(5 << 8 | 7)).write_bytes(b"x")
        asked: list[str] = []

        class Names(Spool):
            def names(self) -> list[str]:
                asked.append("names")
                return super().names()

        class Slots(Slot):
            def __init__(self) -> None:
                self.number = 0

            def abandoned(self, number: int) -> bool:
                asked.append(f"slot {number}")
                return False

        self.assertEqual(sweep(None, Names(self.directory), Slots()), 0)  # type: ignore[arg-type]
        self.assertEqual(asked, ["names", "slot 7"])


class LeaseTests(SynchronousTestCase):
    def test_one_at_a_time(self) -> None:
        """
        Two queue managers would deliver everything twice.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        first, second = Lease(directory), Lease(directory)
        self.assertTrue(first.take())
        self.assertFalse(second.take())
        first.close()
        self.assertTrue(second.take())
        second.close()
