"""
Finds the agent for a program that master.cf names.

Owns: which programs there are.
Knows nothing of: what any of them does.

Errors: L{ConfigError<txmta.errors.ConfigError>}: no such program.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from twisted.plugin import IPlugin, getPlugins
from twisted.python.reflect import namedAny
from zope.interface import implementer

from txmta.delivery.context import AgentContext
from txmta.errors import ConfigError
from txmta.interfaces import IDeliveryAgent, IDeliveryAgentType


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
        return cast(IDeliveryAgent, namedAny(self.factory)(context))


class AgentRegistry:
    """
    All programs that deliver mail.
    """

    def __init__(self, types: Iterable[IDeliveryAgentType] | None = None) -> None:
        """
        @param types: L{None}: all plug-ins.
        """
        found = getPlugins(IDeliveryAgentType) if types is None else types
        self._types = {kind.program: kind for kind in found}

    def known_programs(self) -> list[str]:
        """
        @return: what master.cf may name, for messages.
        """
        return sorted(self._types)

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
        return kind.make(context)
