"""
One delivery that an agent has in hand.

Owns: what an agent may get wrong: outcomes that are missing, reported twice,
    unasked for or no outcome at all; and what the delivery says about the
    next hop.
Knows nothing of: whose turn is next, the store.

Sources: Postfix C{qmgr/qmgr_deliver.c}, qmgr_deliver_update().

Errors: none leaves here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.python.failure import Failure

from txmta.errors import (
    AgentUnavailable,
    MailError,
    MessageDamaged,
    StoreUnavailable,
)
from txmta.model import Action, DeliveryRequest, Outcome, Recipient, Route
from txmta.queue.active import ActiveMessage
from txmta.queue.lane import Job
from txmta.queue.outcome import RETRY, UNKNOWN_ERROR, Reason, hop_failure, sound
from txmta.queue.scheduler import TransportQueue

Queue = TransportQueue[ActiveMessage]

Settle = Callable[[ActiveMessage, Recipient, DeliveryRequest, str, Outcome], None]


class IDispatch(Protocol):
    """
    What a delivery in hand needs of the dispatcher.
    """

    @property
    def settle(self) -> Settle:
        """
        Takes an outcome.
        """

    def reroute(
        self, message: ActiveMessage, recipient: Recipient, route: Route
    ) -> None:
        """
        A recipient goes another way; it will be settled there.
        """

    def over(self, hand: InHand) -> None:
        """
        A delivery is over, and all its recipients are settled.
        """

    def seconds(self) -> float:
        """
        @return: monotonic time.
        """

    def warn(self, text: str) -> None:
        """
        Log a warning.
        """

    def bug(self, failure: Failure, what: str) -> None:
        """
        Log something that nobody expected.
        """


class InHand:
    """
    One delivery that an agent has in hand.

    @ivar queue: where it waited.
    """

    __slots__ = (
        "_agent",
        "_dispatcher",
        "_hop",
        "_left",
        "_reached",
        "_request",
        "_sound",
        "job",
        "queue",
    )

    def __init__(
        self,
        dispatcher: IDispatch,
        queue: Queue,
        job: Job[ActiveMessage],
        request: DeliveryRequest,
        agent: str,
    ) -> None:
        self._dispatcher = dispatcher
        self.queue = queue
        self.job = job
        self._request = request
        self._agent = agent
        self._left: dict[int, Recipient] | None = {r.n: r for r in job.recipients}
        self._hop: Reason | None = None
        self._reached = False
        self._sound: tuple[object, ...] = ()

    @property
    def queue_id(self) -> str:
        return self.job.owner.queue_id

    def pass_on(self, dispatcher: IDispatch) -> Iterable[int]:
        """
        @param dispatcher: hears of it from now on.
        @return: the numbers of recipients without outcome.
        """
        self._dispatcher = dispatcher
        return tuple(self._left or ())

    def report(self, outcome: Outcome) -> None:
        """
        What the agent calls with each outcome.
        """
        dispatcher = self._dispatcher
        try:
            # Recipients of one delivery mostly have the same said of them.
            said = (outcome.action, outcome.status, outcome.reason)
            known = said == self._sound
            if not known:
                mended = sound(outcome)
                known = isinstance(outcome.action, Action)
                if mended is outcome and known:
                    self._sound = said
                outcome = mended
        except (AttributeError, TypeError):  # none, or with fields that are none
            known = False
        if not known:
            self._complain(f"reports {outcome!r:.200}")
            return
        recipient = self._left.pop(outcome.n, None) if self._left else None
        if recipient is None:
            self._complain(f"reports recipient {outcome.n} twice or unasked")
            return
        if outcome.reroute is not None:
            self._reached = True
            if outcome.forward:
                self.job.owner.onward[outcome.n] = outcome.forward
            dispatcher.reroute(self.job.owner, recipient, outcome.reroute)
            return
        if outcome.action is Action.DELAYED and hop_failure(outcome):
            self._hop = (outcome.status, outcome.reason)
        else:
            self._reached = True
        message = self.job.owner
        message.tried = True
        dispatcher.settle(message, recipient, self._request, self._agent, outcome)

    def finish(self, failure: Failure | None) -> None:
        """
        The agent is done with the request, well or not.
        """
        dispatcher, queue, job = self._dispatcher, self.queue, self.job
        left, self._left = self._left, None
        if failure is not None or left:
            self._failed(failure, left or {})
        elif self._hop is not None and not self._reached:
            queue.failed(job, self._hop, dispatcher.seconds())
        else:
            queue.succeeded(job)
        dispatcher.over(self)

    def _failed(self, failure: Failure | None, left: dict[int, Recipient]) -> None:
        """
        The agent failed, or gave up some recipients without a word.
        """
        dispatcher, message = self._dispatcher, self.job.owner
        reason = UNKNOWN_ERROR
        if failure is not None and failure.check(MessageDamaged):
            message.damaged = failure.getErrorMessage()
            reason = ("4.3.0", "message damaged in the queue")
        elif failure is not None and failure.check(StoreUnavailable, AgentUnavailable):
            reason = ("4.3.0", failure.getErrorMessage())
        else:
            if failure is None:
                self._complain(f"forgets {len(left)} recipients")
            elif not failure.check(MailError):
                dispatcher.bug(failure, f"transport {self.queue.name}")
            else:
                self._complain(f"fails: {failure.getErrorMessage()}")
            self.queue.broken(reason, dispatcher.seconds())
        for recipient in left.values():
            outcome = Outcome(recipient.n, Action.DELAYED, *reason)
            dispatcher.settle(message, recipient, self._request, RETRY, outcome)

    def _complain(self, text: str) -> None:
        self._dispatcher.warn(
            f"transport {self.queue.name}: {text} ({self.job.owner.envelope.queue_id})"
        )
