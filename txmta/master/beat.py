"""
Are all children alive?

Each is asked every few seconds. One that does not answer for so long that it
must hang is told to show where (SIGABRT: a stack on its standard error) and
then killed.

Owns: when to ask, when to lose patience.
Knows nothing of: what a child does, what comes after its end.

Sources: Postfix's C{util/watchdog.c}; sd_notify(3), WATCHDOG.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txmta.master.children import BEATS, Child, State

#: Seconds between two beats.
INTERVAL = 5.0

#: Unanswered beats after which a child is hanging.
MISSED = 3

#: Seconds from SIGABRT to SIGKILL.
ABORT_LIMIT = 2.0


class Beat:
    """
    @ivar fresh: nobody owes more than one answer.
    """

    def __init__(
        self,
        clock: IReactorTime,
        children: Callable[[], Iterable[Child]],
        interval: float = INTERVAL,
    ) -> None:
        self.fresh = True
        self._clock = clock
        self._children = children
        self._interval = interval
        self._n = 0
        #: The first beat of each child, by its number.
        self._first: dict[int, int] = {}
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        self._next = self._clock.callLater(self._interval, self._beat)

    def stop(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None

    def _beat(self) -> None:
        self._n = (self._n + 1) % BEATS
        asked: dict[int, int] = {}
        self.fresh = True
        for child in list(self._children()):
            if child.state in (State.READY, State.DRAINING):
                asked[child.n] = self._first.get(child.n, self._n)
                self._ask(child, asked[child.n])
        self._first = asked
        self.start()

    def _ask(self, child: Child, first: int) -> None:
        missed = self._n - 1 - max(child.beat, first - 1)
        if missed > 1:
            self.fresh = False
        if missed < MISSED:
            child.send_beat(self._n)
        elif missed == MISSED:
            why = f"has not answered for {MISSED * self._interval:g} seconds"
            child.kill(why, signal.SIGABRT)
            self._clock.callLater(ABORT_LIMIT, child.kill, why)
