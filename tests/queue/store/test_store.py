"""
What the store on SQLite does beyond the contract: bounds, files, other
processes, starting again.
"""

from __future__ import annotations

import os
import time
from unittest import mock

from tests.contracts.queue_store import LARGE
from tests.queue.store.cases import SqliteCase
from txmta.model import (
    Attempt,
    NewMessage,
    QueuedMessage,
    QueueName,
    RecipientState,
    Reply,
    Result,
)
from txmta.queue.store import ids, intake, journal, queries
from txmta.queue.store.content import INLINE, MemoryContent


class RestartTests(SqliteCase):
    def test_everything_comes_back(self) -> None:
        """
        What was not recorded is claimed again after a restart, new mail in
        order and deferred mail when due.
        """
        deferred = self.put()
        self.claim()
        result = Result(0, RecipientState.DEFERRED, "4.0.0 later")
        attempt = Attempt(deferred, (result,), self.time + 100)
        self.assertFalse(self.wait(self.store.record(attempt)))
        new = [self.put() for _ in range(5)]
        self.assertEqual(self.claimed_ids(2), new[:2])
        self.restart()
        self.assertEqual(self.claimed_ids(), new)
        self.time += 101
        self.assertEqual(self.claimed_ids(), [deferred])

    def test_many(self) -> None:
        """
        More than a page of messages is claimed in order, in small steps.
        """
        begun = [self.begin() for _ in range(350)]
        put = [self.wait(commit) for _, commit in begun]
        self.restart()
        got: list[str] = []
        while page := self.claimed_ids(30):
            got += page
        self.assertEqual(got, put)

    def test_ids_go_on(self) -> None:
        """
        After a restart with the clock set back, ids still grow.
        """
        before = self.put()
        self.time -= 86400
        self.restart()
        self.assertGreater(self.store.new_id(), before)

    def test_orphans(self) -> None:
        """
        Content without a message is swept at start, but not that of a
        process that lives, nor what is not ours.
        """
        kept = self.put(1, LARGE)
        other = self.rig.make()
        abandoned = self.store.open(self.envelope())
        abandoned.write(LARGE)
        living_id = other.new_id()
        (self.directory / "content" / living_id).write_bytes(b"x")
        (self.directory / "content" / "README").write_bytes(b"x")
        self.restart()
        self.assertEqual(self.content_files(), sorted([kept, living_id, "README"]))
        self.wait(other.stop())
        self.restart()
        self.assertEqual(self.content_files(), sorted([kept, "README"]))

    def test_idle_checkpoint(self) -> None:
        """
        A second without a commit, and the log is in the database.
        """
        self.put()
        while self.store._writer.journal.log_octets:
            self.rig.pause()
        self.assertIn(b"from@example.com", self.rig.content_of_database())


class ShrinkTests(SqliteCase):
    def size(self) -> int:
        return (self.directory / "queue.1.db").stat().st_size

    def test_free_pages(self) -> None:
        """
        Free pages go back to the file system when there are many and little
        else; but not while the queue is large.
        """
        put = [self.put(1, b"x" * 60000) for _ in range(50)]
        self.claim()
        self.patch(journal, "SHRINK", 1_000_000)
        self.patch(journal, "SMALL", 1_000_000)
        for queue_id in put[:30]:
            self.wait(self.finish(queue_id))
        while self.store._writer.journal.log_octets:
            self.rig.pause()
        self.assertGreater(self.size(), 3_000_000)
        for queue_id in put[30:49]:
            self.wait(self.finish(queue_id))
        for _ in range(1000):
            if self.size() < 1_000_000:
                break
            self.rig.pause()
        self.assertLess(self.size(), 1_000_000)
        self.assertEqual(self.read(put[49]), b"x" * 60000)

    def test_nothing_before_start(self) -> None:
        """
        A store that is not started has opened nothing: it may cross a fork.
        """
        before = os.listdir("/proc/self/fd")
        store = self.rig.unstarted()
        self.assertEqual(os.listdir("/proc/self/fd"), before)
        self.wait(store.stop())


