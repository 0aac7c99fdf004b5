"""
Damaged files are noticed: a message is what was accepted, or it is corrupt.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from unittest import mock

from tests.contracts.queue_store import LARGE
from tests.queue.store.cases import SqliteCase
from txmta.errors import MessageDamaged, StoreUnavailable
from txmta.model import QueueName
from txmta.queue.store import database, ids, queries
from txmta.queue.store.database import file_system
from txmta.queue.store.locks import TurnLock
from txmta.queue.store.salvage import salvage
from txmta.queue.store.schema import CONNECTION_PRAGMAS


class RowTests(SqliteCase):
    """
    Rows that were changed behind our back.
    """

    def change(self, sql: str, *values: object) -> str:
        """
        @return: the id of a message with two recipients, changed so.
        """
        queue_id = self.put(2)
        self.wait(self.store.stop())
        with self.rows() as rows:
            self.assertTrue(rows.execute(sql, values).rowcount)
        self.store = self.make()
        return queue_id

    def assertDamaged(self, queue_id: str) -> None:
        """
        Delivery is told, and can put it out of the way.
        """
        with self.assertRaises(MessageDamaged) as caught:
            self.read(queue_id)
        self.assertEqual(caught.exception.queue_id, queue_id)
        self.wait(self.store.damaged(queue_id))
        self.assertEqual(self.listed(QueueName.CORRUPT), [queue_id])

    def test_everything_is_covered(self) -> None:
        """
        A change of one character in what was accepted is seen when the
        message is read for delivery.
        """
        for sql in (
            "UPDATE content SET data = CAST(replace(data, 'body', 'bodx') AS BLOB)",
            "UPDATE message SET sender = 'grom@example.com'",
            "UPDATE message SET sender = CAST(x'ff40' AS TEXT)",
            "UPDATE recipient SET address = CAST(x'ff40' AS TEXT)",
            "UPDATE recipient SET address = 'to1@example.orf' WHERE n = 1",
            'UPDATE recipient SET info = \'{"original":"x@y"}\' WHERE n = 1',
            "UPDATE recipient SET info = '{\"notify\":1}' WHERE n = 1",
            "UPDATE message SET checksum = checksum + 1",
            "UPDATE message SET size = size + 1",
            "UPDATE message SET attributes ="
            " CAST(replace(attributes, '192.0.2.1', '192.0.2.2') AS BLOB)",
            "UPDATE content SET data = 7",
            "DELETE FROM content",
            "DELETE FROM recipient WHERE n = 1",
            "UPDATE message SET storage = 1",
        ):
            queue_id = self.change(sql)
            self.assertEqual(self.claimed_ids(), [queue_id], sql)
            self.assertDamaged(queue_id)
            self.wait(self.store.delete([queue_id]))

    def test_rows_that_are_no_messages(self) -> None:
        """
        A row that cannot be read as a message goes to the corrupt queue by
        itself, with a warning, and hinders no other.
        """
        deep = b"[" * 60000
        for sql, value in (
            ("UPDATE message SET attributes = ?", b"\xff{"),
            ("UPDATE message SET attributes = ?", b"{}"),
            ("UPDATE message SET attributes = ?", deep),
            ("UPDATE message SET attributes = ?", b" " * 70000),
            ("UPDATE message SET attributes = ?", "text"),
            ("UPDATE message SET attributes = ?", b'{"v":2}'),
            ("UPDATE message SET sender = ?", "a\nb"),
            ("UPDATE message SET size = ?", "big"),
            ("UPDATE recipient SET state = ?", 99),
            ("UPDATE recipient SET state = ?", 2),
            ("UPDATE recipient SET info = ?", "{"),
            ("UPDATE recipient SET info = ?", '{"notify":-1}'),
            ("UPDATE recipient SET address = ?", "a\rb"),
        ):
            queue_id = self.change(sql, value)
            good = self.put()
            self.assertEqual(self.claimed_ids(), [good], sql)
            self.wait(self.store.requeue([good]))  # the writer has seen both
            self.assertEqual(self.listed(QueueName.CORRUPT), [queue_id])
            self.assertIn(
                f"{queue_id}: moved to the corrupt queue", self.rig.sink.warnings()
            )
            self.assertEqual(self.wait(self.store.delete([queue_id, good])), 2)

    def test_content_file(self) -> None:
        """
        A content file that is changed, cut or gone is damage.
        """
        path = self.directory / "content"
        for spoil in (
            lambda f: f.write_bytes(b"1" + LARGE[1:]),
            lambda f: os.truncate(f, len(LARGE) - 1),
            lambda f: f.unlink(),
        ):
            queue_id = self.put(1, LARGE)
            self.restart()
            spoil(path / queue_id)
            self.assertEqual(self.claimed_ids(), [queue_id])
            self.assertDamaged(queue_id)
            self.wait(self.store.delete([queue_id]))


class FileTests(SqliteCase):
    """
    A queue that is not what it was is refused at start, never made anew.
    """

    def setUp(self) -> None:
        super().setUp()
        self.queue_id = self.put()
        self.wait(self.store.stop())
        self.file = self.directory / "queue.1.db"
        self.link = self.directory / "queue.db"

    def assertRefused(self, words: str) -> None:
        before = sorted(os.listdir(self.directory))
        for _ in range(2):
            with self.assertRaises(StoreUnavailable) as caught:
                self.rig.make()
            self.assertIn(words, str(caught.exception))
        self.assertEqual(sorted(os.listdir(self.directory)), before)
        self.assertTrue(self.rig.try_turn())

    def test_empty(self) -> None:
        os.truncate(self.file, 0)
        self.assertRefused("is empty")

    def test_gone(self) -> None:
        self.file.unlink()
        self.assertRefused("not there")

    def test_link_gone(self) -> None:
        self.link.unlink()
        self.assertRefused("queue.db is missing, but queue.1.db is there")

    def test_link_astray(self) -> None:
        self.link.unlink()
        self.link.symlink_to("/etc/passwd")
        self.assertRefused("not a queue database")

    def test_not_a_link(self) -> None:
        os.replace(self.file, self.link)
        self.assertRefused("not a link")

    def test_header(self) -> None:
        with self.file.open("r+b") as file:
            file.write(b"\0" * 100)
        self.assertRefused("cannot open the queue")

    def test_foreign(self) -> None:
        """
        A database of something else is not ours, even with our tables.
        """
        with self.rows() as rows:
            rows.execute("PRAGMA application_id = 1")
        self.assertRefused("not a queue of txmta")

    def test_other_version(self) -> None:
        with self.rows() as rows:
            rows.execute("PRAGMA user_version = 2")
        self.assertRefused("user_version")

    def test_without_tables(self) -> None:
        with self.rows() as rows:
            rows.execute("DROP TABLE message")
        self.assertRefused("cannot open the queue")

    def test_promises_are_read_back(self) -> None:
        """
        A library that does not sync as told is refused.
        """
        for pragma in ("synchronous = NORMAL", "wal_autocheckpoint = 9"):
            pragmas = (*CONNECTION_PRAGMAS, pragma)
            self.patch(database, "CONNECTION_PRAGMAS", pragmas)
            self.assertRefused("mail would not be safe")

    def test_network_file_system(self) -> None:
        for kind in ("nfs4", "cifs", "fuse.sshfs"):
            with mock.patch.object(database, "file_system", lambda d: kind):  # noqa: B023
                self.assertRefused("network file system")

    def test_file_system(self) -> None:
        self.assertEqual(file_system(Path("/proc")), "proc")

    def test_crash_while_made(self) -> None:
        """
        A database without link and without messages is what a crash leaves
        that comes while it is made: it is made again.
        """
        with self.rows() as rows:
            rows.execute("DELETE FROM message")
        self.link.unlink()
        (self.directory / "queue.new").write_bytes(b"half")
        self.store = self.make()
        self.put()

    def test_modes(self) -> None:
        """
        Nobody else reads the queue.
        """
        self.store = self.make()
        self.put(1, LARGE)
        for path in self.directory.rglob("*"):
            if not path.is_symlink():
                allowed = 0o700 if path.is_dir() else 0o600
                self.assertEqual(path.stat().st_mode & 0o777, allowed, path)

    def test_lock_is_held(self) -> None:
        """
        A start that never gets its turn says who has it.
        """
        lock = TurnLock(self.directory / "queue.lock")
        lock.acquire()
        lock.announce(1, False)
        self.patch(TurnLock, "try_acquire", lambda lock, seconds: False)
        with self.assertRaises(StoreUnavailable) as caught:
            self.rig.make()
        self.assertIn(f"process {os.getpid()}", str(caught.exception))
        lock.close()


class SalvageTests(SqliteCase):
    def test_bad_pages(self) -> None:
        """
        What is not on a bad page is saved into a new queue; what is, is
        named.
        """
        for n in range(200):
            self.put(1, b"%d" % n * 500)
        large = self.put(1, LARGE)
        self.wait(self.store.stop())
        path = self.directory / "queue.1.db"
        with path.open("r+b") as file:
            for page in (20, 40):
                file.seek(page * 4096 + 8)
                file.write(b"\xff" * 512)
        target = self.directory / "saved"
        report = salvage(self.directory, target)
        self.assertGreater(report.saved, 150)
        # Damage may have made ids that never were.
        self.assertGreaterEqual(report.saved + len(report.lost), 201)
        self.rig.directory = target
        store = self.store = self.make()
        claimed = self.claim()
        self.assertEqual(len(claimed), report.saved)
        self.assertEqual(self.read(large), LARGE)
        for message in claimed:
            self.read(message.envelope.queue_id)
        self.assertFalse(set(report.lost) & set(self.listed()))
        self.wait(store.stop())
        with self.assertRaises(StoreUnavailable):
            salvage(self.directory, target)
        self.rig.directory = self.directory

    def test_large_content(self) -> None:
        """
        A content file is checked before it is saved, and is on disk, with its
        name, before the row that names it is.
        """
        good, bad = self.put(1, LARGE), self.put(1, LARGE)
        self.wait(self.store.stop())
        (self.directory / "content" / bad).write_bytes(b"x" + LARGE[1:])
        (self.directory / "content" / good).chmod(0o644)
        target = self.directory / "saved"
        seen: list[str] = []
        real = os.fsync

        def fsync(fd: int) -> None:
            seen.append(os.readlink(f"/proc/self/fd/{fd}"))
            real(fd)

        with mock.patch("os.fsync", fsync):
            report = salvage(self.directory, target)
        self.assertEqual((report.saved, report.lost), (1, [bad]))
        content = target / "content"
        self.assertEqual(seen[-2:], [str(content / good), str(content)])
        self.assertEqual((content / good).stat().st_mode & 0o777, 0o600)

    def test_flipped_bits(self) -> None:
        """
        Whatever bit flips, each message is as it was accepted, or told to be
        damaged; none is quietly another.
        """
        content = {self.put(2, b"%d." % n * 300): b"%d." % n * 300 for n in range(20)}
        envelopes = {m.envelope.queue_id: m.envelope for m in self.claim()}
        self.wait(self.store.stop())
        path = self.directory / "queue.1.db"
        octets = path.read_bytes()
        damaged = 0
        for place in range(4096, len(octets), len(octets) // 150):
            spoiled = bytearray(octets)
            spoiled[place] ^= 1 << place % 8
            path.write_bytes(spoiled)
            for queue_id, expected in content.items():
                damaged += not self.same(queue_id, expected, envelopes[queue_id])
        self.assertGreater(damaged, 20)

    def same(self, queue_id: str, expected: bytes, envelope: object) -> bool:
        number = ids.decode(queue_id)
        assert number is not None
        connection = sqlite3.connect(
            f"file:{self.directory}/queue.1.db?mode=ro", uri=True
        )
        connection.text_factory = lambda b: b.decode("utf-8", "surrogateescape")
        try:
            kept = queries.content(connection, number)
            page = queries.load(connection, [number])
        except (sqlite3.Error, MessageDamaged):
            return False
        finally:
            connection.close()
        self.assertEqual(kept.data, expected)
        self.assertEqual(kept.envelope, envelope)
        return bool(page.messages)
