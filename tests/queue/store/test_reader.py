"""
Reading beside the writer: one look at the queue at a time, and every error told.
"""

from __future__ import annotations

import errno
import sqlite3
from unittest import mock

from tests.contracts.queue_store import LARGE
from tests.queue.store.cases import SqliteCase
from txmta.errors import MessageDamaged, StoreUnavailable
from txmta.model import Attempt, NewMessage, RecipientState, Result
from txmta.queue.store import administration, claiming, contents, entrance, ids, queries
from txmta.queue.store.cache import ContentCache
from txmta.queue.store.content import BLOCK
from txmta.queue.store.database import Database


class ReaderTests(SqliteCase):
    def test_one_look(self) -> None:
        """
        What is written while we read is not seen: message and recipients
        belong together, or a message that goes would look damaged.
        """

        def read(connection: sqlite3.Connection) -> list[int]:
            sql = "SELECT count(*) FROM message"
            first: int = connection.execute(sql).fetchone()[0]
            self.put()
            return [first, connection.execute(sql).fetchone()[0]]

        self.assertEqual(self.wait(self.store._reader.run(read)), [0, 0])
        self.assertEqual(len(self.listed()), 1)

    def test_opened_again(self) -> None:
        """
        After an error the file is opened again: the old connection may keep
        what is wrong.
        """
        self.put()
        self.listed()
        opened = len(self.faults.opened)
        self.faults.at("SELECT", "SQLITE_CORRUPT")
        self.listed()
        self.assertEqual(len(self.faults.opened), opened + 1)

    def test_damaged_page(self) -> None:
        """
        Content on a page that stays unreadable is damage, not trouble that
        passes: else it would be tried for ever.
        """
        queue_id = self.put()
        self.restart()
        self.claim()
        # A look without care, and two with.
        self.faults.at("SELECT", "SQLITE_CORRUPT", 4)
        with self.assertRaises(MessageDamaged):
            self.wait(self.store.content(queue_id))

    def test_content_file_errors(self) -> None:
        """
        An error of the disk is trouble that may pass.
        """
        queue_id = self.put(1, LARGE)
        self.restart()
        trouble = mock.Mock(side_effect=OSError(errno.EIO, "error"))
        with mock.patch.object(self.store._core.spool, "open", trouble):
            self.assertFails(self.store.content(queue_id))
        with mock.patch("os.pread", trouble):
            self.assertFails(self.store.content(queue_id))
        self.assertEqual(self.read(queue_id), LARGE)

    def test_empty_file(self) -> None:
        """
        A database that was emptied is not made a new one by reading it.
        """
        self.put()
        self.wait(self.store.stop())
        path = self.directory / "queue.1.db"
        path.write_bytes(b"")
        with self.assertRaises(StoreUnavailable):
            Database(self.directory).read_connection(1)
        self.assertEqual(path.stat().st_size, 0)

    def test_answers_with_what_is_there(self) -> None:
        """
        A claim that cannot read the rows still gives what is in memory, and
        the next one starts afresh.
        """
        self.claim()
        queue_id = self.put()
        self.store._core.intake.deferred(self.time)
        self.faults.at("SELECT", "SQLITE_IOERR_READ")
        self.assertEqual(self.claimed_ids(), [queue_id])
        self.assertFalse(self.store._core.intake.scanning)

    def test_unclaimed(self) -> None:
        """
        A record of a message that nobody claimed: it is not given to anybody
        meanwhile, and comes back when it is due.
        """
        self.claim()
        queue_id = self.put()
        result = Result(0, RecipientState.DEFERRED, "4.0.0 x")
        recorded = self.store.record(Attempt(queue_id, (result,), self.time + 10))
        self.assertEqual(self.store.claim(10, self.time), [])
        self.assertFalse(self.wait(recorded))
        self.assertEqual(self.claim(), [])
        self.time += 11
        self.assertEqual(self.claimed_ids(), [queue_id])

    def test_forward_of_damaged_content(self) -> None:
        """
        What cannot be copied for good is told, and not tried for ever.
        """
        queue_id = self.put(1, LARGE)
        self.claim()
        (self.directory / "content" / queue_id).unlink()
        new = NewMessage(self.envelope(), b"", queue_id)
        result = Result(0, RecipientState.DONE)
        self.assertFails(self.store.record(Attempt(queue_id, (result,), None, (new,))))