class BoundTests(SqliteCase):
    def test_cache(self) -> None:
        """
        Content in memory is bounded; what fell out is read back.
        """
        self.restart(cache=100_000)
        put = [self.put(1, b"%d" % n * 15000) for n in range(10)]
        self.assertEqual(self.claimed_ids(), put)
        cache = self.store._core.cache
        self.assertLessEqual(sum(len(d) for d in cache._data.values()), 100_000)
        self.assertIsInstance(self.store.content(put[-1]), MemoryContent)
        for n, queue_id in enumerate(put):
            self.assertEqual(self.read(queue_id), b"%d" % n * 15000)
            self.assertTrue(self.wait(self.finish(queue_id)))
        self.assertEqual(cache._size, 0)

    def test_fresh(self) -> None:
        """
        Messages in memory that nobody claims are bounded; all are claimed,
        in order, when somebody does.
        """
        self.claim()
        self.patch(intake, "FRESH", 3)
        put = [self.put() for _ in range(10)]
        self.assertEqual(len(self.store._core.intake._new), 3)
        self.assertEqual(self.claimed_ids(4) + self.claimed_ids(4), put[:8])
        put.append(self.put())
        self.assertEqual(self.claimed_ids(), put[8:])

    def test_hot_path_reads_nothing(self) -> None:
        """
        With all in memory, claim and content answer at once.
        """
        self.claim()
        queue_id = self.put()
        with mock.patch.object(self.store._reader, "run") as run:
            messages = self.store.claim(10, self.time)
            assert isinstance(messages, list)
            content = self.store.content(queue_id)
            assert isinstance(content, MemoryContent)
        self.assertFalse(run.called)

    def test_many_recipients(self) -> None:
        """
        100,000 recipients neither stall the reactor nor stop others.
        """
        self.claim()
        start = time.thread_time()
        big, commit = self.begin(100_000)
        small, other = self.begin()
        begun = time.thread_time() - start
        self.wait(commit)
        self.wait(other)
        self.restart()
        messages = self.claim()
        self.assertEqual([m.envelope.queue_id for m in messages], [big, small])
        self.assertEqual(len(messages[0].envelope.recipients), 100_000)
        half = tuple(Result(n, RecipientState.DONE) for n in range(50_000))
        self.assertFalse(self.wait(self.store.record(Attempt(big, half))))
        rest = tuple(Result(n, RecipientState.DONE) for n in range(50_000, 100_000))
        self.assertTrue(self.wait(self.store.record(Attempt(big, rest))))
        self.assertEqual(self.listed(), [small])
        self.assertLess(begun, 1.0)

    def test_page_ends_with_a_big_message(self) -> None:
        """
        One page reads few recipients, but everything is claimed in the end.
        """
        self.patch(queries, "PAGE_RECIPIENTS", 10)
        put = [self.put(6) for _ in range(9)]
        self.restart()
        got: list[str] = []
        while page := self.claimed_ids(100):
            got += page
        self.assertEqual(got, put)

    def test_bulk_work_in_slices(self) -> None:
        """
        Work on many messages is cut, so that mail goes on between.
        """
        begun = [self.begin() for _ in range(450)]
        put = [self.wait(commit) for _, commit in begun]
        before = self.store._writer.journal.batches[1]
        held = self.store.hold(iter(put))
        mail = self.begin()[1]
        self.wait(mail)
        self.assertFalse(held.called)
        self.assertEqual(self.wait(held), 450)
        self.assertEqual(self.store._writer.journal.batches[1] - before, 4)
        self.assertEqual(self.wait(self.store.release(put)), 450)
        self.time += 1
        self.assertEqual(len(self.claimed_ids(1000)), 451)
        for queue_id in put:
            result = Result(0, RecipientState.DEFERRED, "4.0.0 x")
            self.store.record(Attempt(queue_id, (result,), self.time + 1000))
        self.assertEqual(self.wait(self.store.requeue(None)), 450)
        self.assertEqual(self.wait(self.store.delete(put)), 450)


