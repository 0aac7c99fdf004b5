"""
What happens when the disk fails: 4xx, never a false 250, nothing lost.

Errors are injected into the connection; real devices that fail are in
C{tests/crash}.
"""

from __future__ import annotations

import os
import sqlite3
from unittest import mock

from tests.contracts.queue_store import LARGE
from tests.queue.store.cases import SqliteCase
from tests.queue.store.doubles import error
from txmta.errors import StoreUnavailable
from txmta.model import (
    Attempt,
    NewMessage,
    QueueName,
    RecipientState,
    Reply,
    Result,
)
from txmta.queue.store.content import Reserve

FULL = Reply(452, "4.3.1", "Insufficient system storage")
UNAVAILABLE = Reply(451, "4.3.0", "Error: queue file write error")


class FullDiskTests(SqliteCase):
    def fill(self) -> None:
        """
        Let the next commit find the disk full, and no room for a reserve.
        """
        self.room = False
        make = Reserve.make
        self.patch(Reserve, "make", lambda r: self.room and make(r))
        self.faults.at("COMMIT", "SQLITE_FULL")

    def until_ready(self) -> None:
        for _ in range(1000):
            if self.store.refusal() is None:
                return
            self.wait(self.store.requeue([self.store.new_id()]))
        self.fail("still full")

    def test_new_mail(self) -> None:
        """
        New mail is refused with 452 until there is room for the reserve.
        """
        self.fill()
        self.assertFails(self.begin()[1], 452, "4.3.1")
        self.assertEqual(self.store.refusal(), FULL)
        self.assertFalse((self.directory / "queue.reserve").exists())
        self.assertFails(self.begin()[1], 452, "4.3.1")
        self.assertIn("disk full", self.rig.sink.warnings())
        self.room = True
        self.until_ready()
        self.assertTrue((self.directory / "queue.reserve").exists())
        queue_id = self.put()
        self.assertEqual(self.listed(), [queue_id])

    def test_records(self) -> None:
        """
        What is done with is recorded with the help of the reserve.
        """
        queue_id = self.put()
        self.claim()
        self.fill()
        self.assertTrue(self.wait(self.finish(queue_id)))
        self.assertEqual(self.listed(), [])

    def test_records_without_room(self) -> None:
        """
        When even the reserve is not enough, records are tried again and not
        lost, bounces in them included.
        """
        queue_id = self.put()
        self.claim()
        self.fill()
        self.faults.at("COMMIT", "SQLITE_FULL", 5)
        bounce = self.envelope()
        attempt = Attempt(
            queue_id,
            (Result(0, RecipientState.BOUNCED),),
            None,
            (NewMessage(bounce, b"bounce"),),
        )
        self.assertTrue(self.wait(self.store.record(attempt)))
        self.assertEqual(self.listed(), [bounce.queue_id])

    def test_batch(self) -> None:
        """
        In one batch, new mail is refused and what is done with is recorded.
        """
        queue_id = self.put()
        self.claim()
        self.fill()
        with self.rig.turn_held():
            refused = [self.begin()[1] for _ in range(3)]
            finished = self.finish(queue_id)
        for commit in refused:
            self.assertFails(commit, 452, "4.3.1")
        self.assertTrue(self.wait(finished))
        self.assertEqual(self.listed(), [])

    def test_checkpoint(self) -> None:
        """
        A checkpoint that finds no room refuses mail, and is tried again.
        """
        self.fill()
        self.faults.at("PRAGMA wal_checkpoint", "SQLITE_FULL")
        self.put()
        while self.store.refusal() is None:
            self.rig.pause()
        self.assertEqual(self.store.refusal(), FULL)

    def test_no_reserve_at_start(self) -> None:
        """
        A queue on a full disk starts, so that it can drain.
        """
        queue_id = self.put()
        self.wait(self.store.stop())
        os.unlink(self.directory / "queue.reserve")
        self.fill()
        self.faults.at("", "", 0)
        self.store = self.make()
        self.assertEqual(self.store.refusal(), FULL)
        self.assertEqual(self.claimed_ids(), [queue_id])
        self.assertTrue(self.wait(self.finish(queue_id)))

    def test_content_file(self) -> None:
        """
        A content file that finds no room is 452 as well, and leaves nothing.
        """
        full = mock.Mock(side_effect=OSError(28, "No space left on device"))
        with mock.patch("os.write", full):
            self.assertFails(self.begin(1, LARGE)[1], 452, "4.3.1")
        with mock.patch("os.fsync", full):
            self.assertFails(self.begin(1, LARGE)[1], 452, "4.3.1")
        self.assertEqual(self.content_files(), [])
        self.assertEqual(self.listed(), [])

    def test_free_space(self) -> None:
        """
        Asked once a second; a file system that does not answer is no error.
        """
        asked = mock.Mock(return_value=1234)
        with mock.patch("txmta.queue.store.space.free_space", asked):
            for _ in range(3):
                self.assertEqual(self.store.free_space(), 1234)
            asked.side_effect = OSError(5, "Input/output error")
            self.assertEqual(self.store.free_space(), 1234)
            self.rig.clock.advance(1)
            self.assertIsNone(self.store.free_space())
            self.assertIsNone(self.store.refusal())
        self.assertEqual(asked.call_count, 2)


