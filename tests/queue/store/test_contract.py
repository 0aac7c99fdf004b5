"""
The store on SQLite keeps the contract, with all in memory and with nothing.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.contracts.queue_store import QueueStoreContract
from tests.queue.store.doubles import Rig
from txmta.queue.store.sqlite import SqliteStore


class SqliteCase(QueueStoreContract):
    """
    For test cases that need a store on SQLite.
    """

    limits: dict[str, Any] = {}

    def setUp(self) -> None:
        self.rig = Rig(lambda: self.time)
        self.addCleanup(self.rig.remove)
        super().setUp()

    def spoil(self, queue_id: str) -> None:
        self.rig.spoil(queue_id)

    def make_store(self) -> SqliteStore:
        store = self.rig.make(**self.limits)
        self.addCleanup(lambda: self.wait(store.stop()))
        return store

    def wait(self, answer: object) -> Any:
        return self.rig.wait(answer)


class SqliteStoreTests(SqliteCase, SynchronousTestCase):
    pass


class NothingCachedTests(SqliteCase, SynchronousTestCase):
    """
    Everything is read back from the rows.
    """

    limits = {"cache": 0}

    def setUp(self) -> None:
        super().setUp()
        self.store._core.intake.arrived = (  # type: ignore[attr-defined]
            lambda number, message: self.store._core.intake.behind(number)  # type: ignore[attr-defined]
        )