class FileTests(SqliteCase):
    def test_where_content_lives(self) -> None:
        """
        Content above 64 KiB has a file, which goes with the message.
        """
        small = self.put(1, b"x" * INLINE)
        large = self.put(1, b"x" * (INLINE + 1))
        self.assertEqual(self.content_files(), [large])
        self.claim()
        self.assertTrue(self.wait(self.finish(small)))
        self.assertTrue(self.wait(self.finish(large)))
        self.assertEqual(self.content_files(), [])
        large = self.put(1, LARGE)
        self.wait(self.store.delete([large]))
        self.assertEqual(self.content_files(), [])
        large = self.put(2, LARGE)
        self.restart()
        self.assertTrue(self.wait(self.finish(large, 2)))
        self.assertEqual(self.content_files(), [])

    def test_synced_before_the_row(self) -> None:
        """
        File and directory are on disk before the row that names the file.
        """
        seen: list[str] = []
        real = os.fsync

        def fsync(fd: int) -> None:
            seen.append(os.readlink(f"/proc/self/fd/{fd}"))
            real(fd)

        def fault(sql: str) -> None:
            if sql.startswith("INSERT INTO batch"):
                seen.append("row")

        self.faults.fault = fault
        with mock.patch("os.fsync", fsync):
            large = self.put(1, LARGE)
        content = str(self.directory / "content")
        self.assertEqual(seen, [f"{content}/{large}", content, "row"])

    def test_reader_of_a_finished_message(self) -> None:
        """
        Who reads a file goes on reading when the message is finished.
        """
        large = self.put(1, LARGE)
        self.claim()
        content = self.wait(self.store.content(large))
        self.wait(self.finish(large))
        self.assertEqual(self.wait(content.read(0, 1 << 20)), LARGE)
        content.close()
        self.assertFails(content.read(0, 1))

    def test_large_forward(self) -> None:
        """
        A forward of a large message has a file of its own, synced as well,
        and outlives the original.
        """
        large = self.put(1, LARGE)
        self.claim()
        envelope = self.envelope()
        attempt = Attempt(
            large,
            (Result(0, RecipientState.DONE),),
            None,
            (NewMessage(envelope, b"Delivered-To: a\r\n", large),),
        )
        self.assertTrue(self.wait(self.store.record(attempt)))
        self.assertEqual(self.content_files(), [envelope.queue_id])
        self.restart()
        self.assertEqual(self.read(envelope.queue_id), b"Delivered-To: a\r\n" + LARGE)

    def test_forward_on_a_full_disk(self) -> None:
        """
        A record whose copy finds no room is tried again, and not lost.
        """
        large = self.put(1, LARGE)
        self.claim()
        envelope = self.envelope()
        attempt = Attempt(
            large,
            (Result(0, RecipientState.DONE),),
            None,
            (NewMessage(envelope, b"", large),),
        )
        with mock.patch("os.write", side_effect=OSError(28, "full")):
            recorded = self.store.record(attempt)
            self.rig.clock.advance(1)
        self.assertFalse(recorded.called)
        self.assertEqual(self.listed(QueueName.ACTIVE), [large])
        self.rig.clock.advance(2)
        self.assertTrue(self.wait(recorded))
        self.assertEqual(self.listed(), [envelope.queue_id])

    def test_stop_while_a_forward_waits(self) -> None:
        large = self.put(1, LARGE)
        self.claim()
        new = NewMessage(self.envelope(), b"", large)
        with mock.patch("os.write", side_effect=OSError(28, "full")):
            recorded = self.store.record(Attempt(large, (), None, (new,)))
            stopped = self.store.stop()
        self.assertFails(recorded)
        self.wait(stopped)
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])

    def test_descriptors(self) -> None:
        """
        A store that is closed leaves no file open.
        """
        self.put(1, LARGE)
        self.read(self.listed()[0])
        self.wait(self.store.stop())
        open_files = {
            os.readlink(f"/proc/self/fd/{fd.name}")
            for fd in os.scandir("/proc/self/fd")
            if os.path.exists(fd.path)
        }
        ours = [f for f in open_files if f.startswith(str(self.directory))]
        self.assertEqual(ours, [])

    def test_database_file_is_never_opened(self) -> None:
        """
        Opening and closing the database file beside SQLite would drop its
        locks: nobody does, whatever happens.
        """
        opened: list[str] = []
        real = os.open

        def spy(path: str, *rest: int, **named: int) -> int:
            opened.append(os.fspath(path))
            return real(path, *rest, **named)

        with mock.patch("os.open", spy), mock.patch("builtins.open", spy):
            queue_id = self.put(1, LARGE)
            self.read(queue_id)
            self.claim()
            self.faults.at("COMMIT", "SQLITE_IOERR_FSYNC")
            self.assertFails(self.begin()[1])
            while self.store.refusal() is not None:
                self.rig.pause()
            self.listed()
            self.wait(self.store.counts())
        live = [p for p in opened if "queue.1.db" in p or p.endswith("queue.db")]
        self.assertEqual(live, [])


