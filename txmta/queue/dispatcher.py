"""
Bring recipients of active messages to delivery agents, and take outcomes.

Owns: routing, the queue of each transport, requests to agents, what an agent
    may get wrong.
Knows nothing of: retry times, bounces, the store's rows: a settled recipient
    is passed on.

Sources: Postfix C{qmgr/qmgr_message.c}, qmgr_message_resolve();
C{qmgr/qmgr_deliver.c}; C{qmgr/qmgr_error.c}.

Errors: none leaves here. What an agent or a resolver raises becomes a
deferral; what is no L{MailError<txmta.errors.MailError>} is logged as a bug.
"""

# Over budget: one class holds the turn-taking of all transports; its parts
# (lanes, destinations, what is in hand) have modules of their own.

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txmta.errors import MailError
from txmta.events import Warn
from txmta.interfaces import IContent
from txmta.model import (
    Action,
    AddressClass,
    DeliveryRequest,
    Outcome,
    Recipient,
    Route,
)
from txmta.queue.active import ActiveMessage
from txmta.queue.in_hand import InHand, Queue, Settle
from txmta.queue.lane import Job
from txmta.queue.limits import DEFAULT_PROCESS_LIMIT, limits
from txmta.queue.outcome import (
    DEFERRED_TRANSPORT,
    DISCARDED,
    RETRY,
    UNAVAILABLE,
    UNROUTABLE,
    Reason,
    sound,
)
from txmta.queue.parts import QueueParts
from txmta.queue.scheduler import SUSPENDED


