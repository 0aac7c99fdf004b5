"""
Which commits wait for the disk, and for how long others may not.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from tests.contracts.queue_store import CONTENT
from tests.queue.store.cases import SqliteCase
from txmta.model import Attempt, NewMessage, RecipientState, Result
from txmta.queue.store.writer import Timing

#: Nothing is done but what is asked for.
PATIENT = Timing(idle=1000.0, lazy=1000.0, retry=1000.0)


class SyncTests(SqliteCase):
    def setUp(self) -> None:
        super().setUp()
        self.levels: list[tuple[str, int]] = []
        self.restart(timing=PATIENT)

    def watch(self) -> None:
        """
        Keep what is written, and whether it is synced (2 is FULL).
        """
        levels = self.levels
        connection = self.store._files.connection

        def fault(sql: str) -> None:
            if sql == "COMMIT" or sql.startswith("PRAGMA user_version"):
                # Past our own connection class, which would call us.
                ask = sqlite3.Connection.execute
                level = ask(connection, "PRAGMA synchronous").fetchone()[0]
                levels.append((sql[:6], level))

        self.faults.fault = fault

    def taken(self) -> list[tuple[str, int]]:
        levels, self.levels[:] = list(self.levels), []
        return levels

    def test_what_may_wait(self) -> None:
        """
        Only that a message is done with: all else is on disk before it is
        answered, also right after something that waits.
        """
        ids = [self.put() for _ in range(3)]
        self.claim()
        self.watch()
        for queue_id in ids[:2]:
            self.wait(self.finish(queue_id))
        self.assertEqual(self.taken(), [("COMMIT", 1)] * 2)
        self.put()
        self.assertEqual(self.taken(), [("COMMIT", 2)])
        deferred = (Result(0, RecipientState.DEFERRED, "busy"),)
        self.wait(self.store.record(Attempt(ids[2], deferred, self.time + 60)))
        self.assertEqual(self.taken(), [("COMMIT", 2)])

    def test_file(self) -> None:
        """
        A message whose content has a file must be gone for good before the
        file is.
        """
        queue_id = self.put(content=CONTENT * 5000)
        self.claim()
        self.assertEqual(len(self.content_files()), 1)
        self.watch()
        self.wait(self.finish(queue_id))
        self.assertEqual(self.taken(), [("COMMIT", 2)])

    def test_bounce(self) -> None:
        """
        A new message in the place of an old one is on disk.
        """
        queue_id = self.put()
        self.claim()
        self.watch()
        new = NewMessage(self.envelope(), CONTENT)
        done = (Result(0, RecipientState.BOUNCED),)
        self.wait(self.store.record(Attempt(queue_id, done, None, (new,))))
        self.assertEqual(self.taken(), [("COMMIT", 2)])

    def test_not_for_long(self) -> None:
        """
        When nobody else syncs, we do, soon; and once.
        """
        self.restart(timing=Timing(idle=1000.0, lazy=0.02, retry=1000.0))
        queue_id = self.put()
        self.claim()
        self.watch()
        self.wait(self.finish(queue_id))
        for _ in range(1000):
            if not self.store._writer.journal.unsynced:
                break
            self.rig.pause()
        self.assertEqual(self.taken(), [("COMMIT", 1), ("PRAGMA", 2)])

    def test_load(self) -> None:
        """
        Under load, too, nothing waits longer than it may.
        """
        ids = [self.put() for _ in range(4)]
        self.claim()
        self.watch()
        for queue_id in ids:
            self.wait(self.finish(queue_id))
            self.store._writer.journal._lazy_since -= 400.0
        self.assertEqual([level for _, level in self.taken()], [1, 1, 1, 2])

    def test_other_writer(self) -> None:
        """
        The sync of another process is as good: what it synced is the same log.
        """
        queue_id = self.put()
        self.claim()
        other = self.make(timing=PATIENT)
        self.wait(self.finish(queue_id))
        journal = self.store._writer.journal
        self.assertTrue(journal.unsynced)
        envelope = replace(self.envelope(), queue_id=other.new_id())
        incoming = other.open(envelope)
        incoming.write(CONTENT)
        self.wait(incoming.commit())
        self.store._writer._take_turn()
        self.store._writer._give_turn()
        self.assertFalse(journal.unsynced)
