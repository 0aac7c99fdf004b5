"""
Tests of L{txmta.maps.workers}.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txmta.errors import TableUnavailable
from txmta.maps import workers
from txmta.maps.wire import LIMIT
from txmta.maps.workers import REST, Broken, Line, Refused, Workers

#: Seconds after which a test gives up.
PATIENCE = 30


class Loop(Clock):
    """
    A clock, and calls from threads that are made when the test says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.handed: queue.Queue[Callable[[], None]] = queue.Queue()

    def callFromThread(self, call: Callable[..., None], *args: Any) -> None:
        self.handed.put(lambda: call(*args))

    def turn(self) -> None:
        self.handed.get(timeout=PATIENCE)()


class Database:
    """
    @ivar troubles: what the next questions run into.
    """

    def __init__(self) -> None:
        self.connected = self.closed = 0
        self.down = False
        self.troubles: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def connect(self) -> Database:
        if self.down:
            raise Broken("refused")
        self.connected += 1
        return self

    def ask(self, values: Sequence[str]) -> Sequence[str | None]:
        self.begun.set()
        assert self.gate.wait(PATIENCE)
        if self.troubles:
            raise self.troubles.pop(0)
        return [f"<{value}>" for value in values]

    def close(self) -> None:
        self.closed += 1


class LineTests(SynchronousTestCase):
    def test_kept(self) -> None:
        """
        A connection is kept, also over a question that it refuses.
        """
        database = Database()
        line = Line(database.connect)
        line.ask(["a"])
        database.troubles = [Refused("no")]
        self.assertRaises(Refused, line.ask, ["a"])
        self.assertEqual(line.ask(["a"]), ["<a>"])
        self.assertEqual(database.connected, 1)

    def test_again(self) -> None:
        """
        A connection that was kept and is broken is made again, once.
        """
        database = Database()
        line = Line(database.connect)
        line.ask(["a"])
        database.troubles = [Broken("gone")]
        self.assertEqual(line.ask(["a"]), ["<a>"])
        database.troubles = [Broken("gone"), Broken("gone again")]
        self.assertRaises(Broken, line.ask, ["a"])
        self.assertEqual((database.connected, database.closed), (3, 3))


class WorkersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(workers, "IDLE", 0.05)  # threads end soon after the test
        self.loop = Loop()
        self.database = Database()
        self.addCleanup(self.database.gate.set)
        self.workers = Workers("sql:x", self.database.connect, self.loop, 2)

    def unavailable(self, answer: Deferred[Any]) -> str:
        return str(self.failureResultOf(answer, TableUnavailable).value)

    def test_later(self) -> None:
        """
        An answer comes later, through the reactor.
        """
        answer = self.workers.ask(["a"])
        self.assertNoResult(answer)
        self.loop.turn()
        self.assertEqual(self.successResultOf(answer), ["<a>"])
        self.assertEqual(self.loop.getDelayedCalls(), [])

    def test_several(self) -> None:
        """
        Questions share as many threads as there may be.
        """
        self.database.gate.clear()
        answers = [self.workers.ask([str(n)]) for n in range(5)]
        self.database.gate.set()
        for _ in answers:
            self.loop.turn()
        for n, answer in enumerate(answers):
            self.assertEqual(self.successResultOf(answer), [f"<{n}>"])
        self.assertLessEqual(self.database.connected, 2)

    def test_hangs(self) -> None:
        """
        A database that hangs is "cannot say" in time; what it says later is
        for nobody.
        """
        self.database.gate.clear()
        answer = self.workers.ask(["a"])
        assert self.database.begun.wait(PATIENCE)
        self.loop.advance(LIMIT)
        self.assertIn("no answer", self.unavailable(answer))
        self.database.gate.set()
        self.loop.turn()
        following = self.workers.ask(["b"])
        self.loop.turn()
        self.assertEqual(self.successResultOf(following), ["<b>"])

    def test_bounded(self) -> None:
        """
        Questions that wait are bounded in number.
        """
        self.patch(workers, "MOST_WAITING", 3)
        self.database.gate.clear()
        asked = []
        with self.assertRaises(TableUnavailable):
            for n in range(20):
                asked.append(self.workers.ask([str(n)]))
        self.assertGreaterEqual(len(asked), 3)
        self.loop.advance(LIMIT)
        for each in asked:
            self.unavailable(each)

    def test_down(self) -> None:
        """
        For a moment nobody tries to connect again.
        """
        self.database.down = True
        answer = self.workers.ask(["a"])
        self.loop.turn()
        self.assertIn("refused", self.unavailable(answer))
        self.assertRaises(TableUnavailable, self.workers.ask, ["a"])
        self.database.down = False
        self.loop.advance(REST)
        again = self.workers.ask(["a"])
        self.loop.turn()
        self.assertEqual(self.successResultOf(again), ["<a>"])

    def test_bug(self) -> None:
        """
        What a client library raises besides is "cannot say".
        """
        self.database.troubles = [KeyError("x")]
        answer = self.workers.ask(["a"])
        self.loop.turn()
        self.assertIn("KeyError", self.unavailable(answer))
