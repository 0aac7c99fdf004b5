"""
Files in doubt: what other processes are told of them, and what they do about it.
"""

from __future__ import annotations

import os
from contextlib import closing
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.store.cases import SqliteCase
from tests.queue.store.doubles import Sink, error
from txmta.model import Reply
from txmta.queue.store import files
from txmta.queue.store.database import Database
from txmta.queue.store.files import Warnings
from txmta.queue.store.writer import Timing

UNAVAILABLE = Reply(451, "4.3.0", "Error: queue file write error")


class LockCase(SqliteCase):
    def lock(self) -> tuple[int, int, int]:
        """
        @return: what the lock file says: process, generation, doubt.
        """
        words = (self.directory / "queue.lock").read_bytes().split()
        pid, generation, doubt = words[:3]
        return int(pid), int(generation), int(doubt)

    def write_lock(self, text: bytes) -> None:
        """
        Another process was the last, and left this.
        """
        with (self.directory / "queue.lock").open("r+b") as file:
            file.write(text.ljust(40))

    def until_rebuilt(self) -> str:
        """
        @return: the name of the new database.
        """
        while "rebuilt the queue" not in self.rig.sink.warnings():
            self.rig.pause()
        self.assertIsNone(self.store.refusal())
        return os.readlink(self.directory / "queue.db")


class TellTests(LockCase):
    def test_holder(self) -> None:
        """
        The lock file says who writes, and which generation.
        """
        self.write_lock(b"1 1 0\n")
        self.put()
        self.assertEqual(self.lock(), (os.getpid(), 1, 0))

    def test_doubt(self) -> None:
        """
        Doubt is told before anything else is tried, for we may be killed; and
        that it is over, when it is.
        """
        said: list[tuple[int, int, int]] = []

        def fault(sql: str) -> None:
            if sql.startswith("COMMIT") and not said:
                raise error("SQLITE_IOERR_FSYNC")
            if sql.startswith("VACUUM INTO"):
                said.append(self.lock())
                if len(said) < 3:
                    raise error("SQLITE_IOERR_WRITE")

        self.put()
        self.faults.fault = fault
        self.assertFails(self.begin()[1])
        self.until_rebuilt()
        self.assertEqual(said, [(os.getpid(), 1, 1)] * 3)
        self.assertEqual(self.lock(), (os.getpid(), 2, 0))
        self.assertIn("cannot rebuild", self.rig.sink.warnings())

    def test_start_in_doubt(self) -> None:
        """
        A process that starts in doubt takes no mail before its first turn, and
        passes the doubt on should it be killed before.
        """
        queue_id = self.put()
        self.wait(self.store.stop())
        self.write_lock(b"1 1 1\n")
        self.store = self.make(timing=Timing(1000.0, 1000.0, (0.02, 0.05)))
        self.assertEqual(self.store.refusal(), UNAVAILABLE)
        self.assertEqual(self.lock(), (os.getpid(), 1, 1))
        self.assertFails(self.begin()[1])
        self.assertEqual(self.until_rebuilt(), "queue.2.db")
        self.assertEqual(self.listed(), [queue_id])

    def test_cannot_tell(self) -> None:
        """
        When the lock file cannot be written, we rebuild all the same.
        """
        self.put()
        self.faults.at("COMMIT", "SQLITE_IOERR_FSYNC")
        announce, failing = self.store._turn.announce, [True]

        def broken(generation: int, doubt: bool) -> None:
            if doubt and failing:
                failing.clear()
                raise OSError(5, "Input/output error")
            announce(generation, doubt)

        self.patch(self.store._turn, "announce", broken)
        self.assertFails(self.begin()[1])
        self.until_rebuilt()
        self.assertIn("cannot tell other processes", self.rig.sink.warnings())


class FollowTests(LockCase):
    def test_left_in_doubt(self) -> None:
        """
        Another process died in doubt: nothing is acknowledged before the
        queue is rebuilt.
        """
        before = self.put()
        with self.rig.turn_held():
            self.write_lock(b"1 1 1\n")
            commit = self.begin()[1]
        self.assertFails(commit)
        self.assertEqual(self.until_rebuilt(), "queue.2.db")
        self.assertEqual(self.listed(), [before])

    def test_died_after_the_link_was_turned(self) -> None:
        """
        Another process rebuilt the queue, and died before it could say so: we
        go on from its database, and do not make ours over it.
        """
        before = self.put()
        with self.rig.turn_held():
            other = Database(self.directory)
            other.prepare()
            with closing(other.write_connection()) as connection:
                other.rebuild(connection)
            self.write_lock(b"1 1 1\n")
            commit = self.begin()[1]
        self.assertFails(commit)
        self.assertEqual(self.until_rebuilt(), "queue.3.db")
        self.assertEqual(self.listed(), [before])


class DoubtTests(LockCase):
    def test_failed_rollback(self) -> None:
        """
        A transaction that cannot be rolled back is doubt, whatever made it
        fail.
        """
        self.put()
        left = ["COMMIT", "ROLLBACK"]

        def fault(sql: str) -> None:
            if left and sql == left[0]:
                left.pop(0)
                raise error(
                    "SQLITE_IOERR_WRITE" if sql == "ROLLBACK" else "SQLITE_FULL"
                )

        self.faults.fault = fault
        # Two recipients: more than the one statement that is its own transaction.
        self.assertFails(self.begin(2)[1])
        self.assertEqual(self.until_rebuilt(), "queue.2.db")
        self.put()

    def test_bad_copy(self) -> None:
        """
        A copy is looked at before the link is turned to it.
        """
        queue_id = self.put()
        broken: list[int] = []

        def fault(sql: str) -> None:
            if sql == "COMMIT" and not broken:
                broken.append(1)
                raise error("SQLITE_IOERR_FSYNC")
            if sql.startswith("SELECT id FROM message LIMIT 1") and len(broken) == 1:
                broken.append(2)
                self.assertEqual(os.readlink(self.directory / "queue.db"), "queue.1.db")
                raise error("SQLITE_CORRUPT")

        self.faults.fault = fault
        self.assertFails(self.begin()[1])
        self.assertEqual(self.until_rebuilt(), "queue.2.db")
        self.assertEqual(broken, [1, 2])
        self.assertEqual(self.listed(), [queue_id])

    def test_answers_meanwhile(self) -> None:
        """
        While the next attempt to rebuild is awaited, mail is answered at once.
        """
        self.restart(timing=Timing(0.02, 0.02, (1000.0, 0.05)))
        failing = True

        def fault(sql: str) -> None:
            if failing and sql.startswith(("COMMIT", "VACUUM")):
                raise error("SQLITE_IOERR_WRITE")

        self.faults.fault = fault
        for _ in range(3):
            self.assertFails(self.begin()[1])
        failing = False


class WarningsTests(SynchronousTestCase):
    def test_not_every_second(self) -> None:
        """
        The same is told once a minute, something else at once.
        """
        times = iter((1000.0, 1001.0, 1059.0, 1061.0, 1061.0))
        self.patch(files, "time", SimpleNamespace(monotonic=times.__next__))
        sink = Sink()
        warn = Warnings(sink)
        for _ in range(4):
            warn("full")
        warn("doubt")
        self.assertEqual(sink.warnings(), "full\nfull\ndoubt")
