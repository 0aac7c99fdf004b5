"""
End attempts: what became of each recipient is written down, once.

Owns: expiry, retry times, which results go into which transaction, and that
    nothing is lost when the store cannot write just now.
Knows nothing of: agents, whose turn it is, what a bounce looks like.

Results are collected until every recipient has one, and recorded together
with the bounce and the forwards that they cause. While some recipients of a
message take long, L{Recorder.tick} records those that are delivered, so that a
crash repeats little. Failures wait for the end, for they make one bounce; so
do deferrals, for they change nothing.

Sources: Postfix C{qmgr/qmgr_active.c}; C{global/deliver_completed.c}.

Errors: none leaves here. A store that cannot write is tried again; what is no
error of ours is logged as a bug, and the attempt recorded without what failed.
"""

# Over budget: one class, whose order of steps is the promise.

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txmta.events import Delivery, Expired, Removed, Warn
from txmta.model import (
    Action,
    Attempt,
    DeliveryRequest,
    Outcome,
    Recipient,
)
from txmta.queue.active import ActiveMessage
from txmta.queue.backoff import SteadyTime
from txmta.queue.forward import forwarded
from txmta.queue.limits import backoff
from txmta.queue.mapped import recorded
from txmta.queue.notifier import News, Notice
from txmta.queue.outcome import softened
from txmta.queue.parts import QueueParts
from txmta.queue.postmaster import Postmaster
from txmta.queue.telling import Telling

#: Called when a message leaves memory: removed, inserted others.
Finished = Callable[[ActiveMessage, bool], None]

#: Writes down an attempt, or part of it, with the notices that it causes.
Record = Callable[[Sequence[Notice], ActiveMessage], None]


