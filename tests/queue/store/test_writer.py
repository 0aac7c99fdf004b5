"""
The writer's thread: whose turn it is, how much goes into one transaction, when
the log is moved into the database, and that every operation is answered.
"""

from __future__ import annotations

from typing import Any

from tests.queue.store.cases import SqliteCase
from tests.queue.store.doubles import error
from txmta.queue.store import journal, writer
from txmta.queue.store.content import Reserve
from txmta.queue.store.database import connect
from txmta.queue.store.writer import Timing

#: What needs the turn. Readers begin and commit as well, but otherwise.
WRITING = ("BEGIN IMMEDIATE", "PRAGMA wal_checkpoint", "VACUUM")

#: Nothing is done but what is asked for.
PATIENT = Timing(idle=1000.0, lazy=1000.0, retry=1000.0, back_off=(0.02, 0.05))


class WriterCase(SqliteCase):
    def setUp(self) -> None:
        super().setUp()
        self.statements: list[str] = []

    def watch(self) -> None:
        """
        Keep statements from now on.
        """
        self.faults.fault = self.statements.append

    def disturbed(self) -> list[str]:
        """
        @return: what will have been written without the turn.
        """
        found: list[str] = []

        def fault(sql: str) -> None:
            self.statements.append(sql)
            if sql.startswith(WRITING) and self.rig.try_turn():
                found.append(sql)

        self.faults.fault = fault
        return found

    def ran(self, start: str) -> int:
        return sum(statement.startswith(start) for statement in self.statements)


class TurnTests(WriterCase):
    def test_every_transaction(self) -> None:
        """
        While anything is written, checkpoints and the last ones included, no
        other process gets the turn; in between each does.
        """
        self.restart(timing=PATIENT)
        self.patch(journal, "SHRINK", 0)
        disturbed = self.disturbed()
        queue_id = self.put()
        self.assertTrue(self.rig.try_turn())
        self.claim()
        self.wait(self.finish(queue_id))
        self.assertTrue(self.rig.try_turn())
        self.wait(self.store.stop())
        self.assertTrue(self.rig.try_turn())
        self.assertEqual(disturbed, [])
        self.assertEqual(self.ran("VACUUM"), 1)

    def test_turn_cannot_be_taken(self) -> None:
        """
        When the lock fails, mail gets 451 and records are kept; it goes on
        when the lock works again.
        """
        queue_id = self.put()
        self.claim()
        turn: Any = self.store._turn
        real, failing = turn.acquire, [True]

        def acquire() -> tuple[float, int]:
            if failing:
                raise OSError(37, "No locks available")
            answer: tuple[float, int] = real()
            return answer

        self.patch(turn, "acquire", acquire)
        self.assertFails(self.begin()[1])
        finished = self.finish(queue_id)
        self.assertFails(self.begin()[1])
        self.assertIn("No locks available", self.rig.sink.warnings())
        self.assertFalse(finished.called)
        failing.clear()
        self.assertTrue(self.wait(finished))

    def test_bug(self) -> None:
        """
        A bug in a round is told, and is not the end of the thread.
        """
        files: Any = self.store._files
        look, broken = files.look_for_room, [True]

        def look_for_room() -> None:
            if broken:
                broken.clear()
                raise ZeroDivisionError("oops")
            look()

        self.patch(files, "look_for_room", look_for_room)
        self.begin()
        self.put()
        self.assertIn("error in the queue writer", self.rig.sink.warnings())

    def test_last(self) -> None:
        """
        What is kept for a trouble that lasts until we stop is tried once more,
        with the turn, and the log is moved: closing would swallow its errors.
        """
        queue_id = self.put()
        self.restart(timing=PATIENT)
        self.claim()
        written: list[str] = []

        def fault(sql: str) -> None:
            if sql.startswith(WRITING):
                written.append(f"{sql}{' without the turn' * self.rig.try_turn()}")
                if written == ["BEGIN IMMEDIATE"] * len(written) and len(written) < 3:
                    raise error("SQLITE_BUSY")

        self.faults.fault = fault
        finished = self.finish(queue_id)
        while not self.store._writer.journal.kept:
            self.rig.pause()
        self.wait(self.store.stop())
        self.assertTrue(self.wait(finished))
        self.assertEqual(
            written, ["BEGIN IMMEDIATE"] * 3 + ["PRAGMA wal_checkpoint(PASSIVE)"]
        )


class BatchTests(WriterCase):
    def batches(self, content: bytes) -> int:
        """
        @return: in how many transactions ten messages are committed.
        """
        before = self.store._writer.journal.batches[0]
        with self.rig.turn_held():
            begun = [self.begin(1, content)[1] for _ in range(10)]
        for commit in begun:
            self.wait(commit)
        return self.store._writer.journal.batches[0] - before

    def test_operations(self) -> None:
        """
        One transaction takes no more than so many operations.
        """
        self.patch(writer, "BATCH", 4)
        self.assertGreaterEqual(self.batches(b"x"), 3)

    def test_octets(self) -> None:
        """
        Nor more than so many octets, or 200 messages of 64 KiB would hold up
        all others.
        """
        self.patch(writer, "BATCH_OCTETS", 100_000)
        self.assertGreaterEqual(self.batches(b"x" * 50_000), 4)

    def test_stop(self) -> None:
        """
        What waits when the store stops is committed, however much it is.
        """
        self.patch(writer, "BATCH", 4)
        with self.rig.turn_held():
            begun = [self.begin() for _ in range(20)]
            stopped = self.store.stop()
        self.wait(stopped)
        self.assertEqual([self.wait(c) for _, c in begun], [i for i, _ in begun])
        self.store = self.make()
        self.assertEqual(self.claimed_ids(), [i for i, _ in begun])


