"""
The double keeps the contract.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.contracts.queue_store import QueueStoreContract
from txmta.errors import StoreUnavailable
from txmta.queue.store.memory import MemoryStore


class MemoryStoreTests(QueueStoreContract, SynchronousTestCase):
    def make_store(self) -> MemoryStore:
        return MemoryStore(lambda: self.time)

    def spoil(self, queue_id: str) -> None:
        self.store.rows[queue_id].damaged = True  # type: ignore[attr-defined]

    def wait(self, answer: object) -> Any:
        if not isinstance(answer, Deferred):
            return answer
        got: list[Any] = []
        answer.addBoth(got.append)
        if isinstance(got[0], Failure):
            got[0].raiseException()
        return got[0]

    def test_unavailable(self) -> None:
        """
        A test can make it fail, as a disk would.
        """
        store = self.make_store()
        self.store = store
        store.unavailable = StoreUnavailable("test")
        with self.assertRaises(StoreUnavailable):
            self.put()