class Recorder:
    """
    @ivar in_flight: attempts on their way to the store.
    """

    log = Logger()

    def __init__(
        self,
        parts: QueueParts,
        steady: SteadyTime,
        finished: Finished,
        quiet: Callable[[], None],
    ) -> None:
        """
        @param finished: told of each message whose attempt is recorded, and
            whether that put new messages into the queue.
        @param quiet: called when nothing is on its way any more.
        """
        self._parts = parts
        self._emit = parts.sink.emit
        self._steady = steady
        self._finished = finished
        self._quiet = quiet
        self._telling = Telling(parts, steady)
        self._postmaster = Postmaster(parts)
        self._backoff = backoff(parts.settings)
        self._slow: dict[ActiveMessage, None] = {}
        self._unwritten: list[tuple[ActiveMessage, Attempt, Sequence[Notice]]] = []
        self._soft_bounce = parts.settings.soft_bounce
        self.in_flight = 0

    def settle(
        self,
        message: ActiveMessage,
        recipient: Recipient,
        request: DeliveryRequest,
        program: str,
        outcome: Outcome,
    ) -> None:
        """
        Log an outcome, and end the attempt if it was the last.
        """
        if message.envelope.trace and message.envelope.is_probe:
            self._telling.answer(message, recipient, request, program, outcome)
            if not message.waiting:  # else, if we die, all is asked once more
                self._end(message)
            return
        word = ""
        if self._soft_bounce and outcome.action is Action.FAILED:
            outcome, word = softened(outcome), "SOFTBOUNCE"
        if message.onward:
            outcome = message.with_onward(outcome)
        if outcome.forward:
            outcome, new = forwarded(self._parts, request, outcome)
            message.inserts.extend(new)
        self._emit(Delivery(program, request, recipient, outcome, word))
        if recipient.notify or message.warned or message.envelope.trace:
            self._telling.hear(message, recipient, outcome)
        message.settle(recipient, outcome)
        if not message.waiting:
            self._end(message)
        elif message.results:
            self._slow[message] = None

    def routed(self, message: ActiveMessage) -> None:
        """
        No more recipients of a message are to be routed.
        """
        message.waiting -= 1
        if not message.waiting:
            self._end(message)

    def tick(self) -> None:
        """
        Call every few seconds: write down what is final of long attempts,
        and what could not be written before.
        """
        unwritten, self._unwritten = self._unwritten, []
        for message, attempt, notices in unwritten:
            self._write(message, attempt, notices)
        self.flush()

    def flush(self) -> None:
        """
        Write down now what is final of attempts that are not over.
        """
        slow, self._slow = self._slow, {}
        for message in slow:
            if not message.waiting or not message.results:
                continue
            if message.recording:
                self._slow[message] = None
            else:
                self._record_part(message)

    def _end(self, message: ActiveMessage) -> None:
        if message.recording:
            return  # goes on when the store has answered
        self._slow.pop(message, None)
        if message.damaged and message.deferred:
            self._damaged(message)
            return
        if message.deferred and self._expired(message):
            self._emit(Expired("qmgr", message.queue_id, message.envelope.sender))
            message.failed.extend(message.deferred)
            message.deferred = []
        news = self._telling.at_end(message)
        if news is None:
            self._record((), message)
        else:
            self._notify(message, news, self._record)

    def _notify(self, message: ActiveMessage, news: News, record: Record) -> None:
        """
        Write down an attempt, or part of it, with the notices that it causes.
        """
        notices = self._telling.notices(message, news)
        if isinstance(notices, Deferred):
            self.in_flight += 1
            about = (message, record)
            notices.addCallbacks(
                self._noticed, self._unnoticed, about, {}, about
            ).addErrback(self._bug).addBoth(self._landed)
        else:
            record(notices, message)

    def _expired(self, message: ActiveMessage) -> bool:
        age = self._steady.now() - message.arrival
        return message.expire or self._backoff.expired(
            age, message.envelope.sender, message.tried, self._steady.uptime()
        )

    def _noticed(
        self, notices: Sequence[Notice], message: ActiveMessage, record: Record
    ) -> None:
        self.in_flight -= 1
        record(notices, message)

    def _unnoticed(
        self, failure: Failure, message: ActiveMessage, record: Record
    ) -> None:
        """
        A bug of ours must neither lose the mail nor the news of it: the
        recipients are tried again.
        """
        self.in_flight -= 1
        self._bug(failure)
        message.deferred.extend(message.failed)
        message.failed = []
        record((), message)

    def _record(self, notices: Sequence[Notice], message: ActiveMessage) -> None:
        due = None
        if message.deferred:
            now = self._steady.now()
            due = now + self._backoff.delay(now - message.arrival)
        inserts = message.inserts
        if notices:
            inserts = [*inserts, *(notice.message for notice in notices)]
        attempt = Attempt(message.queue_id, message.take_results(), due, tuple(inserts))
        self._write(message, attempt, notices)

    def _record_part(self, message: ActiveMessage) -> None:
        """
        Write down what is final of an attempt that goes on.
        """
        message.recording = True
        results, message.results = tuple(message.results), []
        inserts, message.inserts = tuple(message.inserts), []
        news = self._telling.so_far(message)

        def record(notices: Sequence[Notice], message: ActiveMessage) -> None:
            new = (*inserts, *(notice.message for notice in notices))
            attempt = Attempt(message.queue_id, results, None, new)
            self._write(message, attempt, notices)

        if news is None:
            record((), message)
        else:
            self._notify(message, news, record)

    def _write(
        self, message: ActiveMessage, attempt: Attempt, notices: Sequence[Notice]
    ) -> None:
        self.in_flight += 1
        about = (message, attempt, notices)
        recorded(self._parts, attempt).addCallbacks(
            self._written, self._not_written, about, {}, about
        ).addErrback(self._bug).addBoth(self._landed)

    def _written(
        self,
        removed: bool,
        message: ActiveMessage,
        attempt: Attempt,
        notices: Sequence[Notice],
    ) -> None:
        self.in_flight -= 1
        if notices:
            self._telling.log(message.queue_id, notices)
        if message.recording:
            message.recording = False
            if not message.waiting:
                self._end(message)
            return
        if removed:
            self._emit(Removed("qmgr", message.queue_id))
            self._steady.forget(message.queue_id)
        self._finished(message, bool(attempt.inserts))

    def _not_written(
        self,
        failure: Failure,
        message: ActiveMessage,
        attempt: Attempt,
        notices: Sequence[Notice],
    ) -> None:
        """
        The store has tried hard already. What happened must not be forgotten
        while we live: the message stays active, and is not delivered again.
        """
        self.in_flight -= 1
        trouble = f"cannot record deliveries, will try again: {failure.value}"
        self._emit(Warn("qmgr", f"{message.queue_id}: {trouble}"))
        self._unwritten.append((message, attempt, notices))

    def _damaged(self, message: ActiveMessage) -> None:
        """
        An agent cannot read it: if so, no delivery of it can go well.
        """
        if message.results:
            self._record_part(message)
            return  # comes here again
        self.in_flight += 1
        self._postmaster.put_away(message.envelope, message.damaged).addCallback(
            self._put_away, message
        ).addErrback(self._bug).addBoth(self._landed)

    def _put_away(self, moved: bool, message: ActiveMessage) -> None:
        self.in_flight -= 1
        if moved:
            self._steady.forget(message.queue_id)
            self._finished(message, False)
        else:
            message.damaged = ""  # it is tried again
            self._end(message)

    def _landed(self, _: object) -> None:
        if not self.in_flight:
            self._quiet()

    def _bug(self, failure: Failure) -> None:
        self.log.failure("bug while recording", failure)
        self._emit(Warn("qmgr", f"recording: {failure.getErrorMessage()}"))
