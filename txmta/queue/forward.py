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
    Action,
    DeliveryRequest,
    Envelope,
    Forward,
    NewMessage,
    Outcome,
    Recipient,
)
from txmta.queue.parts import QueueParts


def forwarded(
    parts: QueueParts, request: DeliveryRequest, outcome: Outcome
) -> tuple[Outcome, list[NewMessage]]:
    """
    @return: the outcome, with the new queue ids in a reason that ends with
        C{"forwarded"}, and the messages to insert. None if the recipient is
        to be tried again: it will then be forwarded anew.
    """
    if outcome.action is Action.DELAYED:
        return replace(outcome, forward=()), []
    new = [_message(parts, request.envelope, f) for f in outcome.forward]
    if outcome.reason.endswith("forwarded"):
        ids = ", ".join(message.envelope.queue_id for message in new)
        outcome = replace(outcome, reason=f"{outcome.reason} as {ids}")
    return outcome, new


def _message(parts: QueueParts, envelope: Envelope, forward: Forward) -> NewMessage:
    recipients = tuple(
        Recipient(
            n, address, forward.original or address, forward.orcpt, forward.notify
        )
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
        ret=envelope.ret if forward.keep_envid else "",
        envid=envelope.envid if forward.keep_envid else "",
        local_origin=False,
        trace=0,
    )
    head = parts.internal_head(new) + forward.head
    return NewMessage(new, head, shares=envelope.queue_id)
