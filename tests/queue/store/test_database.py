"""
The database file: in which order it is made, copied and put in place, and how
connections are set up.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

from tests.queue.store.cases import SqliteCase
from tests.queue.store.doubles import Rig, error
from txmta.errors import StoreUnavailable
from txmta.model import Reply
from txmta.queue.store import database
from txmta.queue.store.database import Database, connect
from txmta.queue.store.schema import CONNECTION_PRAGMAS
from txmta.queue.store.writer import Timing

UNAVAILABLE = Reply(451, "4.3.0", "Error: queue file write error")


class OrderCase(SqliteCase):
    """
    @ivar steps: syncs, by the name of what was synced, and links turned.
    """

    def watch(self) -> None:
        self.steps: list[str] = []
        fsync, replace = os.fsync, os.replace

        def spy_fsync(fd: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{fd}"))
            self.steps.append(f"sync {path.name}")
            fsync(fd)

        def spy_replace(source: Path, target: Path) -> None:
            if target.name == "queue.db":
                new = self.directory / os.readlink(source)
                # The header says that there is a log, for good.
                self.steps.append(f"link {new.name} {new.read_bytes()[18:20]!r}")
                log = new.with_name(new.name + "-wal")
                self.steps += ["with a log"] if log.exists() else []
            replace(source, target)

        for name, spy in (("fsync", spy_fsync), ("replace", spy_replace)):
            patch = mock.patch(f"os.{name}", spy)
            patch.start()
            self.addCleanup(patch.stop)

    def assertPublished(self, name: str) -> None:
        """
        The link is turned when file and name are on disk, and mail is taken
        when the link is.
        """
        directory = self.directory.name
        self.assertEqual(
            self.steps,
            [
                f"sync {name}",
                f"sync {directory}",
                f"link {name} b'\\x02\\x02'",
                f"sync {directory}",
            ],
        )

    def doubt(self) -> None:
        """
        Have the queue rebuilt.
        """
        self.faults.at("COMMIT", "SQLITE_IOERR_FSYNC")
        self.assertFails(self.begin()[1])
        while self.store.refusal() is not None:
            self.rig.pause()


class RebuildTests(OrderCase):
    def test_order(self) -> None:
        self.put()
        self.watch()
        self.doubt()
        self.assertPublished("queue.2.db")

    def test_mode(self) -> None:
        """
        Nobody else reads the new database either.
        """
        umask = os.umask(0)
        self.addCleanup(os.umask, umask)
        self.put()
        self.doubt()
        self.put()
        for path in self.directory.glob("queue.2.db*"):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)

    def test_rubbish_in_the_way(self) -> None:
        """
        What an earlier attempt left does not hinder this one.
        """
        queue_id = self.put()
        for name in ("queue.2.db", "queue.2.db-wal", "queue.2.db-journal"):
            (self.directory / name).write_bytes(b"half")
        (self.directory / "queue.db.new").symlink_to("queue.7.db")
        self.doubt()
        self.assertEqual(os.readlink(self.directory / "queue.db"), "queue.2.db")
        self.assertEqual(self.listed(), [queue_id])


class CreationTests(OrderCase):
    def new(self) -> Database:
        """
        @return: of a directory where there is no queue yet.
        """
        self.wait(self.store.stop())
        for path in self.directory.glob("queue.*"):
            path.unlink()
        return Database(self.directory, self.faults.connect)

    def test_order(self) -> None:
        new = self.new()
        self.watch()
        new.prepare()
        self.assertPublished("queue.1.db")

    def test_error(self) -> None:
        """
        An error of any checkpoint on the way is seen, though closing the
        database would swallow it; the next attempt works.
        """
        for which in (1, 2):
            new = self.new()
            self.faults.fault = self.fail_at("PRAGMA wal_checkpoint", which)
            with self.assertRaises(sqlite3.Error):
                new.prepare()
            self.assertFalse((self.directory / "queue.db").is_symlink())
            new.prepare()
            self.assertEqual(new.linked(), 1)

    def fail_at(self, start: str, which: int) -> Callable[[str], None]:
        count = 0

        def fault(sql: str) -> None:
            nonlocal count
            if sql.startswith(start):
                count += 1
                if count == which:
                    raise error("SQLITE_IOERR_WRITE")

        return fault

    def test_content_without_a_queue(self) -> None:
        """
        No link and no messages, but content: mail was there.
        """
        self.wait(self.store.stop())
        (self.directory / "queue.db").unlink()
        (self.directory / "content" / self.store.new_id()).write_bytes(b"mail")
        with self.assertRaises(StoreUnavailable):
            self.rig.make()

    def test_later_generation_without_a_link(self) -> None:
        """
        An empty first generation does not hide a later one that has the mail.
        """
        self.wait(self.store.stop())
        (self.directory / "queue.db").unlink()
        shutil.copy(self.directory / "queue.1.db", self.directory / "queue.2.db")
        with self.assertRaises(StoreUnavailable) as caught:
            self.rig.make()
        self.assertIn("queue.1.db, queue.2.db is there", str(caught.exception))


class ConnectionTests(SqliteCase):
    def test_nothing_is_made(self) -> None:
        """
        A file that is not there is an error, and not a new queue.
        """
        path = self.directory / "queue.9.db"
        with self.assertRaises(sqlite3.Error):
            connect(str(path)).execute("SELECT 1 FROM message")
        self.assertFalse(path.exists())

    def test_settings(self) -> None:
        """
        Every connection has what the promise rests on, and no mapped memory,
        where an I/O error would be the end of the process.
        """
        other = Database(self.directory)
        other.prepare()
        for connection in (other.write_connection(), other.read_connection(1)):
            with closing(connection):
                for name, value in (
                    ("journal_mode", "wal"),
                    ("synchronous", 2),
                    ("wal_autocheckpoint", 0),
                    ("journal_size_limit", 67108864),
                    ("mmap_size", 0),
                ):
                    found = connection.execute(f"PRAGMA {name}").fetchall()
                    # Without support for mapped memory there is no answer.
                    self.assertIn(found, ([(value,)], []), name)

    def test_mapped_memory(self) -> None:
        """
        It is off whatever the library's default is.
        """
        self.assertIn("mmap_size = 0", CONNECTION_PRAGMAS)

    def test_readers_cannot_write(self) -> None:
        self.put()
        delete = self.store._reader.run(lambda c: c.execute("DELETE FROM message"))
        self.assertFails(delete)
        self.assertEqual(len(self.listed()), 1)

    def test_log_is_read_back(self) -> None:
        """
        A library that keeps no write-ahead log is refused.
        """
        self.wait(self.store.stop())
        pragmas = (*CONNECTION_PRAGMAS, "journal_mode = DELETE")
        self.patch(database, "CONNECTION_PRAGMAS", pragmas)
        with self.assertRaises(StoreUnavailable) as caught:
            self.rig.make()
        self.assertIn("mail would not be safe", str(caught.exception))

    def test_tables(self) -> None:
        """
        A database without our tables is refused when it is opened.
        """
        self.wait(self.store.stop())
        with self.rows() as rows:
            rows.execute("DROP TABLE message")
        other = Database(self.directory)
        other.prepare()
        with self.assertRaises(sqlite3.Error):
            other.write_connection()


class DamageTests(SqliteCase):
    def test_damage_that_stays(self) -> None:
        """
        A database that can be opened, but is not whole, is not written to.
        """
        self.wait(self.store.stop())
        with self.rows() as rows:
            rows.execute("CREATE TABLE extra (a CHECK (a > 0))")
            rows.execute("PRAGMA ignore_check_constraints = ON")
            rows.execute("INSERT INTO extra VALUES (-1)")
        self.store = self.make()
        self.faults.at("COMMIT", "SQLITE_CORRUPT")
        self.assertFails(self.begin()[1])
        self.assertEqual(self.store.refusal(), UNAVAILABLE)
        self.assertIn("salvage", self.rig.sink.warnings())


class LogTests(SqliteCase):
    def test_log_of_a_dead_process(self) -> None:
        """
        A log that was found is moved into the database, also when no mail
        comes.
        """
        self.restart(timing=Timing(1000.0, 1000.0))
        self.put()
        copy = self.directory.with_name(self.directory.name + ".copy")
        subprocess.run(["cp", "-a", self.directory, copy], check=True)
        rig = Rig(lambda: self.time, copy)
        self.addCleanup(rig.remove)
        store: Any = rig.make()
        for _ in range(500):
            if b"from@example.com" in rig.content_of_database():
                break
            rig.pause()
        else:
            self.fail("not moved")
        rig.wait(store.stop())
