"""
A message in the active queue.

Owns: what is known of one attempt to deliver one message.
Knows nothing of: agents, the store, whose turn it is.

Postfix: C{QMGR_MESSAGE} of C{qmgr/qmgr.h}.

Times are in seconds; I{steady} is L{txmta.queue.backoff.SteadyTime}.

Errors: none.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from txmta.model import (
    Action,
    Envelope,
    Forward,
    NewMessage,
    Outcome,
    QueuedMessage,
    Recipient,
    RecipientState,
    Result,
)


# Recipients of all messages have the same numbers.
@lru_cache(maxsize=1024)
def _done(n: int) -> Result:
    return Result(n, RecipientState.DONE)


class ActiveMessage:
    """
    @ivar queue_id: as in the envelope.
    @ivar size: octets of content.
    @ivar expire: this attempt is the last, whatever the age.
    @ivar flushed: somebody asked for this attempt.
    @ivar arrival: steady time.
    @ivar activated: steady time.
    @ivar waiting: recipients without outcome, and one while it is routed.
    @ivar tried: somebody answered for it, or for its destination.
    @ivar damaged: why its content cannot be read, or C{""}.
    @ivar warned: the sender has been told of the delay, or is being told.
    @ivar results: of recipients that are finished, not yet recorded.
    @ivar succeeded: those of C{results} whose delivery the sender hears of.
    @ivar traced: what became of recipients, if the sender is told of all.
    @ivar inserts: forwards that go with C{results}.
    @ivar reroutes: how often a recipient was sent another way, by number.
    @ivar onward: messages that go with the end of a recipient which was sent
        another way, by number.
    @ivar deferred: recipients to be tried again, with the outcome.
    @ivar failed: recipients that are given up, with the outcome.
    @ivar recording: results are on their way to the store.
    """

    __slots__ = (
        "activated",
        "arrival",
        "damaged",
        "deferred",
        "envelope",
        "expire",
        "failed",
        "flushed",
        "inserts",
        "onward",
        "queue_id",
        "recording",
        "reroutes",
        "results",
        "size",
        "succeeded",
        "traced",
        "tried",
        "waiting",
        "warned",
    )

    def __init__(
        self, queued: QueuedMessage, arrival: float, activated: float, flushed: bool
    ) -> None:
        self.envelope: Envelope = queued.envelope
        self.queue_id = queued.envelope.queue_id
        self.size = queued.size
        self.expire = queued.expire
        self.flushed = flushed
        self.arrival = arrival
        self.activated = activated
        self.waiting = len(queued.envelope.recipients) + 1
        self.tried = False
        self.damaged = ""
        self.warned = queued.warned
        self.succeeded: list[tuple[Recipient, Outcome]] = []
        self.traced: list[tuple[Recipient, Outcome]] = []
        self.results: list[Result] = []
        self.inserts: list[NewMessage] = []
        self.deferred: list[tuple[Recipient, Outcome]] = []
        self.failed: list[tuple[Recipient, Outcome]] = []
        self.recording = False
        self.reroutes: dict[int, int] = {}
        self.onward: dict[int, tuple[Forward, ...]] = {}

    def with_onward(self, outcome: Outcome) -> Outcome:
        """
        @return: the outcome, with the messages that the agent who sent the
            recipient another way wanted to go with its end.
        """
        onward = self.onward.pop(outcome.n, None)
        if onward is None:
            return outcome
        return replace(outcome, forward=onward + outcome.forward)

    def settle(self, recipient: Recipient, outcome: Outcome) -> None:
        """
        Note the end of the attempt for one recipient.
        """
        action = outcome.action
        if action is Action.DELAYED:
            self.deferred.append((recipient, outcome))
        elif action is Action.FAILED:
            self.failed.append((recipient, outcome))
        else:
            self.results.append(_done(recipient.n))
        self.waiting -= 1

    def take_results(self) -> tuple[Result, ...]:
        """
        @return: all results, once every recipient has its outcome.
        """
        results = self.results
        for recipient, outcome in self.deferred:
            reason = f"{outcome.status} {outcome.reason}"
            results.append(
                Result(recipient.n, RecipientState.DEFERRED, reason, self.warned)
            )
        for recipient, _ in self.failed:
            results.append(Result(recipient.n, RecipientState.BOUNCED))
        return tuple(results)
