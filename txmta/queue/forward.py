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
    Notify,
    Outcome,
    Recipient,
)
from txmta.queue.parts import QueueParts


def forwarded(
    parts: QueueParts, request: DeliveryRequest, recipient: Recipient, outcome: Outcome
) -> tuple[Outcome, list[NewMessage]]:
    """
    @return: the outcome, with the new queue ids in a reason that ends with
        C{"forwarded"}, and the messages to insert. None if the recipient is
        to be tried again: it will then be forwarded anew.
    """
    if outcome.action is Action.DELAYED:
        return replace(outcome, forward=()), []
    new = [_message(parts, request.envelope, recipient, f) for f in outcome.forward]
    if outcome.reason.endswith("forwarded"):
        ids = ", ".join(message.envelope.queue_id for message in new)
        outcome = replace(outcome, reason=f"{outcome.reason} as {ids}")
    return outcome, new


def _message(
    parts: QueueParts, envelope: Envelope, recipient: Recipient, forward: Forward
) -> NewMessage:
    forward = _complete(forward, envelope, recipient)
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
    )
    head = parts.internal_head(new) + forward.head
    return NewMessage(new, head, shares=envelope.queue_id)


def _complete(forward: Forward, envelope: Envelope, recipient: Recipient) -> Forward:
    """
    An agent that keeps the sender and says nothing of what he asked for passes
    it on. His success report is written here, and only once (RFC 3461 section
    5.2.7.3). A list with an owner is a new sender: what the old one asked to
    be told, and wrote, ends here.
    """
    said = forward.original or forward.orcpt or forward.notify or forward.keep_envid
    if said or forward.sender != envelope.sender:
        return forward
    return replace(
        forward,
        notify=without_success(recipient.notify),
        orcpt=recipient.orcpt,
        original=recipient.original,
        keep_envid=True,
    )


def without_success(notify: int) -> int:
    """
    @return: what is left to report of a recipient whose success is reported.
    """
    left = notify & ~Notify.SUCCESS
    return left or (int(Notify.NEVER) if notify else 0)
