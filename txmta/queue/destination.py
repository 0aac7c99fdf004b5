"""
How many deliveries a destination can bear at a time.

Owns: the concurrency window, its feedback, and the memory that a destination
    is dead.
Knows nothing of: messages, recipients, timers; each call is told the time.

Sources: Postfix C{qmgr/qmgr_queue.c}, qmgr_queue_throttle() and
qmgr_queue_unthrottle(); C{qmgr/qmgr_feedback.c}; SCHEDULER_README.

Times are monotonic, in seconds.

Errors: none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import sqrt

#: Rounding error that sums of feedback may have.
_EPSILON = 1e-6

_FEEDBACK = re.compile(
    r"(\d+(?:\.\d*)?|\.\d+)\s*(?:/\s*(\d*(?:\.\d+)?)\s*((?:sqrt_)?concurrency)?)?"
)


@dataclass(frozen=True, slots=True)
class Feedback:
    """
    What one success or failure is worth.

    @ivar number: with C{divisor} C{""}, the worth.
    @ivar divisor: C{"concurrency"}, C{"sqrt_concurrency"} or C{""}.
    """

    number: float
    divisor: str = ""

    @classmethod
    def parse(cls, text: str) -> Feedback:
        """
        @param text: as in main.cf, already checked there.
        """
        match = _FEEDBACK.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text} is no feedback")
        return cls(float(match[1]) / float(match[2] or 1), match[3] or "")

    def value(self, window: int) -> float:
        """
        @param window: the concurrency now.
        """
        if not self.divisor:
            return self.number
        if self.divisor == "concurrency":
            return self.number / window
        return self.number / sqrt(window)


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What main.cf says of one transport.

    @ivar initial: window of a destination that nothing is known of.
    @ivar concurrency: most deliveries to one destination; 0 is no limit.
    @ivar positive: feedback of a success.
    @ivar negative: feedback of a failure.
    @ivar failed_cohorts: dead after so many; 0 is never.
    @ivar recipients: most recipients in one delivery; 0 is no limit; 1 makes
        each recipient a destination.
    @ivar destination_delay: seconds between deliveries to one destination.
    @ivar transport_delay: seconds between deliveries.
    @ivar processes: most deliveries at a time; 0 is no limit.
    @ivar dead_time: seconds for which a dead destination is left alone.
    @ivar retry_time: seconds for which a broken transport is left alone.
    """

    initial: int = 5
    concurrency: int = 20
    positive: Feedback = Feedback(1)
    negative: Feedback = Feedback(1)
    failed_cohorts: float = 1
    recipients: int = 50
    destination_delay: float = 0
    transport_delay: float = 0
    processes: int = 100
    dead_time: float = 300
    retry_time: float = 60


class Window:
    """
    The concurrency of one destination.

    @ivar key: the recipient, where each is a destination.
    @ivar size: how many deliveries may be under way.
    @ivar busy: how many are.
    @ivar open_at: no delivery may start before.
    @ivar reason: while dead, C{(status, reason)} of the failure.
    """

    __slots__ = (
        "_cohorts",
        "_failure",
        "_limits",
        "_success",
        "busy",
        "key",
        "open_at",
        "reason",
        "size",
    )

    def __init__(self, limits: Limits, key: str = "") -> None:
        self._limits = limits
        self.key = key
        self.size = limits.initial
        if limits.concurrency:
            self.size = min(self.size, limits.concurrency)
        if limits.destination_delay:
            self.size = 1
        self.busy = 0
        self.open_at = 0.0
        self.reason: tuple[str, str] | None = None
        self._success = 0.0
        self._failure = 0.0
        self._cohorts = 0.0

    def dead(self, now: float) -> tuple[str, str] | None:
        """
        @return: why nothing should be tried here, or L{None}.
        """
        if self.reason is not None and now >= self.open_at:
            self.revive()
        return self.reason

    def revive(self) -> None:
        """
        Forget that it was dead: best guesses from here.
        """
        if self.reason is None:
            return
        self.reason = None
        self.open_at = 0.0
        self.size = max(self.busy, 1) if self.busy else self._limits.initial
        self._success = self._failure = self._cohorts = 0.0
        self._clamp()

    def fresh(self) -> bool:
        """
        @return: nothing is known here that would be a loss to forget.
        """
        return not self.busy and self.reason is None and self.open_at == 0.0

    def succeeded(self) -> None:
        """
        A delivery reached the destination, whatever it then said.
        """
        limits = self._limits
        if self.reason is not None:
            self.revive()
            return
        self._cohorts = 0.0
        limit = limits.concurrency
        if limit and self.size >= limit:
            return
        # Near what is in use, or a later failure would not be felt.
        if self.size >= self.busy + limits.initial:
            return
        feedback = limits.positive.value(self.size)
        self._success += feedback
        while feedback and self._success + feedback / 2 >= 1:
            self.size += 1
            self._success -= 1
            self._failure = 0.0
        self._clamp()

    def failed(self, now: float, reason: tuple[str, str]) -> bool:
        """
        A delivery did not reach the destination.

        @return: it is dead now.
        """
        limits = self._limits
        if self.reason is not None:
            return True
        self._cohorts += 1.0 / self.size
        if limits.failed_cohorts and self._cohorts + _EPSILON >= limits.failed_cohorts:
            self.reason = reason
            self.open_at = now + limits.dead_time
            return True
        # Half a step of slack against rounding, as in Postfix; from the start
        # it makes the first failure count at once, and a whole 1 twice.
        feedback = limits.negative.value(self.size)
        self._failure -= feedback
        while feedback and self._failure - feedback / 2 < 0:
            self.size -= 1
            self._success = 0.0
            self._failure += 1
        self._clamp()
        return False

    def _clamp(self) -> None:
        limit = self._limits.concurrency
        if limit and self.size > limit:
            self.size = limit
        if self._limits.destination_delay:
            self.size = 1
        if self.size < 1:
            self.size = 1
