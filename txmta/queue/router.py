"""
Find out where each recipient of a message goes.

Owns: routing a message as a whole, so that recipients of one host become one
    delivery; what is not tried, and why; how often an agent may send a
    recipient another way.
Knows nothing of: agents, whose turn it is, retry times.

Sources: Postfix C{qmgr/qmgr_message.c}, qmgr_message_resolve();
C{qmgr/qmgr_error.c}.

Errors: none leaves here. What a resolver raises becomes a deferral; what is no
L{MailError<txmta.errors.MailError>} is logged as a bug.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txmta.address import split
from txmta.errors import MailError
from txmta.model import Action, AddressClass, Notify, Outcome, Recipient, Route
from txmta.queue.active import ActiveMessage
from txmta.queue.dispatcher import Dispatcher
from txmta.queue.in_hand import Queue
from txmta.queue.outcome import (
    DEFERRED_TRANSPORT,
    DISCARDED,
    NO_TRANSPORT,
    TRANSPORT_LOOP,
    UNAVAILABLE,
    UNROUTABLE,
    Reason,
    sound,
)
from txmta.queue.parts import QueueParts
from txmta.queue.scheduler import SUSPENDED

_EXPANDED = int(Notify.EXPANDED)

#: How often agents may send a recipient another way in one attempt: a mailbox
#: transport, then a fallback, are two.
MAX_REROUTES = 5


class Router:
    """
    Routes messages to the queues of the dispatcher.
    """

    def __init__(self, parts: QueueParts, dispatcher: Dispatcher) -> None:
        settings = parts.settings
        self._dispatcher = dispatcher
        self._resolve = parts.resolver.resolve
        self._elsewhere = parts.elsewhere
        self._programs = parts.agents
        self._deferred_transports = frozenset(settings.defer_transports)
        self._double_bounce = settings.double_bounce_sender.lower()
        dispatcher.reroute = self.reroute

    def start(self, message: ActiveMessage) -> None:
        """
        Route all recipients of a message; each will be settled. Deliveries
        begin when all are routed.
        """
        routing = Routing(self, message)
        sender = message.envelope.sender
        resolve: Callable[[str, str], Route | Deferred[Route]] = self._resolve
        if message.envelope.filter and not message.envelope.is_probe:
            resolve = through(message.envelope.filter)
        for recipient in message.envelope.recipients:
            if recipient.notify >= _EXPANDED:
                self._tell_expanded(message, recipient)
                continue
            try:
                route = resolve(recipient.address, sender)
            except Exception:
                routing.fail(Failure(), recipient)
                continue
            # isinstance() is slow to deny.
            if type(route) is not Route and isinstance(route, Deferred):
                routing.wait(route, recipient)
            elif (queue := self.place(message, recipient, route)) is not None:
                routing.queues[queue] = None
        routing.done()

    def _tell_expanded(self, message: ActiveMessage, recipient: Recipient) -> None:
        """
        Cleanup has put others in its place, and the sender wants to hear of it.
        """
        outcome = Outcome(recipient.n, Action.EXPANDED, "2.0.0", "alias expanded")
        self._dispatcher.tell(message, recipient, "", "cleanup", outcome)

    def place(
        self, message: ActiveMessage, recipient: Recipient, route: Route
    ) -> Queue | None:
        """
        @return: the queue where the recipient waits; L{None} if it is settled.
        """
        dispatcher = self._dispatcher
        if route.recipient != recipient.address:
            recipient = Recipient(
                recipient.n,
                route.recipient,
                recipient.original,
                recipient.orcpt,
                recipient.notify,
            )
        reason: Reason | None
        if route.address_class is AddressClass.LOCAL and self._is_double_bounce(route):
            outcome = Outcome(recipient.n, Action.DELIVERED, "2.0.0", DISCARDED)
            dispatcher.tell(message, recipient, route.nexthop, "qmgr", outcome)
            return None
        queue = dispatcher.queues.get(route.transport)
        if self._elsewhere is not None and self._elsewhere.claim(
            message.queue_id,
            recipient.n,
            route.transport,
            partial(self._ended_elsewhere, message, recipient, route),
        ):
            return None
        if queue is None:
            reason = UNAVAILABLE
        elif route.transport in self._deferred_transports and not message.flushed:
            reason = DEFERRED_TRANSPORT
        else:
            now = dispatcher.seconds()
            reason = queue.add(route.nexthop, message, recipient, now)
            if reason is None:
                return queue
            message.tried |= reason[1].startswith(SUSPENDED)
        dispatcher.defer(message, recipient, reason, route.nexthop)
        return None

    def reroute(
        self, message: ActiveMessage, recipient: Recipient, route: Route
    ) -> None:
        """
        An agent sends a recipient another way (mailbox_transport). Nothing is
        written down: after a crash the agent is asked again.
        """
        dispatcher = self._dispatcher
        count = message.reroutes[recipient.n] = message.reroutes.get(recipient.n, 0) + 1
        if count > MAX_REROUTES:
            reason = TRANSPORT_LOOP
        elif route.transport not in dispatcher.queues:
            reason = NO_TRANSPORT
        else:
            queue = self.place(message, recipient, route)
            if queue is not None:
                dispatcher.pump(queue)
            return
        dispatcher.warn(
            f"{message.queue_id}: <{recipient.address}> cannot go to transport "
            f"{route.transport}: {reason[1]}"
        )
        dispatcher.defer(message, recipient, reason, route.nexthop)

    def _ended_elsewhere(
        self,
        message: ActiveMessage,
        recipient: Recipient,
        route: Route,
        outcome: Outcome | None,
    ) -> None:
        """
        An agent that had a recipient in hand for an earlier queue manager is
        done with it.
        """
        dispatcher = self._dispatcher
        if outcome is None:
            queue = self.place(message, recipient, route)
            if queue is not None:
                dispatcher.pump(queue)
            return
        outcome = sound(outcome)
        if outcome.reroute is not None:
            if outcome.forward:
                message.onward[outcome.n] = outcome.forward
            self.reroute(message, recipient, outcome.reroute)
            return
        message.tried = True
        program = self._programs[route.transport].name
        dispatcher.tell(message, recipient, route.nexthop, program, outcome)

    def _is_double_bounce(self, route: Route) -> bool:
        local, _, _ = route.recipient.rpartition("@")
        return (local or route.recipient).lower() == self._double_bounce

    def refuse(
        self, failure: Failure, message: ActiveMessage, recipient: Recipient
    ) -> None:
        """
        Nobody knows where a recipient goes.
        """
        if failure.check(MailError):
            reason = (UNROUTABLE[0], failure.getErrorMessage())
        else:
            self._dispatcher.bug(failure, f"resolver for {recipient.address}")
            reason = UNROUTABLE
        self._dispatcher.defer(message, recipient, reason, "")

    def begin(self, queues: dict[Queue, None]) -> None:
        """
        All recipients of a message are routed.
        """
        for queue in queues:
            self._dispatcher.pump(queue)

    def bug(self, failure: Failure) -> None:
        """
        Log something that nobody expected.
        """
        self._dispatcher.bug(failure, "routing")


def through(text: str) -> Callable[[str, str], Route | Deferred[Route]]:
    """
    @param text: C{transport:destination}; without destination it is the domain.
    @return: sends all there, whatever the address is.
    """
    transport, _, nexthop = text.partition(":")

    def route(address: str, sender: str) -> Route:
        to = nexthop or split(address)[1]
        return Route(AddressClass.DEFAULT, transport, to, address)

    return route


class Routing:
    """
    The routing of one message.

    @ivar queues: where its recipients wait.
    """

    __slots__ = ("_left", "_message", "_router", "queues")

    def __init__(self, router: Router, message: ActiveMessage) -> None:
        self._router = router
        self._message = message
        self.queues: dict[Queue, None] = {}
        self._left = 1

    def take(self, route: Route, recipient: Recipient) -> None:
        """
        A recipient's route is known.
        """
        queue = self._router.place(self._message, recipient, route)
        if queue is not None:
            self.queues[queue] = None

    def fail(self, failure: Failure, recipient: Recipient) -> None:
        """
        A recipient's route cannot be known.
        """
        self._router.refuse(failure, self._message, recipient)

    def wait(self, route: Deferred[Route], recipient: Recipient) -> None:
        """
        A recipient's route will be known later.
        """
        self._left += 1
        route.addCallbacks(
            self.take,
            self.fail,
            callbackArgs=(recipient,),
            errbackArgs=(recipient,),
        ).addErrback(self._router.bug).addBoth(self.done)

    def done(self, _: object = None) -> None:
        """
        One more is routed.
        """
        self._left -= 1
        if not self._left:
            self._router.begin(self.queues)
