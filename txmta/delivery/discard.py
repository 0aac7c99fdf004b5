"""
The discard(8) agent: mail is thrown away, and logged as sent.

Sources: Postfix C{discard/discard.c}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from txmta.delivery.context import AgentContext
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, DeliveryRequest, Outcome
from txmta.status import split_status


@implementer(IDeliveryAgent)
class DiscardAgent:
    """
    Says yes, and does nothing.
    """

    name = "discard"
    answers_probes = True  # with what it says of all mail

    def __init__(self, context: AgentContext) -> None:
        """
        @param context: not used: there is nothing to choose.
        """

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> None:
        """
        See L{IDeliveryAgent.deliver}.
        """
        status, reason = split_status(request.nexthop, "2.0.0")
        if status[0] != "2":
            status = "2.0.0"
        for recipient in request.recipients:
            report(
                Outcome(recipient.n, Action.DELIVERED, status, reason or "discarded")
            )