class BoundTests(SqliteCase):
    def test_recipients_of_a_page(self) -> None:
        numbers = [ids.decode(self.put(6)) or 0 for _ in range(5)]
        self.patch(queries, "PAGE_RECIPIENTS", 10)
        page = self.wait(self.store._reader.run(lambda c: queries.load(c, numbers)))
        self.assertEqual((page.seen, len(page.messages)), (2, 2))

    def test_listing(self) -> None:
        put = [self.put() for _ in range(5)]
        self.patch(administration, "PAGE", 3)
        self.assertEqual(self.listed(), put[:3])
        self.assertEqual(self.wait(self.store.find(None, "", -1)), [])

    def test_readings(self) -> None:
        """
        One claim reads the rows so often and no more.
        """
        self.put()
        self.restart()
        wanted = mock.Mock(side_effect=[True] * (claiming.READINGS + 1) + [False])
        with mock.patch.object(self.store._core.intake, "wanted", wanted):
            self.assertEqual(len(self.claim()), 1)
        self.assertEqual(wanted.call_count, claiming.READINGS + 1)

    def test_block_of_a_file(self) -> None:
        """
        A large file is checked in pieces.
        """
        queue_id = self.put(1, b"x" * (2 * BLOCK + 1))
        self.restart()
        with mock.patch("os.pread", wraps=__import__("os").pread) as pread:
            self.wait(self.store.content(queue_id)).close()
        self.assertEqual({call.args[1] for call in pread.mock_calls}, {BLOCK})

    def test_verified(self) -> None:
        """
        Files that were checked are remembered, but not all for ever.
        """
        self.patch(contents, "VERIFIED", 2)
        for _ in range(4):
            self.put(1, LARGE)
        self.assertEqual(len(self.store._contents._verified), 2)

    def test_cache_of_the_same(self) -> None:
        """
        Content that is put in again counts once.
        """
        cache = ContentCache(10)
        for _ in range(3):
            cache.put(1, b"12345")
        cache.put(2, b"12345")
        self.assertEqual((cache.get(1), cache.get(2)), (b"12345", b"12345"))
        cache.put(3, b"12345")
        self.assertIsNone(cache.get(1))


class LifeTests(SqliteCase):
    def test_directories_last(self) -> None:
        """
        Directories that we make are on disk before there is mail in them.
        """
        self.wait(self.store.stop())
        root = self.directory
        self.rig.directory = root / "new"
        synced: list[str] = []

        def spy(path: object) -> None:
            synced.append(str(path))

        with mock.patch("txmta.queue.store.start.sync_directory", spy):
            store = self.rig.make()
        self.wait(store.stop())
        self.rig.directory = root
        self.assertEqual(synced, [str(root), str(root / "new")])

    def test_far_future(self) -> None:
        """
        A damaged id does not send new ids into the far future.
        """
        self.put()
        self.wait(self.store.stop())
        far = (int(self.time) + 3 * 366 * 86400) * 1_000_000 << 8
        with self.rows() as rows:
            rows.execute("UPDATE message SET id = ?", (far,))
        self.store = self.make()
        self.assertLess(self.store.new_id(), ids.encode(far))

    def test_failed_start(self) -> None:
        """
        A start that fails lets go of turn, slot and database.
        """
        self.put()
        self.wait(self.store.stop())
        self.faults.at("SELECT id FROM message WHERE id <", "SQLITE_IOERR_READ")
        with self.assertRaises(StoreUnavailable):
            self.rig.make()
        self.assertTrue(self.rig.try_turn())
        self.store = self.make()
        self.assertEqual(self.store._slot.number, 0)

    def test_writer_that_does_not_end(self) -> None:
        """
        Stopping waits for the writer, but not for ever.
        """
        stop = self.store._writer.stop
        self.patch(self.store._writer, "stop", lambda: None)
        stopped = self.store.stop()
        self.rig.clock.advance(entrance.STOP - 1)
        self.assertFalse(stopped.called)
        self.rig.clock.advance(1)
        self.wait(stopped)
        stop()
        self.rig.turn()

    def test_changed_id(self) -> None:
        """
        The queue id was told to the client, and stays.
        """
        incoming = self.store.open(self.envelope())
        self.assertFails(incoming.commit(self.envelope()))
        self.assertEqual(self.listed(), [])

    def test_abort(self) -> None:
        """
        A message that is given up leaves no file.
        """
        incoming = self.store.open(self.envelope())
        incoming.write(LARGE)
        self.assertEqual(len(self.content_files()), 1)
        incoming.abort()
        self.assertEqual(self.content_files(), [])
