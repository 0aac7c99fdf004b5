"""
Delivery status filters: other words, or another code, for what became of mail.

Owns: what such a filter may change.
Knows nothing of: how mail is delivered.

A success stays one; mail that is tried again may fail, and mail that failed may
be tried again.

Sources: Postfix's default_delivery_status_filter;
C{src/global/dsn_filter.c}.

Errors: none leaves here: without a usable answer the outcome stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.delivery.context import AgentContext
from txmta.errors import TableUnavailable
from txmta.events import Warn
from txmta.interfaces import IDeliveryAgent, ITable
from txmta.model import Action, DeliveryRequest, Outcome
from txmta.search import search
from txmta.status import split_status

#: The agents that have one; their parameters begin with these names.
FILTERED = frozenset(("lmtp", "local", "pipe", "smtp", "virtual"))

_ACTIONS = {"4": Action.DELAYED, "5": Action.FAILED}

_Report = Callable[[Outcome], None]


@dataclass(frozen=True)
class StatusFilter:
    """
    @ivar name: of the parameter.
    @ivar warn: gets what an administrator should know.
    """

    name: str
    tables: Sequence[ITable]
    warn: Callable[[str], None]

    def apply(self, outcome: Outcome) -> Outcome | Deferred[Outcome]:
        """
        @return: what is to be reported instead.
        """
        if outcome.reroute is not None:
            return outcome
        key = f"{outcome.status} {outcome.reason}"
        try:
            found = search(self.tables, (key,))
        except TableUnavailable as e:
            return self._unavailable(e, outcome)
        if isinstance(found, Deferred):
            return found.addCallbacks(
                self._replaced, self._failed, (outcome,), {}, (outcome,)
            )
        return self._replaced(found, outcome)

    def _replaced(self, found: str | None, outcome: Outcome) -> Outcome:
        if found is None:
            return outcome
        status, reason = split_status(found, "")
        delivered = outcome.status[:1] == "2"
        if (status[:1] == "2") is not delivered or not status:
            self.warn(f"{self.name}: bad status code: {found}")
            return outcome
        if not reason:
            self.warn(f"{self.name}: no text after the status code: {found}")
            return outcome
        action = outcome.action if delivered else _ACTIONS[status[0]]
        return replace(outcome, action=action, status=status, reason=reason)

    def _failed(self, failure: Failure, outcome: Outcome) -> Outcome:
        failure.trap(TableUnavailable)
        return self._unavailable(failure.value, outcome)

    def _unavailable(self, error: object, outcome: Outcome) -> Outcome:
        self.warn(f"{self.name}: {error}: the status is not filtered")
        return outcome


@implementer(IDeliveryAgent)
class FilteredAgent:
    """
    Another agent, whose outcomes pass a filter.
    """

    def __init__(self, inner: IDeliveryAgent, outcomes: StatusFilter) -> None:
        self.name = inner.name
        self._inner = inner
        self._filter = outcomes

    def deliver(
        self, request: DeliveryRequest, report: _Report
    ) -> Deferred[None] | None:
        """
        See L{IDeliveryAgent.deliver}.
        """
        waiting: list[Deferred[None]] = []

        def filtered(outcome: Outcome) -> None:
            result = self._filter.apply(outcome)
            if isinstance(result, Deferred):
                waiting.append(result.addCallback(report))
            else:
                report(result)

        ending = self._inner.deliver(request, filtered)
        if ending is None and not waiting:
            return None
        return Deferred.fromCoroutine(_end(ending, waiting))

    def stop(self) -> object:
        """
        Close what is kept open.
        """
        stop = getattr(self._inner, "stop", None)
        return None if stop is None else stop()


async def _end(ending: Deferred[None] | None, waiting: list[Deferred[None]]) -> None:
    try:
        if ending is not None:
            await ending
    finally:
        # Reported while the agent still worked, or not yet: before it ends.
        for _, result in await DeferredList(waiting, consumeErrors=True):
            if isinstance(result, Failure):
                result.raiseException()


def filtered(
    agent: IDeliveryAgent, program: str, context: AgentContext
) -> IDeliveryAgent:
    """
    @param program: last column of master.cf.
    @return: the agent itself, if nothing is to be filtered.
    """
    if program not in FILTERED:
        return agent
    name = f"{program}_delivery_status_filter"
    items = getattr(context.settings, name)
    if not items:
        return agent
    tables = [context.table(item, name) for item in items]

    def warn(text: str) -> None:
        context.sink.emit(Warn(program, text))

    return FilteredAgent(agent, StatusFilter(name, tables, warn))
