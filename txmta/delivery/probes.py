"""
Probes: messages that are asked about, and that nobody may get (sendmail -bv).

Owns: that an agent which knows nothing of them never sees one.
Knows nothing of: what agents that do know them answer.

An agent that looks at L{Envelope.is_probe<txmta.model.Envelope.is_probe>}
itself says so with an attribute C{answers_probes} that is true: it reports what
would become of each recipient, and changes nothing anywhere.

Sources: Postfix C{global/deliver_request.h} (DEL_REQ_FLAG_USR_VRFY).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, DeliveryRequest, Outcome


@implementer(IDeliveryAgent)
class ProbeGuard:
    """
    Another agent, which gets no probes.
    """

    def __init__(self, inner: IDeliveryAgent, service: str) -> None:
        """
        @param service: the name in master.cf.
        """
        self.name = inner.name
        self._deliver = inner.deliver
        self._inner = inner
        self._service = service

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> Deferred[None] | None:
        """
        See L{IDeliveryAgent.deliver}.
        """
        if not request.envelope.is_probe:
            return self._deliver(request, report)
        answer(request, report, f"delivers via {self._service} service", self.name)
        return None

    def stop(self) -> object:
        """
        Close what is kept open.
        """
        stop = getattr(self._inner, "stop", None)
        return None if stop is None else stop()


def answer(
    request: DeliveryRequest,
    report: Callable[[Outcome], None],
    reason: str,
    relay: str,
) -> None:
    """
    Say the same of all recipients of a probe: they can be delivered to.
    """
    for recipient in request.recipients:
        report(Outcome(recipient.n, Action.DELIVERED, "2.0.0", reason, relay))


def guarded(agent: IDeliveryAgent, service: str) -> IDeliveryAgent:
    """
    @return: an agent that may be given probes: C{agent}, if it says so.
    """
    if getattr(agent, "answers_probes", False) is True:
        return agent
    return ProbeGuard(agent, service)
