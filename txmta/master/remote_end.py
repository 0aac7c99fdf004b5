"""
One link to a process that delivers, and the deliveries that it has in hand.

Owns: what such a process may say.
Knows nothing of: other processes, what becomes of deliveries when it ends
    (L{txmta.master.remote_agent}).

Errors: L{BadDelivery<txmta.master.wire_fields.BadDelivery>} ends the link.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txmta.master.elsewhere import Story
from txmta.master.frames import Record
from txmta.master.link import Handlers, Link
from txmta.master.records import Number, Schema
from txmta.master.wire import encode_request
from txmta.master.wire_fields import (
    MAX_KEY,
    BadDelivery,
    CheckedByReader,
    check_fields,
    key_of,
)
from txmta.master.wire_reports import Awaited, decode_failed
from txmta.master.wire_work import OWN_KEYS
from txmta.model import Action, DeliveryRequest, Outcome

if TYPE_CHECKING:
    from txmta.master.remote_agent import RemoteAgents

_PLAIN = Schema({})
_KEYED = Schema({"key": Number(0, MAX_KEY - 1)})
_CHECKED = CheckedByReader()

#: Gives a descriptor of a message's content.
Carry = Callable[[DeliveryRequest], "int | Deferred[int]"]

Report = Callable[[Outcome], None]


class Delivery:
    """
    One delivery, until its agent is done.

    @ivar tries: how many processes have had it.
    """

    __slots__ = ("awaited", "ended", "joined", "onward", "report", "request", "tries")

    def __init__(self, request: DeliveryRequest, report: Report, onward: bool) -> None:
        self.request = request
        self.report = report
        self.onward = onward
        self.awaited = Awaited([r.n for r in request.recipients], onward)
        self.ended: Deferred[None] = Deferred()
        self.joined = False
        self.tries = 0

    def again(self) -> None:
        """
        Leave out what has an outcome.
        """
        left = self.awaited.left
        recipients = tuple(r for r in self.request.recipients if r.n in left)
        self.request = replace(self.request, recipients=recipients)
        self.awaited = Awaited(left, self.onward)


class RemoteEnd:
    """
    A link to one process.

    @ivar hands: deliveries in hand, by key.
    """

    def __init__(self, agents: RemoteAgents, peer: str, last: bool) -> None:
        self._agents = agents
        self._last = last
        self.hands: dict[int, Delivery] = {}
        self.link = Link(
            peer, self._handlers(), agents.clock, lost=self._lost, warn=agents.warn
        )
        self._story = Story(agents.elsewhere, agents, agents.onward.get, self._ask)

    def _ask(self) -> None:
        self.link.send({"t": "hello"})

    def _handlers(self) -> Handlers:
        return {
            "outcome": (_CHECKED, self._outcome),
            "done": (_CHECKED, self._done),
            "failed": (_CHECKED, self._failed),
            "forward": (_CHECKED, self._forward),
            "joins": (_KEYED, self._joins),
            "working": (_CHECKED, self._working),
            "worked": (_PLAIN, self._worked),
            "leaving": (_PLAIN, self._leaving),
        }

    def deliver(self, delivery: Delivery) -> None:
        """
        Let the process make a delivery.
        """
        key = next(self._agents.keys)
        try:
            records = encode_request(key, delivery.request)
        except BadDelivery as e:
            self._refuse(delivery, f"cannot be given to a delivery agent: {e}")
            return
        delivery.tries += 1
        self.hands[key] = delivery
        if self._agents.carry is None:
            for record in records:
                self.link.send(record)
        else:
            self._carry(self._agents.carry, key, records)

    def _carry(self, carry: Carry, key: int, records: list[Record]) -> None:
        """
        The content goes with the request.
        """
        try:
            descriptor = carry(self.hands[key].request)
        except Exception:
            self._no_content(Failure(), key)
            return
        if isinstance(descriptor, Deferred):
            descriptor.addCallbacks(
                self._send, self._no_content, (key, records), {}, (key,)
            )
        else:
            self._send(descriptor, key, records)

    def _send(self, descriptor: int, key: int, records: list[Record]) -> None:
        if key not in self.hands:
            os.close(descriptor)  # the process has ended meanwhile
            return
        *parts, last = records
        for record in parts:
            self.link.send(record)
        self.link.send(last, descriptor)

    def _no_content(self, failure: Failure, key: int) -> None:
        delivery = self.hands.pop(key, None)
        if delivery is not None:
            delivery.ended.errback(failure)

    def _refuse(self, delivery: Delivery, reason: str) -> None:
        """
        Other messages can be delivered: the transport is not to blame.
        """
        for recipient in delivery.request.recipients:
            delivery.report(Outcome(recipient.n, Action.DELAYED, "4.3.0", reason))
        delivery.ended.callback(None)

    def _outcome(self, record: Record) -> None:
        key = key_of(record)
        if key >= OWN_KEYS:
            self._story.outcome(key, record)
            return
        delivery = self._hand(key)
        delivery.report(delivery.awaited.outcome(record))

    def _forward(self, record: Record) -> None:
        key = key_of(record)
        if key >= OWN_KEYS:
            self._story.awaited(key).forward(record)
        else:
            self._hand(key).awaited.forward(record)

    def _joins(self, record: Record) -> None:
        key = key_of(record)
        if key >= OWN_KEYS:
            return  # asked for by a queue manager that is gone
        delivery = self._hand(key)
        if not delivery.joined:
            delivery.joined = True
            delivery.request.joins()

    def _done(self, record: Record) -> None:
        check_fields(record, 2)
        key = key_of(record)
        if key >= OWN_KEYS:
            self._story.over(key)
            return
        delivery = self._hand(key)
        del self.hands[key]
        delivery.ended.callback(None)

    def _failed(self, record: Record) -> None:
        key = key_of(record)
        if key >= OWN_KEYS:
            self._story.over(key)
            return
        delivery = self._hand(key)
        error = decode_failed(record, delivery.request.envelope.queue_id)
        del self.hands[key]
        delivery.ended.errback(error)

    def _hand(self, key: int) -> Delivery:
        delivery = self.hands.get(key)
        if delivery is None:
            raise BadDelivery("no such delivery")
        return delivery

    def _working(self, record: Record) -> None:
        self._story.working(record)

    def _worked(self, record: Record) -> None:
        # First, for mail may be waiting for the last one to answer.
        if not self._last and not self._story.complete:
            self._agents.open(self)
        self._story.worked()

    def _leaving(self, record: Record) -> None:
        """
        It takes no more; the answer tells it that no more is on the way, and
        that all it sent has come.
        """
        self._last = True
        self._agents.close(self)
        self.link.send({"t": "left"})

    def _lost(self, reason: str) -> None:
        hands, self.hands = self.hands, {}
        self._agents.close(self)
        self._story.lost()
        self._agents.lost(self, list(hands.values()))
