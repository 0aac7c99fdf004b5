"""
When a message is tried again, and when it has been tried long enough.

Owns: Postfix's formula, and the reckoning of time behind it.
Knows nothing of: timers, the store; each call is told the time.

Sources: Postfix C{qmgr/qmgr_active.c}, qmgr_active_done_25_generic() (expiry)
and qmgr_active_done_3_generic() (delay).

Times are in seconds; I{steady} time is what the wall clock would show if
nobody had set it since start.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: A wall clock that is off by no more than this has not been set: it is
#: sampled a little later than the monotonic one.
TOLERANCE = 2.0

#: Messages whose arrival was stamped by a clock that has been set since, kept
#: with what to add to the stamp. Of more than this the oldest is forgotten,
#: and then taken for as young as it can be.
MAX_SHIFTED = 100_000


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    @ivar minimum: minimal_backoff_time.
    @ivar maximum: maximal_backoff_time.
    @ivar lifetime: maximal_queue_lifetime.
    @ivar bounce_lifetime: bounce_queue_lifetime.
    """

    minimum: float
    maximum: float
    lifetime: float
    bounce_lifetime: float

    def delay(self, age: float) -> float:
        """
        @param age: of the message, from its arrival.

        @return: until the next attempt. It is the age, so that waiting times
            double by themselves, within the two bounds; the least wins if
            they contradict each other, as in Postfix.
        """
        return max(min(age, self.maximum), self.minimum)

    def expired(self, age: float, sender: str, tried: bool, uptime: float) -> bool:
        """
        Asked only after an attempt, so none expires without one.

        @param tried: somebody answered for this message, or for its
            destination; else our own trouble kept it from being tried, which
            is held against it only after we have been up, and failing, for
            its whole lifetime.
        @param uptime: of the queue manager.
        """
        lifetime = self.lifetime if sender else self.bounce_lifetime
        if age < lifetime:
            return False
        return tried or uptime >= max(lifetime, self.maximum)


class SteadyTime:
    """
    Wall time as it would be if nobody had set the clock since start.

    Stamps in the store are wall time, and the wall clock may be set by a day
    while we run. So all reckoning is done in steady time, which a monotonic
    clock drives, and the stamps of mail that arrived after the clock was set
    are corrected.
    """

    def __init__(
        self, monotonic: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._base = wall() - monotonic()
        self._start = monotonic()
        self._shift: dict[str, float] = {}
        self._forgot: set[float] = set()

    def now(self) -> float:
        """
        @return: steady time.
        """
        return self._base + self._monotonic()

    def uptime(self) -> float:
        """
        @return: seconds since start.
        """
        return self._monotonic() - self._start

    def skew(self) -> float:
        """
        @return: by how much the wall clock is ahead of steady time; 0 unless
            it has been set.
        """
        skew = self._wall() - self.now()
        return skew if abs(skew) > TOLERANCE else 0.0

    def arrival(self, queue_id: str, stamp: float, new: bool, skew: float) -> float:
        """
        @param stamp: when the message arrived, as the wall clock showed.
        @param new: it is here for the first time, so the clock that stamped
            it is the clock as it is now.
        @param skew: as it is now.

        @return: when it arrived, in steady time.
        """
        if new and skew:
            self._remember(queue_id, skew)
            return stamp - skew
        known = self._shift.get(queue_id) if self._shift else None
        if known is not None:
            return stamp - known
        arrival = stamp
        if self._forgot:
            now = self.now()
            possible = [stamp - shift for shift in self._forgot]
            arrival = max([stamp, *(a for a in possible if a <= now)])
        return arrival

    def forget(self, queue_id: str) -> None:
        """
        The message is gone.
        """
        if self._shift:
            self._shift.pop(queue_id, None)

    def _remember(self, queue_id: str, skew: float) -> None:
        if len(self._shift) >= MAX_SHIFTED:
            oldest = next(iter(self._shift))
            if len(self._forgot) < 100:
                self._forgot.add(self._shift[oldest])
            del self._shift[oldest]
        self._shift[queue_id] = skew
