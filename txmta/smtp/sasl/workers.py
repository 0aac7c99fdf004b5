"""
Threads for checking passwords.

Owns: how many work, how many may wait.
Knows nothing of: what is checked.

Sources: none.

Errors: L{CannotSay<txmta.smtp.sasl.questions.CannotSay>} when too many wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from txmta.smtp.sasl.questions import CannotSay

#: How many may wait for each that works.
WAITING = 10


class Bounded:
    """
    Starts what takes long, so many at a time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0
        self._waiting: deque[Deferred[None]] = deque()

    def run(self, start: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        """
        @param start: is called at once, or when there is room.
        @return: of what it gives.
        """
        if self._running < self._limit:
            return self._start(start)
        self._waiting = deque(each for each in self._waiting if not each.called)
        if len(self._waiting) >= self._limit * WAITING:
            return fail(CannotSay("too many logins at a time"))
        turn: Deferred[None] = Deferred()
        self._waiting.append(turn)
        return turn.addCallback(lambda _: self._start(start))

    def _start(self, start: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        self._running += 1
        try:
            work = start()
        except Exception:
            self._over()
            raise
        shown: Deferred[Any] = Deferred()

        def over(result: Any) -> None:
            self._over()
            if not shown.called:
                shown.callback(result)

        # Who waits may go away; the work goes on, and counts until it is over.
        work.addBoth(over)
        return shown

    def _over(self) -> None:
        self._running -= 1
        while self._waiting and self._running < self._limit:
            turn = self._waiting.popleft()
            if not turn.called:
                turn.callback(None)


class Workers:
    """
    Threads, made when the first is needed.
    """

    def __init__(self, reactor: Any, limit: int) -> None:
        self._reactor = reactor
        self._bounded = Bounded(limit)
        self._limit = limit
        self._pool: ThreadPool | None = None

    def run(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """
        @return: of what C{work} gives in a thread.
        """
        return self._bounded.run(lambda: self._in_thread(work, *arguments))

    def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        if self._pool is None:
            self._pool = ThreadPool(0, self._limit, "logins")
            self._pool.start()
            stop = self._pool.stop
            self._reactor.addSystemEventTrigger("during", "shutdown", stop)
        return deferToThreadPool(self._reactor, self._pool, work, *arguments)
