"""
What agents have in hand for a queue manager that is gone.

Owns: which recipients nobody may deliver until their outcome comes, and
    outcomes that came before anybody asked.
Knows nothing of: links; how messages are claimed and routed.

An agent's word counts only for transports that it serves: whoever has taken
over an smtp process cannot say what became of mail for local users, nor hold
it up.

Errors: L{BadDelivery<txmta.master.wire_fields.BadDelivery>} for lies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from txmta.interfaces import IWorkElsewhere
from txmta.master.wire_fields import BadDelivery, Record
from txmta.master.wire_reports import Awaited
from txmta.master.wire_work import OWN_KEYS, InHandElsewhere, decode_working
from txmta.model import Outcome

#: Seconds that agents get to say what they have in hand.
PATIENCE = 5.0

#: Recipients that one agent may have in hand, or keep outcomes of. Each costs
#: 175 to 325 octets here: five times as many would be 87 MB, of one hostile
#: agent. A good one remembers half as many
#: (L{MEMORY_RECIPIENTS<txmta.master.agent_host>}), and has what fits in the
#: active queue (qmgr_message_recipient_limit, 20,000).
MAX_HELD = 100_000

#: What the agents of one role may have told without anybody having asked yet:
#: octets, roughly.
MAX_KEPT = 64 << 20

#: Told the outcome; C{None} if nobody has the recipient in hand any more.
Take = Callable[[Outcome | None], None]


class Held:
    """
    One delivery in hand elsewhere.

    @ivar awaited: what has not come yet.
    """

    __slots__ = ("awaited", "group", "queue_id", "transport")

    def __init__(
        self, queue_id: str, transport: str, group: object, awaited: Awaited
    ) -> None:
        self.queue_id = queue_id
        self.transport = transport
        self.group = group
        self.awaited = awaited


@implementer(IWorkElsewhere)
class WorkElsewhere:
    """
    Of all agents in other processes.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        #: By role, queue id and number: who has it, its outcome, who waits for
        #: it. What one role says does not stand in the way of another.
        self._held: dict[tuple[object, str], dict[int, _Place]] = {}
        self._kept: Counter[object] = Counter()
        self._groups: dict[str, object] = {}
        #: Whom to ask, and how; not before the queue manager is one: there
        #: may be another, whose deliveries are none of ours.
        self._asked: dict[object, Callable[[], None]] = {}
        self._asking = False
        self._waiting: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None
        self._busy: Counter[str] = Counter()
        self._less: Callable[[str], None] = lambda transport: None

    # For the queue manager.

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

    def ready(self) -> Deferred[None] | None:
        """
        See L{IWorkElsewhere.ready}.
        """
        if not self._asking:
            self._asking = True
            for ask in list(self._asked.values()):
                ask()
        if not self._asked:
            return None
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if self._timer is None:
            self._timer = self._clock.callLater(PATIENCE, self._begin)
        return done

    def claim(self, queue_id: str, n: int, transport: str, take: Take) -> bool:
        """
        See L{IWorkElsewhere.claim}.
        """
        places = self._held.get((self._groups.get(transport), queue_id))
        if places is None:
            return False
        place = places.get(n)
        if place is None:
            return False
        if place.outcome is None:
            place.take = take
            return True
        self._forget(place.held, n)
        take(place.outcome)
        return True

    # For those who have the links.

    def serves(self, transport: str, group: object) -> None:
        """
        @param group: of agents, that serve a transport.
        """
        self._groups[transport] = group

    def add(self, agent: object, ask: Callable[[], None]) -> None:
        """
        @param ask: asks an agent what it has in hand.
        """
        self._asked[agent] = ask
        if self._asking:
            ask()

    def answered(self, agent: object) -> None:
        """
        It has answered, or is gone.
        """
        self._asked.pop(agent, None)
        if not self._asked:
            self._begin()

    def _begin(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)

    def begun(self, held: Held) -> None:
        """
        An agent has told of another delivery; C{over} will come.
        """
        self._busy[held.transport] += 1

    def hold(self, held: Held, numbers: list[int]) -> None:
        """
        An agent has recipients in hand. Whoever says so first has them.
        """
        places = self._held.setdefault((held.group, held.queue_id), {})
        for n in numbers:
            places.setdefault(n, _Place(held))

    def outcome(self, held: Held, outcome: Outcome) -> None:
        """
        What became of one of them.
        """
        place = self._place(held, outcome.n)
        if place is None:
            return
        if place.take is None:
            self._keep(place, outcome)
            return
        self._forget(held, outcome.n)
        place.take(outcome)

    def _keep(self, place: _Place, outcome: Outcome) -> None:
        """
        Until somebody asks, which may be never.
        """
        held = place.held
        place.outcome = outcome
        self._kept[held.group] += _size(outcome)
        if self._kept[held.group] > MAX_KEPT:
            self._forget(held, outcome.n)
            raise BadDelivery("more outcomes than can be kept")

    def over(self, held: Held) -> None:
        """
        An agent is done with a delivery, or is gone: what has no outcome is
        in nobody's hand.
        """
        left, held.awaited.left = held.awaited.left, set()
        for n in left:
            place = self._place(held, n)
            if place is not None:
                self._forget(held, n)
                if place.take is not None:
                    place.take(None)
        self._busy[held.transport] -= 1
        self._less(held.transport)

    def _place(self, held: Held, n: int) -> _Place | None:
        place = self._held.get((held.group, held.queue_id), {}).get(n)
        return place if place is not None and place.held is held else None

    def _forget(self, held: Held, n: int) -> None:
        places = self._held[held.group, held.queue_id]
        outcome = places.pop(n).outcome
        if outcome is not None:
            self._kept[held.group] -= _size(outcome)
        if not places:
            del self._held[held.group, held.queue_id]