class DoubtTests(SqliteCase):
    """
    After an I/O error of commit or checkpoint the queue is rebuilt.
    """

    def rebuilt(self, generation: int) -> None:
        """
        Wait until the queue is rebuilt, and look at it.
        """
        while self.store.refusal() is not None:
            self.rig.pause()
        self.assertEqual(
            os.readlink(self.directory / "queue.db"), f"queue.{generation}.db"
        )
        old = self.directory / f"queue.{generation - 1}.db"
        self.assertFalse(old.exists())

    def test_commit(self) -> None:
        """
        New mail gets 451, and is taken again after a rebuild.
        """
        before = self.put()
        self.faults.at("COMMIT", "SQLITE_IOERR_FSYNC")
        self.assertFails(self.begin()[1])
        self.rebuilt(2)
        self.assertIn("do not reboot", self.rig.sink.warnings())
        after = self.put()
        self.assertEqual(self.claimed_ids(), [before, after])
        self.restart()
        self.assertEqual(self.claimed_ids(), [before, after])

    def test_checkpoint(self) -> None:
        """
        An error of a checkpoint is seen, though no mail came with it.
        """
        self.faults.at("PRAGMA wal_checkpoint(PASSIVE)", "SQLITE_IOERR_FSYNC")
        queue_id = self.put()
        while "rebuilt" not in self.rig.sink.warnings():
            self.rig.pause()
        self.rebuilt(2)
        self.assertEqual(self.listed(), [queue_id])

    def test_until_it_works(self) -> None:
        """
        Until the rebuild works nothing is acknowledged, records are kept,
        and no other process gets the turn.
        """
        queue_id = self.put()
        self.claim()
        failing = True

        def fault(sql: str) -> None:
            if failing and sql.startswith(("COMMIT", "VACUUM")):
                raise error("SQLITE_IOERR_WRITE")

        self.faults.fault = fault
        self.assertFails(self.begin()[1])
        finished = self.finish(queue_id)
        for _ in range(3):
            self.assertFails(self.begin()[1])
            self.assertEqual(self.store.refusal(), UNAVAILABLE)
        self.assertFalse(self.rig.try_turn())
        self.assertFalse(finished.called)
        failing = False
        self.assertTrue(self.wait(finished))
        self.rebuilt(2)
        self.assertTrue(self.rig.try_turn())
        self.assertEqual(self.listed(), [])

    def test_readers_follow(self) -> None:
        """
        After a rebuild reading goes on from the new files.
        """
        first = self.put()
        self.listed()
        self.faults.at("COMMIT", "SQLITE_IOERR_FSYNC")
        self.assertFails(self.begin()[1])
        self.rebuilt(2)
        second = self.put()
        self.assertEqual(self.listed(), [first, second])

    def test_stop_in_doubt(self) -> None:
        """
        A store that stops in doubt fails what waits; the next one rebuilds
        before it takes mail.
        """
        queue_id = self.put()
        self.claim()
        failing = True

        def fault(sql: str) -> None:
            if failing and sql.startswith(("COMMIT", "VACUUM")):
                raise error("SQLITE_IOERR_WRITE")

        self.faults.fault = fault
        finished = self.finish(queue_id)
        for _ in range(2):
            self.assertFails(self.begin()[1])
        stopped = self.store.stop()
        self.assertFails(finished)
        self.wait(stopped)
        self.assertFalse(self.rig.try_turn())
        failing = False
        # The old process tries to the end, and then gives up its turn.
        while not self.rig.try_turn():
            self.rig.pause()
        self.store = self.make()
        self.assertEqual(self.claimed_ids(), [queue_id])

    def test_doubt_outlives_its_process(self) -> None:
        """
        Files that a dead process left in doubt are rebuilt by the next.
        """
        queue_id = self.put()
        self.wait(self.store.stop())
        (self.directory / "queue.lock").write_bytes(b"1 1 1\n".ljust(40))
        self.store = self.make()
        self.assertEqual(self.claimed_ids(), [queue_id])
        self.assertTrue(self.wait(self.finish(queue_id)))
        self.rebuilt(2)

    def test_large_message(self) -> None:
        """
        In doubt the file of a message is kept: its row may turn up.
        """
        self.faults.at("COMMIT", "SQLITE_IOERR_FSYNC")
        queue_id, commit = self.begin(1, LARGE)
        real = self.store._writer.journal.rebuild
        self.patch(self.store._writer.journal, "rebuild", lambda: False)
        self.assertFails(commit)
        self.assertEqual(self.content_files(), [queue_id])
        self.patch(self.store._writer.journal, "rebuild", real)
        self.rebuilt(2)
        self.restart()
        self.assertEqual(self.content_files(), [])


