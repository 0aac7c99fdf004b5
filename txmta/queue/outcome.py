"""
What an outcome means to the queue manager.

Owns: mending what an agent may get wrong, soft_bounce, and telling a next hop
    that cannot be reached from a recipient that is not wanted now.
Knows nothing of: messages, queues, the store.

Sources: RFC 3463; Postfix C{global/dsn_util.c}, C{global/bounce.c}
(soft_bounce), C{smtp/smtp_trouble.c} (which failures are the site's).

Errors: none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from txmta.model import Action, Outcome, Recipient

#: (status, text) of what keeps a recipient from being tried.
Reason = tuple[str, str]

#: The program that Postfix has write down what is not tried (the retry
#: service of master.cf).
RETRY = "error"

UNAVAILABLE: Reason = ("4.3.0", "mail transport unavailable")
UNKNOWN_ERROR: Reason = ("4.3.0", "unknown mail transport error")
UNROUTABLE: Reason = ("4.3.0", "address resolver failure")
DEFERRED_TRANSPORT: Reason = ("4.3.2", "deferred transport")
NO_TRANSPORT: Reason = ("4.3.5", "mail transport unavailable")
TRANSPORT_LOOP: Reason = ("4.3.5", "mail transports pass this recipient in a circle")
DISCARDED = "undeliverable postmaster notification discarded"

_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}", re.ASCII)
_CLASS = {Action.DELAYED: "4", Action.FAILED: "5"}


def sound(outcome: Outcome) -> Outcome:
    """
    @return: the outcome, mended where its status does not fit its action or
        its reason is no line of text.
    """
    digit = _CLASS.get(outcome.action, "2")
    status, reason = outcome.status, outcome.reason
    if (
        status[:1] == digit
        and _STATUS.fullmatch(status)
        and reason
        and "\n" not in reason
        and "\r" not in reason
    ):
        return outcome
    detail = status[1:] if _STATUS.fullmatch(status) else ".0.0"
    reason = " ".join(reason.split()) or "unknown error"
    return replace(outcome, status=digit + detail, reason=reason)


def softened(outcome: Outcome) -> Outcome:
    """
    @return: a failure as a delay (soft_bounce).
    """
    status = "4" + outcome.status[1:]
    return replace(outcome, action=Action.DELAYED, status=status)


def answers(
    recipient: Recipient, outcome: Outcome
) -> Iterator[tuple[Recipient, Outcome]]:
    """
    @param outcome: of a probe; what it would bring along is left out.
    @return: what is told of it: one answer, or one for each place that the
        recipient leads to.
    """
    if not outcome.branches:
        yield recipient, _answer(outcome)
        return
    for branch in outcome.branches:
        original = orcpt = ""
        if branch.original:
            original, orcpt = recipient.original, recipient.orcpt
        known = Recipient(recipient.n, branch.address, original, orcpt)
        told = replace(
            outcome, status=branch.status, reason=branch.reason, diagnostic=""
        )
        yield known, _answer(told)


def _answer(outcome: Outcome) -> Outcome:
    good = outcome.status[:1] == "2"
    action = Action.DELIVERABLE if good else Action.UNDELIVERABLE
    return replace(outcome, action=action, forward=(), branches=())


def hop_failure(outcome: Outcome) -> bool:
    """
    @return: the next hop could not be reached, or would not talk to us: a
        delivery for another recipient would fare no better. It is our own
        finding (no Diagnostic-Code) about the network or routing (X.4.X), or
        a greeting that refuses us.
    """
    if outcome.action is not Action.DELAYED:
        return False
    if outcome.diagnostic:
        return "refused to talk to me: " in outcome.reason
    return outcome.status.startswith("4.4.")
