"""
The error(8) agent: every recipient fails, or is deferred, for the reason that
the next hop gives. A service called C{retry} always defers.

Sources: Postfix C{error/error.c}, C{global/dsn_util.c}; RFC 3463 section 2.

Errors: none.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from zope.interface import implementer

from txmta.delivery.context import AgentContext
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, DeliveryRequest, Outcome

_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")


def split_status(text: str, default: str) -> tuple[str, str]:
    """
    @param text: perhaps with an RFC 3463 code in front.
    @return: the code, and the text without it.
    """
    match = _STATUS.match(text)
    if match is None:
        return default, text
    return match[1], text[match.end() :]


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
        if status[0] == "2" or (self._retry and status[0] != "4"):
            status = default
        action = Action.DELAYED if status[0] == "4" else Action.FAILED
        for recipient in request.recipients:
            report(Outcome(recipient.n, action, status, reason or "unspecified"))


def retry_agent(context: AgentContext) -> ErrorAgent:
    """
    @return: an agent that always defers.
    """
    return ErrorAgent(context, retry=True)
