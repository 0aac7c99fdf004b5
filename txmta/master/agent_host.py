"""
Delivery agents that a queue manager in another process asks to deliver.

Owns: deliveries in hand, and what became of them, until a queue manager has
    been told; ending in good order.
Knows nothing of: what agents do; how processes and links are made.

When the queue manager is gone, deliveries go on, and their outcomes are kept
for the next one, which asks for them before it dispatches anything. What was
told in the last seconds is told it again: the one that is gone may have had no
time to write it down, and a recipient that is done is done.

Sources: Postfix C{global/deliver_request.c}, deliver_request_done().

Errors: none leaves here. What an agent raises is told to the queue manager.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txmta.errors import MailError
from txmta.interfaces import IContent, IDeliveryAgent
from txmta.master.frames import Record
from txmta.master.host_end import Hand, HostEnd
from txmta.master.link import Link
from txmta.master.wire_fields import BadDelivery
from txmta.master.wire_reports import encode_outcome
from txmta.master.wire_work import OWN_KEYS, InHandElsewhere, encode_working
from txmta.model import DeliveryRequest, Outcome

#: Seconds for which outcomes are remembered after they were told, and of how
#: many deliveries and recipients: a queue manager hears of no more than
#: L{MAX_HELD<txmta.master.elsewhere>}. To write one down takes milliseconds, or
#: a stuck disk.
MEMORY = 10.0
MEMORIES = 2000
MEMORY_RECIPIENTS = 50_000


#: Gets queue ids, and sizes, of messages whose content will be asked for.
Ahead = Callable[[Iterable[tuple[str, int]]], None]


class Memory:
    """
    Deliveries that are over, of which a queue manager was told moments ago.
    """

    def __init__(self) -> None:
        self._each: deque[tuple[float, Hand]] = deque()
        self._recipients = 0

    def add(self, now: float, hand: Hand) -> None:
        """
        Remember one, and forget what is old or too much.
        """
        each = self._each
        each.append((now, hand))
        self._recipients += len(hand.told)
        while (
            len(each) > MEMORIES
            or self._recipients > MEMORY_RECIPIENTS
            or each[0][0] < now - MEMORY
        ):
            self._recipients -= len(each.popleft()[1].told)

    def take(self, now: float, end: HostEnd) -> list[Hand]:
        """
        @return: those that the queue manager at C{end} was told of, not too
            long ago; they are forgotten.
        """
        found = [(when, hand) for when, hand in self._each if hand.end is end]
        self._each = deque(each for each in self._each if each[1].end is not end)
        self._recipients -= sum(len(hand.told) for _, hand in found)
        return [hand for when, hand in found if when >= now - MEMORY]


class AgentHost:
    """
    @ivar hands: deliveries that agents have in hand.
    """

    log = Logger()

    def __init__(
        self,
        agents: Mapping[str, IDeliveryAgent],
        content: Callable[[str], IContent | Deferred[IContent]],
        clock: IReactorTime,
        warn: Callable[[str], None],
        ahead: Ahead | None = None,
    ) -> None:
        """
        @param agents: by transport.
        @param content: opens the content of a message, by queue id.
        @param warn: a line for the log.
        @param ahead: told what deliveries have come before they are begun.
        """
        self.agents = agents
        self.content = content
        self.ahead = ahead
        self.clock = clock
        self.warn = warn
        self.hands: dict[Hand, None] = {}
        self._untold: dict[Hand, None] = {}
        self._memory = Memory()
        self._ends: list[HostEnd] = []
        self._keys: Iterator[int] = count(OWN_KEYS)
        self._leaving = False
        self._last = False
        self._drained: list[Deferred[None]] = []

    def link(self, peer: str) -> Link:
        """
        @param peer: for the log.
        @return: a protocol for a new link to a queue manager.
        """
        return self._add(HostEnd(self, peer))

    def _add(self, end: HostEnd) -> Link:
        self._ends.append(end)
        if self._leaving:
            end.leave()
        return end.link

    def drain(self) -> Deferred[None]:
        """
        Take no more deliveries.

        @return: fires when those in hand are over and the queue manager, this
            or the next, has been told all.
        """
        done: Deferred[None] = Deferred()
        self._drained.append(done)
        if not self._leaving:
            self._leaving = True
            for end in self._ends:
                end.leave()
        self._look_for_end()
        return done

    def nobody_comes(self) -> None:
        """
        There will be no other queue manager, as the server stops: what nobody
        was told, or was told again, nobody needs to wait for.
        """
        self._last = True
        if self._leaving:
            self._look_for_end()

    # For the ends of links.

    def start(self, key: int, request: DeliveryRequest, end: HostEnd) -> None:
        """
        Make a delivery.
        """
        hand = Hand(key, request, end)
        self.hands[hand] = None
        end.hands[key] = hand
        agent = self.agents.get(request.transport)
        if agent is None:
            error = MailError(f"no transport {request.transport} in this process")
            self._finish(error, hand)
            return

        def report(outcome: Outcome) -> None:
            self._report(hand, outcome)

        try:
            ending = agent.deliver(request, report)
        except Exception:
            self._failed(Failure(), hand)
            return
        if ending is None:
            self._finish(None, hand)
        elif not isinstance(ending, Deferred):
            self._finish(TypeError(f"deliver() gives {ending!r:.100}"), hand)
        else:
            ending.addCallbacks(self._done, self._failed, (hand,), {}, (hand,))

    def _report(self, hand: Hand, outcome: Outcome) -> None:
        """
        What an agent calls; it may get everything wrong.
        """
        try:
            n = outcome.n
            if hand.over or n not in hand.left:
                self._complain(hand, f"reports recipient {n!r:.20} twice or unasked")
                return
            records = encode_outcome(hand.key, outcome)
        except (AttributeError, TypeError, BadDelivery) as e:
            self._complain(hand, f"reports what is none: {e}")
            return
        hand.left.remove(n)
        if hand.end is None:
            hand.kept.append(outcome)
            return
        if outcome.reroute is None:
            hand.told.append(outcome)
        for record in records:
            hand.end.send(record)

    def _complain(self, hand: Hand, text: str) -> None:
        request = hand.request
        self.warn(
            f"transport {request.transport}: {text} ({request.envelope.queue_id})"
        )

    def joins(self, hand: Hand) -> None:
        """
        See L{DeliveryRequest<txmta.model.DeliveryRequest>}.
        """
        if hand.end is not None and not hand.joined and not hand.over:
            hand.joined = True
            hand.end.send({"t": "joins", "key": hand.key})

    def _done(self, _: object, hand: Hand) -> None:
        self._finish(None, hand)

    def _failed(self, failure: Failure, hand: Hand) -> None:
        if not failure.check(MailError):
            self.log.failure(
                "transport {transport}", failure, transport=hand.request.transport
            )
        self._finish(failure.value, hand)

    def _finish(self, error: BaseException | None, hand: Hand) -> None:
        hand.over, hand.error = True, error
        del self.hands[hand]
        end = hand.end
        if end is not None:
            del end.hands[hand.key]
            end.send(hand.ending())
            self._memory.add(self.clock.seconds(), hand)
        elif hand.kept:
            self._untold[hand] = None
        if self._leaving:
            self._look_for_end()

    def forget(self, end: HostEnd) -> None:
        """
        A queue manager is gone.
        """
        if end in self._ends:
            self._ends.remove(end)
        for hand in end.hands.values():
            hand.retell()
        end.hands = {}
        for hand in self._memory.take(self.clock.seconds(), end):
            hand.retell()
            hand.left.clear()
            if hand.kept:
                self._untold[hand] = None
        if self._leaving:
            self._look_for_end()

    def tell(self, end: HostEnd) -> None:
        """
        Another queue manager asks what is in hand. There is one at a time.
        """
        for other in [other for other in self._ends if other is not end]:
            other.link.close()
            self.forget(other)
        untold, self._untold = self._untold, {}
        for hand in (*self.hands, *untold):
            if hand.end is None:
                self._tell(end, hand)
        end.send({"t": "worked"})
        if self._leaving:
            self._look_for_end()

    def _tell(self, end: HostEnd, hand: Hand) -> None:
        request = hand.request
        kept, hand.kept = hand.kept, []
        numbers = {outcome.n for outcome in kept} | hand.left
        if not numbers:
            return  # all was told, but that it is over
        hand.end, hand.key = end, next(self._keys)
        records: list[Record] = list(
            encode_working(
                InHandElsewhere(
                    hand.key,
                    request.envelope.queue_id,
                    request.transport,
                    request.nexthop,
                    sorted(numbers),
                )
            )
        )
        for outcome in kept:
            records += encode_outcome(hand.key, outcome)
            if outcome.reroute is None:
                hand.told.append(outcome)
        if hand.over:
            records.append(hand.ending())
            self._memory.add(self.clock.seconds(), hand)
        else:
            end.hands[hand.key] = hand
        for record in records:
            end.send(record)

    def left(self) -> None:
        """
        A queue manager sends no more, and has got all that it was sent.
        """
        self._look_for_end()

    def _look_for_end(self) -> None:
        if self.hands or (self._untold and not self._last):
            return
        for end in self._ends:
            if not end.settled():
                return
        drained, self._drained = self._drained, []
        for done in drained:
            done.callback(None)
