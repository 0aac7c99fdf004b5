"""
What waits for one next hop, and whose turn it is there.

Owns: turns of messages within a next hop, and which destination's concurrency
    a recipient counts for.
Knows nothing of: other next hops, bounds of the transport, what a message is
    (its owner is any object); each call is told the time.

Sources: Postfix C{qmgr/qmgr_entry.c}, C{qmgr/qmgr_peer.c}; SCHEDULER_README.

Errors: none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from txmta.model import Recipient
from txmta.queue.destination import Limits, Window
from txmta.queue.outcome import Reason

Owner = TypeVar("Owner")


class Job(Generic[Owner]):
    """
    One delivery: what goes to the agent in one request.

    @ivar joined: it no longer counts for its destination's concurrency.
    """

    __slots__ = ("joined", "lane", "owner", "recipients", "window")

    def __init__(
        self,
        lane: Lane[Owner],
        owner: Owner,
        window: Window,
        recipients: tuple[Recipient, ...],
    ) -> None:
        self.joined = False
        self.lane = lane
        self.owner = owner
        self.window = window
        self.recipients = recipients


class Share(Generic[Owner]):
    """
    What one message still wants from one next hop.

    @ivar waiting: recipients, in order.
    """

    __slots__ = ("owner", "waiting")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.waiting: list[Recipient] = []


class Lane(Generic[Owner]):
    """
    One next hop, which is one destination.

    @ivar queued: it waits for its turn in the transport.
    @ivar turns: messages, in the order of their turns.
    """

    __slots__ = ("_limit", "_shares", "nexthop", "queued", "turns", "window")

    def __init__(self, nexthop: str, limits: Limits) -> None:
        self.nexthop = nexthop
        self.queued = False
        self.window = Window(limits)
        self._limit = limits.recipients
        self._shares: dict[int, Share[Owner]] = {}
        self.turns: deque[Share[Owner]] = deque()

    def add(self, owner: Owner, recipient: Recipient) -> None:
        """
        Let a recipient wait. A message that waits here keeps its turn.
        """
        share = self._shares.get(id(owner))
        if share is None:
            share = self._shares[id(owner)] = Share(owner)
            self.turns.append(share)
        share.waiting.append(recipient)

    def ready(self, now: float) -> bool:
        """
        @return: C{take} may give something.
        """
        window = self.window
        return bool(self.turns) and window.busy < window.size and window.open_at <= now

    def take(self, now: float, refused: list[Refusal[Owner]]) -> Job[Owner] | None:
        """
        @param refused: gets recipients whose destination is dead.

        @return: what is to be delivered now; call only when C{ready}.
        """
        share = self.turns.popleft()
        waiting = share.waiting
        limit = self._limit
        if not limit or len(waiting) <= limit:
            recipients = tuple(waiting)
            del self._shares[id(share.owner)]
        else:
            recipients = tuple(waiting[:limit])
            del waiting[:limit]
            self.turns.append(share)
        self.window.busy += 1
        return Job(self, share.owner, self.window, recipients)

    def done(self, job: Job[Owner]) -> None:
        """
        A delivery is over.
        """
        job.window.busy -= 1

    def window_of(self, address: str) -> Window | None:
        """
        @return: the concurrency that an address counts for, if known.
        """
        return self.window

    def release(self, window: Window) -> None:
        """
        A window may be open again: let its recipients take their turns.
        """

    def windows(self) -> Iterator[Window]:
        """
        @return: all that are known.
        """
        yield self.window

    def drain(self, window: Window) -> Iterator[tuple[Owner, Recipient]]:
        """
        Take out all that waits for a destination.
        """
        return self.drain_all()

    def drain_all(self) -> Iterator[tuple[Owner, Recipient]]:
        """
        Take out all that waits here.
        """
        shares, self._shares = self._shares, {}
        self.turns.clear()
        for share in shares.values():
            for recipient in share.waiting:
                yield share.owner, recipient

    def idle(self) -> bool:
        """
        @return: it may be forgotten: nothing waits, nothing is known that
            must be remembered.
        """
        return not self.turns and self.window.fresh()


class RecipientLane(Lane[Owner]):
    """
    One next hop where each recipient is a destination (recipient limit 1).
    """

    __slots__ = ("_limits", "_parked", "_windows")

    def __init__(self, nexthop: str, limits: Limits) -> None:
        super().__init__(nexthop, limits)
        self._limits = limits
        self._windows: dict[str, Window] = {}
        self._parked: dict[Window, deque[tuple[Owner, Recipient]]] = {}

    def ready(self, now: float) -> bool:
        return bool(self.turns)

    def take(self, now: float, refused: list[Refusal[Owner]]) -> Job[Owner] | None:
        while self.turns:
            share = self.turns.popleft()
            owner, recipient = share.owner, share.waiting.pop(0)
            if share.waiting:
                self.turns.append(share)
            else:
                del self._shares[id(owner)]
            window = self._window(recipient.address)
            reason = window.dead(now)
            if reason is not None:
                refused.append((owner, recipient, reason))
            elif window.busy < window.size and window.open_at <= now:
                window.busy += 1
                return Job(self, owner, window, (recipient,))
            else:
                self._parked.setdefault(window, deque()).append((owner, recipient))
        return None

    def done(self, job: Job[Owner]) -> None:
        window = job.window
        window.busy -= 1
        if window.open_at == 0.0:
            self.release(window)

    def release(self, window: Window) -> None:
        parked = self._parked.get(window)
        if parked:
            # One for each place; in front of the message's others, for it
            # has waited.
            for _ in range(min(window.size - window.busy, len(parked))):
                self._unpark(*parked.popleft())
            if not parked:
                del self._parked[window]
        self._forget(window)

    def _unpark(self, owner: Owner, recipient: Recipient) -> None:
        share = self._shares.get(id(owner))
        if share is None:
            share = self._shares[id(owner)] = Share(owner)
            self.turns.appendleft(share)
        share.waiting.insert(0, recipient)

    def _forget(self, window: Window) -> None:
        if window.fresh() and window not in self._parked:
            self._windows.pop(window.key, None)

    def _window(self, address: str) -> Window:
        window = self._windows.get(address)
        if window is None:
            window = self._windows[address] = Window(self._limits, address)
        return window

    def window_of(self, address: str) -> Window | None:
        return self._windows.get(address)

    def windows(self) -> Iterator[Window]:
        return iter(list(self._windows.values()))

    def drain(self, window: Window) -> Iterator[tuple[Owner, Recipient]]:
        yield from self._parked.pop(window, ())

    def drain_all(self) -> Iterator[tuple[Owner, Recipient]]:
        yield from super().drain_all()
        parked, self._parked = self._parked, {}
        for waiting in parked.values():
            yield from waiting

    def idle(self) -> bool:
        return not self.turns and not self._parked and not self._windows


#: A recipient that is not to be tried now, and why.
Refusal = tuple[Owner, Recipient, Reason]
