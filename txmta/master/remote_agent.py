"""
Delivery agents in other processes, as the queue manager sees them.

Owns: which process gets a delivery; deliveries in hand over each link, and
    what becomes of them when it is lost.
Knows nothing of: processes, how they are started; what an agent does.

A delivery whose process ends is made again by another one, once, for the
recipients that have no outcome: a message that ends every process that it
comes to must not end them all. Then, and when there is no process for some
seconds, its recipients are deferred; the transport is not to blame.

Sources: Postfix C{qmgr/qmgr_deliver.c}; C{global/deliver_request.c}.

Errors: deliveries fail with
L{AgentUnavailable<txmta.errors.AgentUnavailable>}.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from txmta.errors import AgentUnavailable
from txmta.interfaces import IDeliveryAgent
from txmta.master.elsewhere import WorkElsewhere
from txmta.master.link import Link
from txmta.master.remote_end import Carry, Delivery, RemoteEnd, Report
from txmta.model import DeliveryRequest

#: Seconds that a delivery waits for a process, when there is none. A child
#: that dies is started again within 2.
WAIT = 10.0

#: How often a delivery is given to a process.
TRIES = 2

ENDED = "delivery agent process ended"
UNAVAILABLE = "mail transport unavailable"


class RemoteAgents:
    """
    All agents that processes of one role serve.

    @ivar onward: by transport; see L{agent}.
    """

    def __init__(
        self,
        clock: IReactorTime,
        warn: Callable[[str], None],
        elsewhere: WorkElsewhere,
        carry: Carry | None = None,
    ) -> None:
        """
        @param warn: a line for the log.
        @param carry: gives a descriptor of the content, which goes with the
            C{deliver} record; L{None}: processes read the queue themselves.
        """
        self.clock = clock
        self.warn = warn
        self.elsewhere = elsewhere
        self.carry = carry
        self.keys = count()
        self.onward: dict[str, bool] = {}
        self._all: set[RemoteEnd] = set()
        self._ends: list[RemoteEnd] = []
        self._waiting: deque[tuple[float, Delivery]] = deque()
        self._alarm: IDelayedCall | None = None

    def agent(self, transport: str, program: str, onward: bool) -> RemoteAgent:
        """
        @param transport: service in master.cf.
        @param program: as the log names it.
        @param onward: it may make new messages in place of recipients, and
            send them another way.
        """
        self.onward[transport] = onward
        self.elsewhere.serves(transport, self)
        return RemoteAgent(program, self, onward)

    def link(self, peer: str, last: bool = False) -> Link:
        """
        @param peer: for the log.
        @param last: it is only to end what it has in hand.
        @return: a protocol for a new link. Nothing is sent over it before
            L{WorkElsewhere.ready} is called for the first time, and no
            deliveries before the process has told what it has in hand.
        """
        end = RemoteEnd(self, peer, last)
        self._all.add(end)
        return end.link

    def deliver(self, delivery: Delivery) -> None:
        """
        Give a delivery to the process that has the least to do.
        """
        best: RemoteEnd | None = None
        for end in self._ends:
            if best is None or len(end.hands) < len(best.hands):
                best = end
        if best is not None:
            best.deliver(delivery)
            return
        until = self.clock.seconds() + WAIT
        self._waiting.append((until, delivery))
        self._set_alarm()

    def open(self, end: RemoteEnd) -> None:
        """
        A process takes deliveries.
        """
        self._ends.append(end)
        waiting, self._waiting = self._waiting, deque()
        for _, delivery in waiting:
            self.deliver(delivery)

    def close(self, end: RemoteEnd) -> None:
        """
        It takes no more.
        """
        if end in self._ends:
            self._ends.remove(end)

    def lost(self, end: RemoteEnd, hands: list[Delivery]) -> None:
        """
        A process has ended.
        """
        self.close(end)
        self._all.discard(end)
        peer = end.link.peer
        if hands:
            self.warn(f"{peer} ended with {len(hands)} deliveries in hand")
        for delivery in hands:
            if not delivery.awaited.left:
                delivery.ended.callback(None)
            elif delivery.tries >= TRIES:
                delivery.ended.errback(AgentUnavailable(ENDED))
            else:
                delivery.again()
                self.deliver(delivery)

    def stop(self) -> None:
        """
        Give up the links. What agents have in hand they keep for another queue
        manager.
        """
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        for end in self._all:
            end.link.close()
        self._all.clear()

    def _set_alarm(self) -> None:
        if self._waiting and (self._alarm is None or not self._alarm.active()):
            delay = max(self._waiting[0][0] - self.clock.seconds(), 0.0)
            self._alarm = self.clock.callLater(delay, self._give_up)

    def _give_up(self) -> None:
        now = self.clock.seconds()
        while self._waiting and self._waiting[0][0] <= now:
            _, delivery = self._waiting.popleft()
            delivery.ended.errback(AgentUnavailable(UNAVAILABLE))
        self._set_alarm()


@implementer(IDeliveryAgent)
class RemoteAgent:
    """
    One transport.
    """

    def __init__(self, name: str, agents: RemoteAgents, onward: bool) -> None:
        self.name = name
        self._agents = agents
        self._onward = onward

    def deliver(self, request: DeliveryRequest, report: Report) -> Deferred[None]:
        """
        See L{IDeliveryAgent.deliver}.
        """
        delivery = Delivery(request, report, self._onward)
        self._agents.deliver(delivery)
        return delivery.ended
