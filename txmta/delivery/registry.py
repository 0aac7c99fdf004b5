"""
Finds the agent for a program that master.cf names.

Owns: which programs there are.
Knows nothing of: what any of them does.

Errors: L{ConfigError<txmta.errors.ConfigError>}: no such program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from twisted.plugin import IPlugin
from twisted.python.reflect import namedAny
from zope.interface import implementer

from txmta.delivery.context import AgentContext
from txmta.delivery.plugin_attributes import AgentAttribute
from txmta.delivery.probes import guarded
from txmta.delivery.status_filter import filtered
from txmta.errors import ConfigError
from txmta.interfaces import IDeliveryAgent, IDeliveryAgentType, IPluginAgentType
from txmta.plugins import find, trouble


@implementer(IPlugin, IDeliveryAgentType)
@dataclass(frozen=True)
class AgentType:
    """
    A program whose agent is made by calling something with the context.

    @ivar program: last column of master.cf.
    @ivar factory: dotted name of what makes the agent. It is imported when
        an agent is made, so that plug-ins are quick to list.
    """

    program: str
    factory: str

    def make(self, context: object) -> IDeliveryAgent:
        """
        See L{IDeliveryAgentType.make}.
        """
        return cast(IDeliveryAgent, self.load()(context))

    def load(self) -> Callable[[object], object]:
        """
        Import what makes the agent.

        @raise ConfigError: it cannot be imported.
        """
        try:
            return cast(Callable[[object], object], namedAny(self.factory))
        except Exception as e:
            raise ConfigError(
                [
                    f"agent {self.program}: {self.factory} cannot be imported: "
                    f"{trouble(e)}: mend or install what it needs"
                ]
            ) from e


@implementer(IPluginAgentType)
@dataclass(frozen=True)
class PluginAgentType(AgentType):
    """
    An agent for C{plugin agent=name}.

    @ivar program: the name.
    @ivar attributes: what else it takes; their values come as
        C{context.attributes}.
    """

    attributes: tuple[AgentAttribute, ...] = ()


class AgentRegistry:
    """
    All programs that deliver mail.

    @ivar broken: plug-ins, of whatever kind, that cannot be loaded, and why.
    """

    def __init__(self, types: Iterable[IDeliveryAgentType] | None = None) -> None:
        """
        @param types: L{None}: all plug-ins.
        """
        self.broken: Sequence[str] = ()
        if types is None:
            found = find(IDeliveryAgentType)
            types, self.broken = found.plugins, found.broken
        self._types: dict[str, IDeliveryAgentType] = {}
        self._plugins: list[IPluginAgentType] = []
        for kind in types:
            if IPluginAgentType.providedBy(kind):
                self._plugins.append(kind)
            else:
                self._types[kind.program] = kind

    def known_programs(self) -> list[str]:
        """
        @return: what master.cf may name, for messages.
        """
        return sorted(self._types)

    def plugin_types(self, name: str) -> Sequence[IPluginAgentType]:
        """
        @return: who provides C{plugin agent=name}: one, if all is well.
        """
        return [kind for kind in self._plugins if kind.program == name]

    def plugin_names(self) -> list[str]:
        """
        @return: what C{plugin agent=} may name, for messages.
        """
        return sorted({kind.program for kind in self._plugins})

    def make(self, program: str, context: AgentContext) -> IDeliveryAgent:
        """
        @param program: last column of master.cf, without arguments.
        @raise ConfigError: nobody provides it.
        """
        kind = self._types.get(program)
        if kind is None:
            raise ConfigError(
                [
                    f"service {context.service}: there is no delivery agent "
                    f'"{program}": use one of {", ".join(self.known_programs())}'
                ]
            )
        agent = guarded(kind.make(context), context.service)
        return filtered(agent, program, context)
