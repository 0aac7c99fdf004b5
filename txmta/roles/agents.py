"""
The delivery agents of one process, one for each service of master.cf.

Owns: which services are transports; agents, made and stopped.
Knows nothing of: who asks them to deliver.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from txmta.config.master_cf import Service as MasterService
from txmta.delivery.context import AgentContext
from txmta.delivery.registry import AgentRegistry
from txmta.interfaces import IDeliveryAgent, IPostmaster, IResolver
from txmta.roles.names import sink_of
from txmta.roles.shared import Pools, Reactor, Shared, Tables, maybe_later
from txmta.smtp.poller import Poller

#: Threads of each agent that writes mailboxes: as many deliveries wait for
#: disks at once.
MAILBOX_THREADS = 10


@dataclass(frozen=True)
class AgentParts:
    """
    What delivery agents need of the others.

    @ivar pools: threads for what blocks.
    @ivar poller: of this process.
    @ivar postmaster: hears of trouble in sessions.
    """

    tables: Tables
    resolver: IResolver
    pools: Pools
    poller: Poller
    postmaster: IPostmaster


def transports(services: Iterable[MasterService]) -> Sequence[MasterService]:
    """
    @return: those that deliver.
    """
    known = AgentRegistry().known_programs()
    return [s for s in services if s.type == "unix" and s.program in known]


def role_of(service: MasterService) -> str:
    """
    @return: the role whose processes make the deliveries of a transport,
        where roles have processes of their own.
    """
    if service.program in ("local", "virtual", "pipe"):
        return "local"
    # These touch nothing: a process of their own would be a detour.
    return "qmgr" if service.program in ("error", "discard") else "smtp"


def make_agents(
    shared: Shared, parts: AgentParts, services: Iterable[MasterService]
) -> dict[str, IDeliveryAgent]:
    """
    @param services: those that this process serves.
    @return: by name.
    @raise ConfigError: an agent cannot be made from its settings.
    """
    registry = AgentRegistry()
    return {
        service.name: registry.make(service.program, _context(shared, parts, service))
        for service in services
    }


async def stop_agents(agents: Iterable[IDeliveryAgent]) -> None:
    """
    Close what they keep open; they have nothing in hand.
    """
    for agent in agents:
        stop = getattr(agent, "stop", None)
        if stop is not None:
            await maybe_later(stop())


def _context(shared: Shared, parts: AgentParts, service: MasterService) -> AgentContext:
    settings = shared.of(service)
    return AgentContext(
        service.name,
        settings,
        cast("Reactor", parts.poller),
        shared.reactor,
        shared.now,
        parts.resolver,
        sink_of(shared, settings),
        parts.tables.registry.table,
        parts.pools.runner(service.name, MAILBOX_THREADS),
        parts.tables.addresses,
        service.arguments,
        service.where,
        shared.reactor,
        parts.postmaster,
    )
