"""
What of an attempt is worth a notice.

Owns: which deliveries the sender hears of, and when it is time to tell him of
    a delay.
Knows nothing of: who gets a notice and what it says, transactions.

Sources: Postfix C{qmgr/qmgr_active.c}, C{global/sent.c}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred

from txmta.events import Delivery, MessageId, Notified
from txmta.model import Action, DeliveryRequest, Outcome, Recipient
from txmta.queue.active import ActiveMessage
from txmta.queue.backoff import SteadyTime
from txmta.queue.notifier import News, Notice, Notifier, reportable
from txmta.queue.outcome import answers
from txmta.queue.parts import QueueParts
from txmta.queue.traces import Told


class Telling:
    """
    Collects the news of attempts.
    """

    def __init__(self, parts: QueueParts, steady: SteadyTime) -> None:
        settings = parts.settings
        self._notifier = Notifier(parts)
        self._steady = steady
        self._emit = parts.sink.emit
        self._warning_time = settings.delay_warning_time
        self._confirm_cleared = settings.confirm_delay_cleared

    def hear(
        self, message: ActiveMessage, recipient: Recipient, outcome: Outcome
    ) -> None:
        """
        Keep an outcome if the sender is to be told of it as a success, or
        whatever it is.
        """
        if message.envelope.trace:
            message.traced.append((recipient, outcome))
        cleared = message.warned and self._confirm_cleared
        if (recipient.notify or cleared) and reportable(recipient, outcome, cleared):
            message.succeeded.append((recipient, outcome))

    def answer(
        self,
        message: ActiveMessage,
        recipient: Recipient,
        request: DeliveryRequest,
        program: str,
        outcome: Outcome,
    ) -> None:
        """
        Log and keep what was found of a recipient of a probe, and settle it:
        whatever it is, it is final.
        """
        for each, answer in answers(recipient, outcome):
            self._emit(Delivery(program, request, each, answer))
            message.traced.append((each, answer))
        message.onward.pop(recipient.n, None)
        message.settle(recipient, replace(outcome, action=Action.DELIVERABLE))

    def so_far(self, message: ActiveMessage) -> News | None:
        """
        @return: the news of an attempt that goes on, if it is written down now;
            they are not told again.
        """
        succeeded, message.succeeded = message.succeeded, []
        traced, message.traced = message.traced, []
        if not succeeded and not traced:
            return None
        return News(succeeded=succeeded, traced=traced)

    def at_end(self, message: ActiveMessage) -> News | None:
        """
        @return: the news of an attempt that is over. A message whose sender
            is to be told of a delay counts as C{warned} from here.
        """
        delayed: Told = ()
        if message.deferred and self._warning_due(message):
            delayed, message.warned = message.deferred, True
        told = message.failed or message.succeeded or message.traced
        if not told and not delayed:
            return None
        return News(message.failed, delayed, message.succeeded, message.traced)

    def _warning_due(self, message: ActiveMessage) -> bool:
        if not self._warning_time or message.warned or not message.envelope.sender:
            return False
        # One second early, as in Postfix: the next look may be much later.
        age = self._steady.now() - message.arrival
        return age >= self._warning_time - 1

    def notices(
        self, message: ActiveMessage, news: News
    ) -> Sequence[Notice] | Deferred[Sequence[Notice]]:
        """
        @return: to be inserted with the attempt.
        """
        return self._notifier.notices(message.envelope, message.size, news)

    def log(self, queue_id: str, notices: Sequence[Notice]) -> None:
        """
        Notices about a message are in the queue.
        """
        for notice in notices:
            notice_id = notice.message.envelope.queue_id
            self._emit(MessageId("cleanup", notice_id, notice.message_id))
            self._emit(Notified("bounce", queue_id, notice.kind, notice_id))