class CheckpointTests(WriterCase):
    def test_under_load(self) -> None:
        """
        The log is moved when it is long, also when there is no idle moment.
        """
        self.restart(timing=PATIENT)
        self.watch()
        self.put()
        self.assertEqual(self.ran("PRAGMA wal_checkpoint"), 0)
        self.patch(writer, "CHECKPOINT", 1)
        self.put()
        self.assertEqual(self.ran("PRAGMA wal_checkpoint"), 1)

    def test_several_writers(self) -> None:
        """
        The bound is for all writers together: none moves the log later
        because others write, too.
        """
        self.restart(timing=PATIENT)
        stores = [self.store, *(self.make(timing=PATIENT) for _ in range(3))]
        self.patch(writer, "CHECKPOINT", 500_000)
        log = self.directory / "queue.1.db-wal"
        longest = 0
        for n in range(120):
            self.store = stores[n % 4]
            self.put(content=b"x" * 20_000)
            longest = max(longest, log.stat().st_size)
        self.assertGreater(longest, 400_000)
        self.assertLess(longest, 750_000)

    def test_full_disk(self) -> None:
        """
        On a full disk it is moved at once: there is no room to grow.
        """
        queue_id = self.put()
        self.restart(timing=PATIENT)
        self.claim()
        self.patch(Reserve, "make", lambda reserve: False)
        self.faults.at("COMMIT", "SQLITE_FULL")
        self.assertFails(self.begin()[1], 452, "4.3.1")
        self.watch()
        self.assertTrue(self.wait(self.finish(queue_id)))
        self.assertEqual(self.ran("PRAGMA wal_checkpoint"), 1)

    def test_long_reader(self) -> None:
        """
        A checkpoint that a reader holds up raises nothing, so its result is
        looked at: it is tried again, and we say so in the end.
        """
        self.patch(journal, "LONG_READER", 0)
        self.put()
        reader = connect(str(self.directory / "queue.db"))
        self.addCleanup(reader.close)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM message").fetchall()
        self.watch()
        self.put()
        for _ in range(1000):
            if self.ran("PRAGMA wal_checkpoint") > 2:
                break
            self.rig.pause()
        else:
            self.fail("not tried again")
        self.assertIn("a long reader", self.rig.sink.warnings())
        reader.execute("COMMIT")
        while self.store._writer.journal.log_octets:
            self.rig.pause()

    def test_error_at_the_end(self) -> None:
        """
        An error of the last checkpoint is seen, though closing the database
        would swallow it.
        """
        self.restart(timing=PATIENT)
        queue_id = self.put()
        self.faults.at("PRAGMA wal_checkpoint", "SQLITE_IOERR_FSYNC")
        self.wait(self.store.stop())
        self.assertIn("cannot checkpoint", self.rig.sink.warnings())
        # The old process rebuilds, and then gives up its turn.
        while not self.rig.try_turn():
            self.rig.pause()
        self.store = self.make()
        self.assertEqual(self.claimed_ids(), [queue_id])

    def test_hands_off_what_is_in_doubt(self) -> None:
        """
        After a failed checkpoint nothing is done to the files but to copy
        them; so when the store stops in doubt.
        """
        self.restart(timing=PATIENT)
        self.patch(writer, "CHECKPOINT", 1)
        failing = True

        def fault(sql: str) -> None:
            if not sql.startswith(("SELECT", "PRAGMA journal_mode")):
                self.statements.append(sql)
            if failing and sql.startswith(("PRAGMA wal_checkpoint", "VACUUM")):
                raise error("SQLITE_IOERR_FSYNC")

        self.faults.fault = fault
        self.put()
        self.statements.clear()
        # Stop while the rebuild is tried again and again.
        self.wait(self.store.stop())
        self.assertEqual(set(self.statements) - {"VACUUM INTO ?"}, set())
        failing = False
        while not self.rig.try_turn():
            self.rig.pause()

    def test_no_shrinking_in_doubt(self) -> None:
        """
        A failed idle checkpoint is not followed by work on the same files.
        """
        self.restart(timing=Timing(0.02, 0.02, (0.02, 0.05)))
        self.put()

        def fault(sql: str) -> None:
            if self.statements or sql.startswith("PRAGMA wal_checkpoint"):
                self.statements.append(sql)
            if len(self.statements) == 1:
                raise error("SQLITE_IOERR_FSYNC")

        self.faults.fault = fault
        while "rebuilt the queue" not in self.rig.sink.warnings():
            self.rig.pause()
        self.assertEqual(self.statements[1], "VACUUM INTO ?")
