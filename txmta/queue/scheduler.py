"""
Which recipients are handed to a delivery agent next.

Owns: the turns of the next hops of one transport, the bounds on how much goes
    on at a time, and the memory that a transport is broken.
Knows nothing of: what a message is (its owner is any object), agents, timers;
    each call is told the time.

Next hops take turns; within one, messages take turns; so neither a busy
destination nor a message with 10,000 recipients keeps others waiting for more
than a turn. Where each recipient is a destination of its own (recipient limit
1) the next hop is only what the turns go by.

Sources: Postfix C{qmgr/qmgr_entry.c}, C{qmgr/qmgr_queue.c},
C{qmgr/qmgr_transport.c}, C{qmgr/qmgr_deliver.c}; SCHEDULER_README (whose
preemption by delivery slots is replaced by the turns of messages).

Times are monotonic, in seconds.

Errors: none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Generic

from txmta.model import Recipient
from txmta.queue.destination import Limits, Window
from txmta.queue.lane import Job, Lane, Owner, RecipientLane, Refusal
from txmta.queue.outcome import Reason

#: Put before the reason when a destination is not tried because of it.
SUSPENDED = "delivery temporarily suspended: "


class TransportQueue(Generic[Owner]):
    """
    All that waits for one transport.

    @ivar busy: deliveries under way.
    @ivar elsewhere: tells how many more there are that were begun for another
        queue manager.
    @ivar refused: recipients that are not to be tried now, with the reason;
        whoever calls takes them out.
    @ivar turns: next hops, in the order of their turns.
    @ivar later: what is opened at some time; with no C{turns} either, C{next}
        and C{wake} have nothing to say.
    """

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.busy = 0
        self.elsewhere: Callable[[], int] = int
        self.refused: list[Refusal[Owner]] = []
        self._limits = limits
        self._lane_type = RecipientLane if limits.recipients == 1 else Lane
        self._open_at = 0.0
        self._reason: Reason | None = None
        self._retry_at = 0.0
        self._lanes: dict[str, Lane[Owner]] = {}
        self.turns: deque[Lane[Owner]] = deque()
        self.later: list[tuple[float, int, Lane[Owner], Window]] = []
        self._count = 0

    def add(
        self, nexthop: str, owner: Owner, recipient: Recipient, now: float
    ) -> Reason | None:
        """
        Let a recipient wait for its turn.

        @return: why that is no use (transport broken, destination dead); the
            recipient is then not taken.
        """
        if self._reason is not None and self._resting(now):
            return self._reason
        lane = self._lanes.get(nexthop)
        if lane is None:
            lane = self._lanes[nexthop] = self._lane_type(nexthop, self._limits)
        else:
            window = lane.window_of(recipient.address)
            if window is not None and window.reason is not None:
                reason = window.dead(now)
                if reason is not None:
                    return reason
        lane.add(owner, recipient)
        if not lane.queued:
            lane.queued = True
            self.turns.append(lane)
        return None

    def next(self, now: float) -> Job[Owner] | None:
        """
        @return: the next delivery, which counts as under way until C{done};
            L{None} if there is none, or none may start now.
        """
        limits = self._limits
        if self.later:
            self._open(now)
        if limits.processes and self.busy + self.elsewhere() >= limits.processes:
            return None
        if self._open_at > now:
            return None
        turns = self.turns
        while turns:
            lane = turns.popleft()
            lane.queued = False
            if not lane.ready(now):
                continue  # comes back when a delivery ends or the delay is over
            job = lane.take(now, self.refused)
            if lane.turns:
                self._queue(lane, now)
            if job is not None:
                self.busy += 1
                if limits.transport_delay:
                    self._open_at = now + limits.transport_delay
                return job
        return None

    def done(self, job: Job[Owner], now: float) -> None:
        """
        A delivery is over; what it told is said by C{succeeded}, C{failed} or
        C{broken} before.
        """
        self.busy -= 1
        lane, window = job.lane, job.window
        if job.joined:  # its lane may be forgotten, and another one made
            if self._lanes.get(lane.nexthop) is lane:
                self._forget(lane)
            return
        if self._limits.destination_delay and window.reason is None:
            window.open_at = now + self._limits.destination_delay
            self._wait(lane, window)
        lane.done(job)
        if lane.turns:
            self._queue(lane, now)
        self._forget(lane)

    def joined(self, job: Job[Owner], now: float) -> None:
        """
        A delivery only waits to be written with others: it gives its place
        at the destination to the next one, but not its place in the
        transport.
        """
        if job.joined or self._limits.destination_delay:
            return
        job.joined = True
        job.lane.done(job)
        self._queue(job.lane, now)

    def succeeded(self, job: Job[Owner]) -> None:
        """
        The destination was reached, whatever became of the recipients.
        """
        job.window.succeeded()
        self._reason = None

    def failed(self, job: Job[Owner], reason: Reason, now: float) -> None:
        """
        The destination was not reached.
        """
        window = job.window
        if window.reason is not None:
            return
        status, text = reason
        if window.failed(now, (status, SUSPENDED + text)):
            assert window.reason is not None
            dead = window.reason
            self.refused.extend((o, r, dead) for o, r in job.lane.drain(window))
            self._wait(job.lane, window)

    def broken(self, reason: Reason, now: float) -> None:
        """
        The agent itself failed: nothing is tried for a while.
        """
        self._reason = reason
        self._retry_at = now + self._limits.retry_time
        for lane in list(self._lanes.values()):
            self.refused.extend((o, r, reason) for o, r in lane.drain_all())
            self._forget(lane)

    def revive(self, now: float) -> None:
        """
        Forget what is dead or broken (a flush).
        """
        self._reason = None
        for lane in list(self._lanes.values()):
            for window in lane.windows():
                window.revive()
                lane.release(window)
            self._queue(lane, now)
            self._forget(lane)

    def wake(self, now: float) -> float | None:
        """
        @return: when C{next} may give something that it does not give now,
            though no delivery ends before.
        """
        wake = self.later[0][0] if self.later else None
        if (
            self.turns
            and self._open_at > now
            and (wake is None or wake > self._open_at)
        ):
            return self._open_at
        return wake

    def _resting(self, now: float) -> bool:
        if now >= self._retry_at:
            self._reason = None
        return self._reason is not None

    def _queue(self, lane: Lane[Owner], now: float) -> None:
        if not lane.queued and lane.ready(now):
            lane.queued = True
            self.turns.append(lane)

    def _wait(self, lane: Lane[Owner], window: Window) -> None:
        self._count += 1
        heappush(self.later, (window.open_at, self._count, lane, window))

    def _open(self, now: float) -> None:
        while self.later and self.later[0][0] <= now:
            _, _, lane, window = heappop(self.later)
            if window.open_at > now:
                continue  # closed again since, which has an entry of its own
            if window.dead(now) is None:
                window.open_at = 0.0
            lane.release(window)
            self._queue(lane, now)
            self._forget(lane)

    def _forget(self, lane: Lane[Owner]) -> None:
        if not lane.queued and lane.idle() and self._lanes.get(lane.nexthop) is lane:
            del self._lanes[lane.nexthop]