class OtherErrorTests(SqliteCase):
    def test_busy(self) -> None:
        """
        Somebody writes without the lock: 451, and records are kept.
        """
        queue_id = self.put()
        self.claim()
        self.faults.at("BEGIN IMMEDIATE", "SQLITE_BUSY")
        finished = self.finish(queue_id)
        refused = self.begin()[1]
        self.assertFails(refused)
        self.assertTrue(self.wait(finished))
        self.assertIn("queue.1.db: SQLITE_BUSY", self.rig.sink.warnings())
        self.put()

    def test_unknown(self) -> None:
        """
        Whatever SQLite says, it is 451 and not the end.
        """
        for name in ("SQLITE_READONLY", "SQLITE_NOMEM", "SQLITE_CANTOPEN", ""):
            self.faults.at("BEGIN IMMEDIATE", name)
            self.assertFails(self.begin()[1])
            self.put()

    def test_one_bad_operation(self) -> None:
        """
        Of a batch, only the operation fails that cannot be done.
        """
        twice = self.envelope()
        commits = []
        with self.rig.turn_held():
            for envelope in (self.envelope(), twice, twice, self.envelope()):
                incoming = self.store.open(envelope)
                incoming.write(b"x")
                commits.append(incoming.commit())
        got = []
        for commit in commits:
            try:
                got.append(self.wait(commit))
            except StoreUnavailable as e:
                got.append(e.code)
        self.assertEqual(len(self.listed()), 3)
        self.assertEqual(got[2], 451)
        self.assertNotIn(451, [got[0], got[1], got[3]])

    def test_impossible_values(self) -> None:
        """
        What the tables cannot hold is 451, and stops nothing.
        """
        for sender in ("a\nb@example.com", "a\0@example.com", "\ud800@example.com"):
            bad = self.envelope()
            object.__setattr__(bad, "sender", sender)
            self.assertFails(self.store.open(bad).commit())
        bad = self.envelope()
        object.__setattr__(bad, "queue_id", "nonsense")
        self.assertFails(self.store.open(bad).commit())
        incoming = self.store.open(bad)
        incoming.write(LARGE)
        self.assertFails(incoming.commit())
        bad = self.envelope()
        object.__setattr__(bad, "helo", "h" * 70000)
        self.assertFails(self.store.open(bad).commit())
        self.assertEqual(self.listed(), [])
        self.put()

    def test_bad_record(self) -> None:
        """
        A record that cannot be written by its own fault fails, and the
        message stays claimed, to be recorded again.
        """
        there, queue_id = self.put(), self.put()
        self.claim()
        envelope = self.envelope()
        object.__setattr__(envelope, "queue_id", there)
        attempt = Attempt(
            queue_id,
            (Result(0, RecipientState.BOUNCED),),
            None,
            (NewMessage(envelope, b"x"),),
        )
        self.assertFails(self.store.record(attempt))
        self.assertEqual(self.listed(QueueName.ACTIVE), [there, queue_id])
        self.assertTrue(self.wait(self.finish(queue_id)))

    def test_read_error(self) -> None:
        """
        A claim or listing that cannot be read fails, and works later.
        """
        queue_id = self.put()
        self.faults.at("SELECT", "SQLITE_IOERR_READ", 1)
        self.assertFails(self.store.claim(1, self.time))
        self.assertEqual(self.claimed_ids(), [queue_id])
        self.faults.at("SELECT", "SQLITE_IOERR_READ", 1)
        self.assertFails(self.store.find())
        self.assertEqual(self.listed(), [queue_id])

    def test_read_error_that_looks_like_damage(self) -> None:
        """
        "Malformed" may be an error of the disk that passes: look twice.
        """
        queue_id = self.put()
        self.restart()
        self.claim()
        self.faults.at("SELECT", "SQLITE_CORRUPT", 1)
        self.read(queue_id)
        self.faults.at("COMMIT", "SQLITE_CORRUPT", 1)
        self.assertFails(self.begin()[1])
        self.put()

    def test_opened_read_only(self) -> None:
        """
        Files that may only be read are replaced, or nothing could be written
        any more; what must not be lost waits for that.
        """
        queue_id = self.put()
        self.claim()
        self.faults.at("COMMIT", "SQLITE_READONLY")
        finished = self.finish(queue_id)
        self.assertTrue(self.wait(finished))
        self.assertIn("rebuilt the queue", self.rig.sink.warnings())
        self.put()

    def test_damaged_for_good(self) -> None:
        """
        A database that stays damaged is left as it is: no mail is taken.
        """
        self.put()
        self.faults.at("COMMIT", "SQLITE_NOTADB")
        with mock.patch.object(
            self.store._files, "_reopen", side_effect=sqlite3.DatabaseError("no")
        ):
            self.assertFails(self.begin()[1])
        self.assertEqual(self.store.refusal(), UNAVAILABLE)
        self.assertFails(self.begin()[1])
        self.assertIn("salvage", self.rig.sink.warnings())
        stopped = self.store.stop()
        self.wait(stopped)

    def test_closed(self) -> None:
        """
        What comes after the end is refused, not forgotten.
        """
        queue_id = self.put()
        late = self.store.open(self.envelope())
        self.wait(self.store.stop())
        self.assertFails(late.commit())
        self.assertFails(self.finish(queue_id))
        self.assertFails(self.store.find())
        self.assertFails(self.store.hold([queue_id]))

    def test_what_waits_is_committed(self) -> None:
        """
        Stopping answers everything that was asked for before.
        """
        begun = [self.begin() for _ in range(20)]
        stopped = self.store.stop()
        self.wait(stopped)
        self.assertEqual([self.wait(c) for _, c in begun], [i for i, _ in begun])
        self.store = self.make()
        self.assertEqual(self.claimed_ids(), [i for i, _ in begun])
        wal = self.directory / "queue.1.db-wal"
        self.wait(self.store.stop())
        self.assertFalse(wal.exists())
