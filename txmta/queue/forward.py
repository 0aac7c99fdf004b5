"""
Messages that take the place of a recipient (aliases, .forward files).

Owns: the envelope of a forward, and what the log says of the old recipient.
Knows nothing of: how the store shares the content.

Sources: Postfix C{local/forward.c}.

Errors: none.
"""

from __future__ import annotations

from dataclasses import replace

from txmta.model import (
    LOCAL_CLIENT,
    DeliveryRequest,
    Envelope,
    Forward,
    NewMessage,
    Outcome,
    Recipient,
)
from txmta.queue.parts import QueueParts


def forwarded(
    parts: QueueParts, request: DeliveryRequest, recipient: Recipient, outcome: Outcome
) -> tuple[Outcome, list[NewMessage]]:
    """
    @return: the outcome, with the new queue ids in its reason, and the
        messages to insert.
    """
    new = [_message(parts, request.envelope, recipient, f) for f in outcome.forward]
    ids = ", ".join(message.envelope.queue_id for message in new)
    return replace(outcome, reason=f"forwarded as {ids}"), new


def _message(
    parts: QueueParts, envelope: Envelope, recipient: Recipient, forward: Forward
) -> NewMessage:
    same = forward.sender == envelope.sender
    recipients = tuple(
        # A list with an owner is a new sender: what the old one asked to be
        # told, and wrote, ends here.
        Recipient(n, address, recipient.original, recipient.orcpt, recipient.notify)
        if same
        else Recipient(n, address, address)
        for n, address in enumerate(forward.recipients)
    )
    new = replace(
        envelope,
        queue_id=parts.store.new_id(),
        arrival=parts.now(),
        sender=forward.sender,
        recipients=recipients,
        client=LOCAL_CLIENT,
        helo="",
        protocol="",
        ret=envelope.ret if same else "",
        envid=envelope.envid if same else "",
        local_origin=False,
    )
    head = parts.internal_head(new) + forward.head
    return NewMessage(new, head, shares=envelope.queue_id)
