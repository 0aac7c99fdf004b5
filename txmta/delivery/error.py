"""
The error(8) agent: every recipient fails, for the reason that the next hop gives.
A service called C{retry} defers instead. A code of another class does not count.

Sources: Postfix C{error/error.c}, C{global/dsn_util.c}; RFC 3463 section 2.

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
class ErrorAgent:
    """
    Says no.
    """

    name = "error"
    answers_probes = True  # with what it says of all mail

    def __init__(self, context: AgentContext, retry: bool = False) -> None:
        """
        @param retry: defer, whatever the code in the text is.
        """
        self._retry = retry or context.service == "retry"

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> None:
        """
        See L{IDeliveryAgent.deliver}.
        """
        default = "4.0.0" if self._retry else "5.0.0"
        status, reason = split_status(request.nexthop, default)
        if status[0] != default[0]:
            status = default
        action = Action.DELAYED if self._retry else Action.FAILED
        for recipient in request.recipients:
            report(Outcome(recipient.n, action, status, reason or "unspecified"))


def retry_agent(context: AgentContext) -> ErrorAgent:
    """
    @return: an agent that always defers.
    """
    return ErrorAgent(context, retry=True)
