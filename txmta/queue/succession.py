"""
What an earlier queue manager of this process still has in hand, when its
configuration has been replaced.

Owns: which recipients nobody else may deliver until their outcome comes, and
    outcomes that came before anybody asked.
Knows nothing of: agents; how messages are claimed and routed.

The earlier queue manager starts nothing more. Its deliveries go on, and what
they report is told here instead of there.

Errors: none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.interfaces import IWorkElsewhere
from txmta.model import Action, DeliveryRequest, Outcome, Recipient, Route
from txmta.queue.active import ActiveMessage
from txmta.queue.dispatcher import Dispatcher
from txmta.queue.in_hand import InHand

Take = Callable[[Outcome | None], None]


class _Place:
    """
    One recipient: its outcome, or who waits for it.
    """

    __slots__ = ("outcome", "take")

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self.take: Take | None = None


@implementer(IWorkElsewhere)
class Succession:
    """
    Takes the place of the dispatcher for the deliveries that are in hand.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.seconds = clock.seconds
        self._clock = clock
        self._places: dict[tuple[str, int], _Place] = {}
        self._hands: set[InHand] = set()
        self._busy: Counter[str] = Counter()
        self._less: Callable[[str], None] = lambda transport: None
        self._waiting: list[Deferred[None]] = []
        self._old: Dispatcher | None = None
        self._alarm: IDelayedCall | None = None

    # Of the earlier queue manager.

    def inherit(self, dispatcher: Dispatcher, earlier: Succession | None) -> None:
        """
        Take over what is in hand. From then on the dispatcher starts nothing.

        @param earlier: what was in hand when that one began.
        """
        self._old = dispatcher
        hands = dispatcher.give_up()
        if earlier is not None:
            hands |= earlier._hands
            for key, place in earlier._places.items():
                # Whoever waited there is gone.
                self._places[key] = kept = _Place()
                kept.outcome = place.outcome
            # Whoever makes these deliveries must not close before they are over.
            self._waiting += earlier._waiting
            earlier._waiting, earlier._hands, earlier._places = [], set(), {}
        for hand in hands:
            self._hands.add(hand)
            self._busy[hand.queue.name] += 1
            for n in hand.pass_on(self):
                self._places.setdefault((hand.queue_id, n), _Place())

    def _give_up(self) -> None:
        self._hands, self._places = set(), {}
        self._end()

    def finished(self, limit: float | None = None) -> Deferred[None]:
        """
        @param limit: seconds.
        @return: fires when nothing is in hand any more, here or with whom it
            has been passed on to, or the limit has passed.
        """
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if not self._hands:
            self._end()
        elif limit is not None:
            self._alarm = self._clock.callLater(limit, self._give_up)
        return done

    def _end(self) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)

    # For the next queue manager.

    def ready(self) -> Deferred[None] | None:
        """
        See L{IWorkElsewhere.ready}.
        """
        return None

    def busy(self, transport: str) -> int:
        """
        See L{IWorkElsewhere.busy}.
        """
        return self._busy[transport]

    def when_less(self, call: Callable[[str], None]) -> None:
        """
        See L{IWorkElsewhere.when_less}.
        """
        self._less = call

    def claim(self, queue_id: str, n: int, transport: str, take: Take) -> bool:
        """
        See L{IWorkElsewhere.claim}.
        """
        place = self._places.get((queue_id, n))
        if place is None:
            return False
        if place.outcome is None:
            place.take = take
            return True
        del self._places[queue_id, n]
        take(place.outcome)
        return True

    # For deliveries: see IDispatch.

    def settle(
        self,
        message: ActiveMessage,
        recipient: Recipient,
        request: DeliveryRequest,
        program: str,
        outcome: Outcome,
    ) -> None:
        self._told(message.queue_id, outcome)

    def reroute(
        self, message: ActiveMessage, recipient: Recipient, route: Route
    ) -> None:
        n = recipient.n
        forward = message.onward.pop(n, ())
        self._told(
            message.queue_id,
            Outcome(n, Action.DELAYED, "4.0.0", "", forward=forward, reroute=route),
        )

    def _told(self, queue_id: str, outcome: Outcome) -> None:
        place = self._places.get((queue_id, outcome.n))
        if place is None:
            return  # nobody wants to know any more
        if place.take is None:
            place.outcome = outcome
            return
        del self._places[queue_id, outcome.n]
        place.take(outcome)

    def over(self, hand: InHand) -> None:
        self._hands.discard(hand)
        transport = hand.queue.name
        self._busy[transport] -= 1
        self._less(transport)
        if not self._hands:
            self._end()

    def warn(self, text: str) -> None:
        assert self._old is not None
        self._old.warn(text)

    def bug(self, failure: Failure, what: str) -> None:
        assert self._old is not None
        self._old.bug(failure, what)
