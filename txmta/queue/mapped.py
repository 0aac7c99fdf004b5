"""
Mail made here goes through the tables that map addresses, as other mail does.

Owns: that it is mapped before it is stored, and not stored if that cannot be done.
Knows nothing of: tables.

Postfix gives such mail to cleanup. Canonical and virtual alias tables count for
it; it gets no automatic copies.

Sources: Postfix C{global/mail_proto.h}, C{global/cleanup_user.h}
(CLEANUP_FLAG_MASK_INTERNAL).

Errors: those of the tables and of the store; each is a
L{MailError<txmta.errors.MailError>}.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred

from txmta.interfaces import IQueueEntrance
from txmta.model import Attempt, Envelope
from txmta.queue.parts import QueueParts


def recorded(parts: QueueParts, attempt: Attempt) -> Deferred[bool]:
    """
    As L{record<txmta.interfaces.IQueueStore.record>} of the store, with the
    addresses of new messages mapped.
    """
    if parts.mapped is None or not attempt.inserts:
        return parts.store.record(attempt)
    return Deferred.fromCoroutine(_record(parts, attempt))


async def _record(parts: QueueParts, attempt: Attempt) -> bool:
    inserts = tuple(
        [
            replace(new, envelope=await _mapped(parts, new.envelope))
            for new in attempt.inserts
        ]
    )
    return await parts.store.record(replace(attempt, inserts=inserts))


async def commit(
    parts: QueueParts, entrance: IQueueEntrance, envelope: Envelope, content: bytes
) -> None:
    """
    Put a message of ours into the queue.
    """
    incoming = entrance.open(await _mapped(parts, envelope))
    incoming.write(content)
    await incoming.commit()


async def _mapped(parts: QueueParts, envelope: Envelope) -> Envelope:
    return envelope if parts.mapped is None else await parts.mapped(envelope)
