"""
What the test cases of the store on SQLite share.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.contracts.queue_store import CONTENT
from tests.queue.store.doubles import Rig
from txmta.errors import StoreUnavailable
from txmta.model import (
    Attempt,
    Client,
    Envelope,
    QueuedMessage,
    QueueName,
    Recipient,
    RecipientState,
    Result,
)
from txmta.queue.store.sqlite import SqliteStore

CLIENT = Client("192.0.2.1", 54321, "mail.example.com", "mail.example.com")


class SqliteCase(SynchronousTestCase):
    """
    One queue on disk, with one store open on it.
    """

    time = 1_700_000_000.0

    def setUp(self) -> None:
        self.rig = Rig(lambda: self.time, self.where())
        self.addCleanup(self.rig.remove)
        self.directory = self.rig.directory
        self.faults = self.rig.faults
        self.store = self.make()

    def where(self) -> Path | None:
        """
        @return: queue_directory, or L{None} for a temporary one.
        """
        return None

    def make(self, **limits: Any) -> SqliteStore:
        store = self.rig.make(**limits)
        self.addCleanup(lambda: self.wait(store.stop()))
        return store

    def restart(self, **limits: Any) -> None:
        """
        Close the store, and open the queue again.
        """
        self.wait(self.store.stop())
        self.store = self.make(**limits)

    def wait(self, answer: object) -> Any:
        return self.rig.wait(answer)

    def envelope(self, count: int = 1) -> Envelope:
        recipients = tuple(
            Recipient(n, f"to{n}@example.org", f"to{n}@example.org")
            for n in range(count)
        )
        return Envelope(
            self.store.new_id(), self.time, "from@example.com", recipients, CLIENT
        )

    def begin(
        self, count: int = 1, content: bytes = CONTENT
    ) -> tuple[str, Deferred[str]]:
        """
        Start a commit.
        """
        envelope = self.envelope(count)
        incoming = self.store.open(envelope)
        incoming.write(content)
        return envelope.queue_id, incoming.commit()

    def put(self, count: int = 1, content: bytes = CONTENT) -> str:
        queue_id: str = self.wait(self.begin(count, content)[1])
        return queue_id

    def claim(self, limit: int = 1000) -> list[QueuedMessage]:
        return list(self.wait(self.store.claim(limit, self.time)))

    def claimed_ids(self, limit: int = 1000) -> list[str]:
        return [m.envelope.queue_id for m in self.claim(limit)]

    def read(self, queue_id: str) -> bytes:
        content = self.wait(self.store.content(queue_id))
        data: bytes = self.wait(content.read(0, content.size + 1))
        content.close()
        return data

    def finish(self, queue_id: str, count: int = 1) -> Deferred[bool]:
        results = tuple(Result(n, RecipientState.DONE) for n in range(count))
        return self.store.record(Attempt(queue_id, results))

    def listed(self, queue: QueueName | None = None) -> list[str]:
        found = self.wait(self.store.find(queue, "", 1000))
        return [m.envelope.queue_id for m in found]

    def assertFails(
        self, answer: object, code: int = 451, status: str = "4.3.0"
    ) -> None:
        with self.assertRaises(StoreUnavailable) as caught:
            self.wait(answer)
        self.assertEqual(
            (caught.exception.code, caught.exception.status), (code, status)
        )

    @contextmanager
    def rows(self) -> Iterator[sqlite3.Connection]:
        """
        The database, as another program sees it; use it while the store is
        closed, for closing would drop its locks.
        """
        connection = sqlite3.connect(self.directory / "queue.db")
        try:
            yield connection
            connection.commit()
        finally:
            connection.close()

    def content_files(self) -> list[str]:
        return sorted(p.name for p in Path(self.directory, "content").iterdir())
