"""
Claims that must look at the rows: each is answered, whoever asks when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from tests.queue.store.cases import SqliteCase
from txmta.model import QueuedMessage


class AgainTests(SqliteCase):
    def test_claim_in_an_answer(self) -> None:
        """
        Who is answered may claim again at once, while others wait; all are
        answered. A claim without an answer would stop all deliveries.
        """
        reads: list[Callable[[], None]] = []
        reader: Any = self.store._reader
        run = reader.run

        def slow(read: Any) -> Deferred[Any]:
            found: Deferred[Any] = Deferred()
            reads.append(lambda: found.callback(self.wait(run(read))))
            return found

        self.patch(reader, "run", slow)
        asked = answered = 0

        def claim(again: bool) -> None:
            nonlocal asked
            asked += 1
            # There may be rows that are not in memory.
            self.store._core.intake.behind(0)
            answer = self.store.claim(1, self.time)
            assert isinstance(answer, Deferred)
            answer.addCallback(took, again)

        def took(_messages: Sequence[QueuedMessage], again: bool) -> None:
            nonlocal answered
            answered += 1
            if again:
                claim(False)

        claim(True)
        claim(True)
        while reads:
            reads.pop(0)()
        self.assertEqual((asked, answered), (4, 4))
        self.assertEqual(self.flushLoggedErrors(), [])
