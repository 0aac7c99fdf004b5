"""
Agents of other packages: C{plugin agent=name ...} in master.cf.

Owns: finding the agent, telling it its attributes, and keeping it from doing
    harm: it may hang, and it may call from a thread.
Knows nothing of: what agents do. Outcomes that are missing, reported twice or
    unasked for are the queue manager's to sort out.

Errors: L{ConfigError<txmta.errors.ConfigError>} when it is made. Of a
delivery: what the agent raises, L{AgentFault} besides; the queue manager defers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.delivery.context import AgentContext
from txmta.delivery.pipe_attributes import BadAttributes
from txmta.delivery.plugin_attributes import agent_of, values_of
from txmta.delivery.registry import AgentRegistry
from txmta.errors import ConfigError, MailError
from txmta.interfaces import IDeliveryAgent, IPluginAgentType
from txmta.model import DeliveryRequest, Outcome

#: Seconds that an agent may take to close what it holds when txmta stops.
STOPPING = 10.0


class AgentFault(MailError):
    """
    An agent broke its contract; always temporary for the mail.
    """


def problems(name: str, words: Sequence[str], registry: AgentRegistry) -> list[str]:
    """
    What is wrong with a service of master.cf.

    @param name: of the service.
    @param words: what follows C{plugin}.
    """
    try:
        kind, _values = _understood(words, registry)
        load = getattr(kind, "load", None)
        if load is not None:
            load()
    except BadAttributes as e:
        return [f"service {name}: {problem}" for problem in e.problems]
    except ConfigError as e:
        return [f"service {name}: {problem}" for problem in e.problems]
    return []


def plugin_agent(
    context: AgentContext, registry: AgentRegistry | None = None
) -> IDeliveryAgent:
    """
    @param registry: for tests.
    @raise ConfigError: there is no such agent, its attributes are wrong, or
        it cannot be made.
    """
    where = f"{context.where}: service {context.service}"
    try:
        kind, values = _understood(context.arguments, registry or AgentRegistry())
    except BadAttributes as e:
        raise ConfigError([f"{where}: {problem}" for problem in e.problems]) from e
    try:
        agent = kind.make(replace(context, arguments=(), attributes=values))
    except ConfigError as e:
        raise ConfigError([f"{where}: {problem}" for problem in e.problems]) from e
    except Exception as e:
        # Without the error's own text: it may be about a secret.
        PluginAgent.log.failure("agent {agent} cannot be made", agent=kind.program)
        raise ConfigError(
            [f"{where}: agent {kind.program} cannot be made: {type(e).__name__}"]
        ) from e
    if not callable(getattr(agent, "deliver", None)):
        raise ConfigError(
            [f"{where}: agent {kind.program} is no IDeliveryAgent: {agent!r:.100}"]
        )
    limit = context.settings.transport_time(context.service, "time_limit")
    return PluginAgent(kind.program, agent, context.clock, limit)


def _understood(
    words: Sequence[str], registry: AgentRegistry
) -> tuple[IPluginAgentType, Mapping[str, Any]]:
    """
    @return: the agent type, and the values of its attributes.
    @raise BadAttributes: with all that is wrong.
    """
    name, written = agent_of(words)
    found = registry.plugin_types(name)
    if len(found) == 1:
        return found[0], values_of(name, written, found[0].attributes)
    if found:
        raise BadAttributes(
            [f"{len(found)} plug-ins provide agent {name}: remove all but one"]
        )
    if name in registry.known_programs():
        raise BadAttributes(
            [f"agent {name} takes no attributes: write {name} instead of plugin"]
        )
    there = ", ".join(registry.plugin_names()) or "none"
    raise BadAttributes(
        [
            f"there is no agent {name}: install its plug-in, or write one of "
            f"those that are installed ({there})",
            *registry.broken,
        ]
    )


@implementer(IDeliveryAgent)
class PluginAgent:
    """
    An agent of somebody else, at arm's length.
    """

    log = Logger()

    def __init__(
        self, name: str, agent: IDeliveryAgent, clock: IReactorTime, limit: float
    ) -> None:
        """
        @param limit: seconds that one request may take.
        """
        self.name = name
        self.answers_probes = getattr(agent, "answers_probes", False)
        self._agent = agent
        self._clock = clock
        self._limit = limit

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> Deferred[None] | None:
        """
        See L{IDeliveryAgent.deliver}.
        """
        thread = threading.get_ident()

        def heard(outcome: Outcome) -> None:
            if threading.get_ident() != thread:
                raise RuntimeError("report() was called outside the reactor thread")
            report(outcome)

        ending: Any = self._agent.deliver(request, heard)
        if ending is None:
            return None
        if not isinstance(ending, Deferred):
            if hasattr(ending, "close"):
                ending.close()  # a coroutine, which nobody will run
            raise AgentFault(
                f"deliver() gives neither a Deferred nor None: {type(ending).__name__}"
            )
        return self._bounded(ending) if not ending.called else ending

    def _bounded(self, ending: Deferred[None]) -> Deferred[None]:
        """
        @return: fires as C{ending}, but within the time limit whatever the
            agent does. An agent that does not let go when it is cancelled is
            left to itself; what it reports then counts for nothing.
        """
        over: Deferred[None] = Deferred()

        def late() -> None:
            ending.cancel()  # it may report what it knows, and end
            if not over.called:
                over.errback(self._too_late())

        timer = self._clock.callLater(self._limit, late)

        def ended(result: Failure | None) -> None:
            in_time = timer.active()
            if in_time:
                timer.cancel()
            if over.called:
                if isinstance(result, Failure) and not result.check(CancelledError):
                    self.log.failure("agent {agent}, given up", result, agent=self.name)
            elif isinstance(result, Failure):
                cut = not in_time and result.check(CancelledError)
                over.errback(self._too_late() if cut else result)
            else:
                over.callback(None)

        ending.addBoth(ended)
        return over

    def _too_late(self) -> AgentFault:
        return AgentFault(
            f"agent {self.name} takes more than {self._limit:g} seconds: "
            "see <transport>_time_limit"
        )

    def stop(self) -> object:
        """
        Tell the agent to close what it holds.
        """
        stop = getattr(self._agent, "stop", None)
        if stop is None:
            return None
        try:
            ending = stop()
        except Exception:
            self.log.failure("agent {agent}, stopping", agent=self.name)
            return None
        if not isinstance(ending, Deferred):
            return None
        ending.addTimeout(STOPPING, self._clock)
        return ending.addErrback(
            lambda f: self.log.failure("agent {agent}, stopping", f, agent=self.name)
        )
