"""
What reports tell of deliveries: those of success, and those of everything.

Owns: their words and actions, which are not always those of the log.
Knows nothing of: who gets a report.

Sources: Postfix C{global/trace.c}, C{global/sent.c}, C{local/alias.c}; RFC 3461
section 5.2.7.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from txmta.model import Action, Outcome, Recipient

Told = Sequence[tuple[Recipient, Outcome]]

#: What is said of an alias to whom success matters; of a virtual alias there is
#: nothing else to be said.
ALIAS_EXPANDED = "alias expanded"


def traces(recorded: Told, succeeded: Told) -> Told:
    """
    That an alias has taken his message is told to whom success matters; where
    it went, only to those who are told all.

    @param recorded: what became of recipients, if the sender is told of all.
    @param succeeded: recipients whose sender wants to hear of success.
    """
    told = [(r, _recorded(o)) for r, o in recorded if o.reason != ALIAS_EXPANDED]
    for recipient, outcome in succeeded:
        if _is_expanded(outcome):
            outcome = replace(outcome, reason=ALIAS_EXPANDED)
        elif recorded:
            continue  # it is there already
        told.append((recipient, outcome))
    return [(recipient, _via(outcome)) for recipient, outcome in told]


def _recorded(outcome: Outcome) -> Outcome:
    if not _is_expanded(outcome):
        return outcome
    action = Action.RELAYED if outcome.forward else Action.DELIVERED
    return replace(outcome, action=action)


def _is_expanded(outcome: Outcome) -> bool:
    if outcome.action is Action.FAILED:
        return False
    return outcome.action is Action.EXPANDED or bool(outcome.forward)


def _via(outcome: Outcome) -> Outcome:
    if outcome.relay == "none":
        return outcome
    return replace(outcome, reason=f"delivery via {outcome.relay}: {outcome.reason}")