class Dispatcher:
    """
    @ivar in_hand: deliveries under way.
    """

    log = Logger()

    def __init__(
        self,
        parts: QueueParts,
        settle: Settle,
        steady: Callable[[], float],
        quiet: Callable[[], None],
    ) -> None:
        """
        @param settle: told of each recipient's outcome, with the program that
            the log names.
        @param steady: steady time.
        @param quiet: called when nothing is in hand any more.
        """
        self.parts = parts
        self.in_hand = 0
        self.settle = settle
        self.seconds = parts.clock.seconds
        self._steady = steady
        self._quiet = quiet
        self._resolve = parts.resolver.resolve
        self._deferred_transports = frozenset(parts.settings.defer_transports)
        self._double_bounce = parts.settings.double_bounce_sender.lower()
        self._stopped = False
        self._pumping: set[str] = set()
        self._alarm: IDelayedCall | None = None
        self._queues = {
            name: Queue(
                name,
                limits(
                    parts.settings,
                    name,
                    parts.processes.get(name, DEFAULT_PROCESS_LIMIT),
                ),
            )
            for name in parts.agents
        }
        self._starting: dict[Queue, None] | None = None

    def start(self, message: ActiveMessage) -> None:
        """
        Route all recipients of a message; each will be settled.
        """
        # Deliveries begin when all wait: those for one host are one delivery.
        queues: dict[Queue, None] = {}
        before, self._starting = self._starting, queues
        try:
            self._route_all(message)
        finally:
            self._starting = before
        for queue in queues:
            self._pump(queue)

    def _route_all(self, message: ActiveMessage) -> None:
        for recipient in message.envelope.recipients:
            try:
                route = self._resolve(recipient.address)
            except Exception:
                self._unroutable(Failure(), message, recipient)
                continue
            if isinstance(route, Deferred):
                route.addCallbacks(
                    self._routed,
                    self._unroutable,
                    callbackArgs=(message, recipient),
                    errbackArgs=(message, recipient),
                ).addErrback(self.bug, "routing")
            else:
                self._routed(route, message, recipient)

    def revive(self) -> None:
        """
        Forget which destinations are dead and which transports are broken.
        """
        for queue in self._queues.values():
            queue.revive(self.seconds())
            self._pump(queue)

    def stop(self) -> None:
        """
        Start no more deliveries.
        """
        self._stopped = True
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()

    def _routed(
        self, route: Route, message: ActiveMessage, recipient: Recipient
    ) -> None:
        if route.recipient != recipient.address:
            recipient = Recipient(
                recipient.n,
                route.recipient,
                recipient.original,
                recipient.orcpt,
                recipient.notify,
            )
        if route.address_class is AddressClass.LOCAL and self._is_double_bounce(route):
            outcome = Outcome(recipient.n, Action.DELIVERED, "2.0.0", DISCARDED)
            self._tell(message, recipient, route.nexthop, "qmgr", outcome)
            return
        transport = route.transport
        queue = self._queues.get(transport)
        if queue is None:
            self.defer(message, recipient, UNAVAILABLE, route.nexthop)
            return
        if transport in self._deferred_transports and not message.flushed:
            self.defer(message, recipient, DEFERRED_TRANSPORT, route.nexthop)
            return
        reason = queue.add(route.nexthop, message, recipient, self.seconds())
        if reason is not None:
            message.tried |= reason[1].startswith(SUSPENDED)
            self.defer(message, recipient, reason, route.nexthop)
        elif self._starting is None:
            self._pump(queue)
        else:
            self._starting[queue] = None

    def _is_double_bounce(self, route: Route) -> bool:
        local, _, _ = route.recipient.rpartition("@")
        return (local or route.recipient).lower() == self._double_bounce

    def _unroutable(
        self, failure: Failure, message: ActiveMessage, recipient: Recipient
    ) -> None:
        if failure.check(MailError):
            reason = (UNROUTABLE[0], failure.getErrorMessage())
        else:
            self.bug(failure, f"resolver for {recipient.address}")
            reason = UNROUTABLE
        self.defer(message, recipient, reason, "")

    def bug(self, failure: Failure, what: str) -> None:
        self.log.failure("bug in {what}", failure, what=what)
        self.warn(f"{what}: {failure.getErrorMessage()}")

    def warn(self, text: str) -> None:
        """
        Log a warning of the queue manager.
        """
        self.parts.sink.emit(Warn("qmgr", text))

    def defer(
        self, message: ActiveMessage, recipient: Recipient, reason: Reason, nexthop: str
    ) -> None:
        """
        A recipient that nobody tries.
        """
        status, text = reason
        outcome = Outcome(recipient.n, Action.DELAYED, status, text)
        self._tell(message, recipient, nexthop, RETRY, sound(outcome))

    def _tell(
        self,
        message: ActiveMessage,
        recipient: Recipient,
        nexthop: str,
        program: str,
        outcome: Outcome,
    ) -> None:
        request = self.request(message, "retry", nexthop, (recipient,))
        self.settle(message, recipient, request, program, outcome)

    def request(
        self,
        message: ActiveMessage,
        transport: str,
        nexthop: str,
        recipients: tuple[Recipient, ...],
    ) -> DeliveryRequest:
        """
        @return: what a delivery agent is told.
        """
        activated = message.activated
        store, queue_id = self.parts.store, message.envelope.queue_id

        def open_content() -> IContent | Deferred[IContent]:
            return store.content(queue_id)

        return DeliveryRequest(
            transport,
            nexthop,
            message.envelope,
            recipients,
            message.size,
            open_content,
            max(activated - message.arrival, 0.0),
            self._steady() - activated,
        )

    def _pump(self, queue: Queue) -> None:
        """
        Start all deliveries of a transport that may start now.
        """
        name = queue.name
        if name in self._pumping:
            return  # whoever pumps it goes on until nothing is left
        self._pumping.add(name)
        try:
            while not self._stopped:
                job = queue.next(self.seconds())
                if queue.refused:
                    self._refuse(queue)
                if job is None:
                    break
                self._deliver(queue, job)
            if queue.refused:
                self._refuse(queue)
        finally:
            self._pumping.discard(name)
        wake = queue.wake()
        if wake is not None and not self._stopped:
            self._set_alarm(wake)

    def _deliver(self, queue: Queue, job: Job[ActiveMessage]) -> None:
        agent = self.parts.agents[queue.name]
        message = job.owner
        request = self.request(message, queue.name, job.lane.nexthop, job.recipients)
        hand = InHand(self, queue, job, request, agent.name)
        self.in_hand += 1
        try:
            ending = agent.deliver(request, hand.report)
        except Exception:
            hand.finish(Failure())
            return
        if ending is None:
            hand.finish(None)
        else:
            ending.addBoth(hand.finish).addErrback(self.bug, "delivery")

    def _refuse(self, queue: Queue) -> None:
        refused, queue.refused = queue.refused, []
        for message, recipient, reason in refused:
            message.tried |= reason[1].startswith(SUSPENDED)
            self.defer(message, recipient, reason, "")

    def over(self, queue: Queue, job: Job[ActiveMessage]) -> None:
        """
        A delivery is over, and all its recipients are settled.
        """
        self.in_hand -= 1
        queue.done(job, self.seconds())
        self._pump(queue)
        if self._stopped and not self.in_hand:
            self._quiet()

    def _set_alarm(self, wake: float) -> None:
        delay = max(wake - self.seconds(), 0.0)
        alarm = self._alarm
        if alarm is not None and alarm.active():
            if alarm.getTime() <= wake:
                return
            alarm.cancel()
        self._alarm = self.parts.clock.callLater(delay, self._wake)

    def _wake(self) -> None:
        for queue in self._queues.values():
            self._pump(queue)