class OtherProcessTests(SqliteCase):
    """
    Another store on the same queue stands for another process.
    """

    def test_slots(self) -> None:
        """
        Stores that are open at the same time have different slots.
        """
        other = self.make()
        made = {(ids.decode(s.new_id()) or 0) & 255 for s in (self.store, other)}
        self.assertEqual(len(made), 2)

    def test_mail_of_others(self) -> None:
        """
        What another process commits is found within five seconds, also when
        its doorbell is lost.
        """
        self.claim()
        other = self.make()
        incoming = other.open(self.envelope())
        queue_id = self.wait(incoming.commit())
        self.assertEqual(self.claimed_ids(), [])
        self.rig.clock.advance(5)
        self.assertEqual(self.claimed_ids(), [queue_id])
        self.rig.clock.advance(5)
        self.assertEqual(self.claimed_ids(), [])

    def test_rebuild_of_others(self) -> None:
        """
        When another process has rebuilt the queue, we go on with the new
        files, reading and writing.
        """
        before = self.put()
        other = self.make()
        self.faults.at("COMMIT", "SQLITE_IOERR_FSYNC")
        self.assertFails(other.open(self.envelope()).commit())
        while other.refusal() is not None:
            self.rig.pause()
        self.assertEqual(self.listed(), [before])
        after = self.put()
        self.assertEqual(self.listed(), [before, after])
        self.assertEqual(self.store._database.generation, 2)

    def test_waiting_for_a_turn(self) -> None:
        """
        When another process keeps the turn, we say who, and refuse mail that
        could only wait.
        """
        other = self.make()
        other._turn.acquire()
        other._turn.announce(1, False)
        commit = self.begin()[1]
        while not self.store._turn.waiting():
            self.rig.pause()
        self.assertIsNone(self.store.refusal())
        long = time.monotonic() + 11
        with mock.patch("txmta.queue.store.locks.time.monotonic", lambda: long):
            refusal = self.store.refusal()
            other._turn.release()
            self.wait(commit)
        self.assertEqual(refusal, Reply(451, "4.3.0", "Error: queue file write error"))
        self.assertIn(f"held by process {os.getpid()}", self.rig.sink.warnings())

    def test_changes_of_others(self) -> None:
        """
        A message that another process deleted is finished without fuss.
        """
        queue_id = self.put()
        self.claim()
        other = self.make()
        self.assertEqual(self.wait(other.delete([queue_id])), 1)
        self.assertTrue(self.wait(self.finish(queue_id)))


class ExpireTests(SqliteCase):
    def defer(self, message: QueuedMessage, due: float) -> None:
        results = (Result(0, RecipientState.DEFERRED, "4.0.0 x"),)
        attempt = Attempt(message.envelope.queue_id, results, due)
        self.assertFalse(self.wait(self.store.record(attempt)))

    def test_in_hand(self) -> None:
        """
        Expired while an attempt is under way: the next one is the last; a
        deferral of that one is believed, or it would be tried for ever.
        """
        self.put()
        (message,) = self.claim()
        self.assertFalse(message.expire)
        self.wait(self.store.expire([message.envelope.queue_id]))
        self.defer(message, self.time + 300)
        self.rig.clock.advance(5)
        (message,) = self.claim()
        self.assertTrue(message.expire)
        self.defer(message, self.time + 300)
        self.rig.clock.advance(5)
        self.assertEqual(self.claim(), [])
        self.time += 301
        (message,) = self.claim()
        self.assertFalse(message.expire)

    def test_on_hold(self) -> None:
        """
        On hold it stays, and is still expired when it is released.
        """
        queue_id = self.put()
        self.wait(self.store.hold([queue_id]))
        self.wait(self.store.expire([queue_id]))
        self.rig.clock.advance(5)
        self.assertEqual(self.claim(), [])
        self.wait(self.store.release([queue_id]))
        self.assertEqual([m.expire for m in self.claim()], [True])