def _size(outcome: Outcome) -> int:
    """
    @return: of what memory it takes, in octets, roughly.
    """
    size = 500 + len(outcome.reason) + len(outcome.diagnostic) + len(outcome.remote)
    size += len(outcome.relay) + len(outcome.status) + len(outcome.bounce_to)
    for forward in outcome.forward:
        size += 500 + len(forward.head) + sum(map(len, forward.recipients))
        size += 100 * len(forward.recipients)
    return size


class _Place:
    """
    One recipient.
    """

    __slots__ = ("held", "outcome", "take")

    def __init__(self, held: Held) -> None:
        self.held = held
        self.outcome: Outcome | None = None
        self.take: Take | None = None


class Story:
    """
    What one agent tells of its work for another queue manager.

    @ivar complete: it has told everything.
    """

    def __init__(
        self,
        elsewhere: WorkElsewhere,
        group: object,
        onward: Callable[[str], bool | None],
        ask: Callable[[], None],
    ) -> None:
        """
        @param ask: asks it.
        @param onward: by transport, see L{Awaited}; C{None} for those that
            the agent does not serve.
        """
        self._elsewhere = elsewhere
        self._group = group
        self._onward = onward
        self._held: dict[int, Held] = {}
        self._count = 0
        self.complete = False
        elsewhere.add(self, ask)

    def working(self, record: Record) -> None:
        """
        Take a C{working} record.
        """
        each = decode_working(record)
        self._check(each)
        held = self._held.get(each.key)
        if held is None:
            onward = self._onward(each.transport)
            if onward is None:
                raise BadDelivery("work of a transport that is not its")
            awaited = Awaited((), onward)
            held = Held(each.queue_id, each.transport, self._group, awaited)
            self._held[each.key] = held
            self._elsewhere.begun(held)
        elif held.queue_id != each.queue_id:
            raise BadDelivery("work on two messages at once")
        held.awaited.left.update(each.numbers)
        self._elsewhere.hold(held, each.numbers)

    def _check(self, each: InHandElsewhere) -> None:
        self._count += len(each.numbers)
        if self.complete or each.key < OWN_KEYS or self._count > MAX_HELD:
            raise BadDelivery("work that nobody asked for")

    def worked(self) -> None:
        """
        It has told everything.
        """
        if self.complete:
            raise BadDelivery("told everything twice")
        self.complete = True
        self._elsewhere.answered(self)

    def awaited(self, key: int) -> Awaited:
        """
        @return: what is awaited of a delivery.
        """
        held = self._held.get(key)
        if held is None:
            raise BadDelivery("no such delivery")
        return held.awaited

    def outcome(self, key: int, record: Record) -> None:
        """
        Take an C{outcome} record.
        """
        outcome = self.awaited(key).outcome(record)
        self._elsewhere.outcome(self._held[key], outcome)

    def over(self, key: int) -> None:
        """
        The agent is done with a delivery.
        """
        self.awaited(key)
        self._elsewhere.over(self._held.pop(key))

    def lost(self) -> None:
        """
        The agent is gone.
        """
        held, self._held = self._held, {}
        for each in held.values():
            self._elsewhere.over(each)
        self._elsewhere.answered(self)
