"""
Give a message back to its sender that never came into the queue.

Owns: the notice for what pickup has and cleanup refuses.
Knows nothing of: why it is refused, the words of notices.

Sources: Postfix C{cleanup/cleanup_bounce.c}: who hands in a message is gone when
it is refused.

Errors: those of the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.events import Delivery, MessageId, Notified
from txmta.interfaces import IContent, IQueueEntrance, IQueueStore
from txmta.model import Action, DeliveryRequest, Envelope, Outcome, Reply
from txmta.queue.handed_in import HandedIn
from txmta.queue.mapped import commit
from txmta.queue.notifier import News, Notice, Notifier
from txmta.queue.parts import QueueParts


@implementer(IContent)
@dataclass(frozen=True)
class _Start:
    """
    The start of a message, as much as a notice may hold.
    """

    octets: bytes

    @property
    def size(self) -> int:
        return len(self.octets)

    def read(self, offset: int, length: int) -> bytes:
        return self.octets[offset : offset + length]

    def close(self) -> None:
        """
        Nothing is held.
        """


class _Reading:
    """
    As much of a store as notices are made with.
    """

    def __init__(self, entrance: IQueueEntrance, start: bytes) -> None:
        self.new_id = entrance.new_id
        self._start = start

    def content(self, _queue_id: str) -> _Start:
        return _Start(self._start)


class Returned:
    """
    Makes and commits notices.
    """

    def __init__(self, parts: QueueParts, entrance: IQueueEntrance) -> None:
        self._parts = parts
        self._entrance = entrance

    def __call__(
        self, envelope: Envelope, reply: Reply, file: HandedIn
    ) -> Deferred[None]:
        """
        @return: fires when the notice is on disk; fails if it cannot be.
        """
        return Deferred.fromCoroutine(self._return(envelope, reply, file))

    async def _return(self, envelope: Envelope, reply: Reply, file: HandedIn) -> None:
        limit = self._parts.settings.bounce_size_limit
        start = b"".join(file.blocks(limit))[:limit]
        store = cast(IQueueStore, _Reading(self._entrance, start))
        notifier = Notifier(replace(self._parts, store=store))
        failed = tuple(
            zip(
                envelope.recipients,
                self._outcomes(envelope, reply, file.size),
                strict=True,
            )
        )
        made = notifier.notices(envelope, file.size, News(failed))
        for notice in await made if isinstance(made, Deferred) else made:
            await self._commit(envelope, notice)

    def _outcomes(
        self, envelope: Envelope, reply: Reply, size: int
    ) -> Iterator[Outcome]:
        request = DeliveryRequest(
            "cleanup", "", envelope, envelope.recipients, size, _nothing
        )
        for recipient in envelope.recipients:
            outcome = Outcome(recipient.n, Action.FAILED, reply.status, reply.text)
            self._parts.sink.emit(Delivery("cleanup", request, recipient, outcome))
            yield outcome

    async def _commit(self, envelope: Envelope, notice: Notice) -> None:
        new, emit = notice.message.envelope, self._parts.sink.emit
        emit(MessageId("cleanup", new.queue_id, notice.message_id))
        await commit(self._parts, self._entrance, new, notice.message.content)
        emit(Notified("bounce", envelope.queue_id, notice.kind, new.queue_id))


def _nothing() -> IContent:
    raise AssertionError("nobody delivers this")
