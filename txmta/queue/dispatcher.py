"""
Bring recipients of active messages to delivery agents.

Owns: the queue of each transport, requests to agents, when deliveries start.
Knows nothing of: where recipients go, retry times, bounces, the store's rows:
    a settled recipient is passed on.

Sources: Postfix C{qmgr/qmgr_deliver.c}; C{qmgr/qmgr_error.c}.

Errors: none leaves here. What an agent raises becomes a deferral; what is no
L{MailError<txmta.errors.MailError>} is logged as a bug.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txmta.events import Warn
from txmta.model import Action, DeliveryRequest, Outcome, Recipient, Route
from txmta.queue.active import ActiveMessage
from txmta.queue.in_hand import InHand, Queue, Settle
from txmta.queue.lane import Job
from txmta.queue.limits import DEFAULT_PROCESS_LIMIT, limits
from txmta.queue.outcome import RETRY, Reason, sound
from txmta.queue.parts import QueueParts
from txmta.queue.scheduler import SUSPENDED


class Dispatcher:
    """
    @ivar hands: deliveries under way.
    @ivar queues: of each transport, by name.
    @ivar reroute: takes a recipient that an agent sends another way; set by
        whoever places recipients in queues.
    @ivar seconds: monotonic time.
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
        self._parts = parts
        self.hands: set[InHand] = set()
        self.settle = settle
        self.reroute: Callable[[ActiveMessage, Recipient, Route], None]
        self.seconds = parts.clock.seconds
        self._content = parts.store.content
        self._steady = steady
        self._quiet = quiet
        self._stopped = False
        self._pumping: set[Queue] = set()
        self._alarm: IDelayedCall | None = None
        processes = parts.processes
        self.queues = {
            name: Queue(
                name,
                limits(
                    parts.settings, name, processes.get(name, DEFAULT_PROCESS_LIMIT)
                ),
            )
            for name in parts.agents
        }
        if parts.elsewhere is not None:
            for name, queue in self.queues.items():
                queue.elsewhere = partial(parts.elsewhere.busy, name)
            parts.elsewhere.when_less(self._less_elsewhere)

    def _less_elsewhere(self, transport: str) -> None:
        if transport in self.queues:
            self.pump(self.queues[transport])

    def revive(self) -> None:
        """
        Forget which destinations are dead and which transports are broken.
        """
        for queue in self.queues.values():
            queue.revive(self.seconds())
            self.pump(queue)

    def stop(self) -> None:
        """
        Start no more deliveries.
        """
        self._stopped = True
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()

    def give_up(self) -> set[InHand]:
        """
        Start no more deliveries.

        @return: those in hand, of which somebody else hears from now on.
        """
        self.stop()
        hands, self.hands = self.hands, set()
        return hands

    def bug(self, failure: Failure, what: str) -> None:
        """
        Log something that nobody expected.
        """
        self.log.failure("bug in {what}", failure, what=what)
        self.warn(f"{what}: {failure.getErrorMessage()}")

    def warn(self, text: str) -> None:
        """
        Log a warning of the queue manager.
        """
        self._parts.sink.emit(Warn("qmgr", text))

    def defer(
        self, message: ActiveMessage, recipient: Recipient, reason: Reason, nexthop: str
    ) -> None:
        """
        A recipient that nobody tries.
        """
        status, text = reason
        outcome = sound(Outcome(recipient.n, Action.DELAYED, status, text))
        self.tell(message, recipient, nexthop, RETRY, outcome)

    def tell(
        self,
        message: ActiveMessage,
        recipient: Recipient,
        nexthop: str,
        program: str,
        outcome: Outcome,
    ) -> None:
        """
        An outcome that no agent of ours reported.
        """
        request = self._request(message, "retry", nexthop, (recipient,))
        spent = outcome.setup + outcome.transmission
        if spent:
            # By a delivery that began for an earlier queue manager: what it
            # took must not count twice.
            age = request.before_queue_manager + request.in_queue_manager
            before = max(age - spent, 0.0)
            request = replace(
                request, before_queue_manager=before, in_queue_manager=0.0
            )
        self.settle(message, recipient, request, program, outcome)

    def _request(
        self,
        message: ActiveMessage,
        transport: str,
        nexthop: str,
        recipients: tuple[Recipient, ...],
        *joins: Callable[[], None],
    ) -> DeliveryRequest:
        envelope, activated = message.envelope, message.activated
        return DeliveryRequest(
            transport,
            nexthop,
            envelope,
            recipients,
            message.size,
            partial(self._content, envelope.queue_id),
            max(activated - message.arrival, 0.0),
            self._steady() - activated,
            *joins,
        )

    def _joined(self, queue: Queue, job: Job[ActiveMessage]) -> None:
        queue.joined(job, self.seconds())
        self.pump(queue)

    def pump(self, queue: Queue) -> None:
        """
        Start all deliveries of a transport that may start now.
        """
        if queue in self._pumping:
            return  # whoever pumps it goes on until nothing is left
        self._pumping.add(queue)
        try:
            while (queue.turns or queue.later) and not self._stopped:
                job = queue.next(self.seconds())
                if queue.refused:
                    self._refuse(queue)
                if job is None:
                    break
                self._deliver(queue, job)
            if queue.refused:
                self._refuse(queue)
        finally:
            self._pumping.discard(queue)
        if (queue.turns or queue.later) and not self._stopped:
            wake = queue.wake(self.seconds())
            if wake is not None:
                self._set_alarm(wake)

    def _deliver(self, queue: Queue, job: Job[ActiveMessage]) -> None:
        agent = self._parts.agents[queue.name]
        request = self._request(
            job.owner,
            queue.name,
            job.lane.nexthop,
            job.recipients,
            partial(self._joined, queue, job),
        )
        hand = InHand(self, queue, job, request, agent.name)
        self.hands.add(hand)
        try:
            ending = agent.deliver(request, hand.report)
        except Exception:
            hand.finish(Failure())
            return
        if ending is None:
            hand.finish(None)
        elif not isinstance(ending, Deferred):
            hand.finish(Failure(TypeError(f"deliver() gives {ending!r:.100}")))
        else:
            ending.addBoth(hand.finish).addErrback(self.bug, "delivery")

    def _refuse(self, queue: Queue) -> None:
        """
        Settle what became useless to try while it waited.
        """
        refused, queue.refused = queue.refused, []
        for message, recipient, reason in refused:
            message.tried |= reason[1].startswith(SUSPENDED)
            self.defer(message, recipient, reason, "")

    def over(self, hand: InHand) -> None:
        """
        A delivery is over, and all its recipients are settled.
        """
        self.hands.discard(hand)
        queue = hand.queue
        queue.done(hand.job, self.seconds())
        self.pump(queue)
        if self._stopped and not self.hands:
            self._quiet()

    def _set_alarm(self, wake: float) -> None:
        alarm = self._alarm
        if alarm is not None and alarm.active():
            if alarm.getTime() <= wake:
                return
            alarm.cancel()
        delay = max(wake - self.seconds(), 0.0)
        self._alarm = self._parts.clock.callLater(delay, self._wake)

    def _wake(self) -> None:
        for queue in self.queues.values():
            self.pump(queue)
