"""
The roles of the server, made from settings and wired to each other.

Owns: which part gets which; the order in which roles start and stop.
Knows nothing of: signals, privileges, sockets being bound (L{txmta.build}).

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

# Over budget: the composition root wires everything, and is best read in one go.

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from txmta.cleanup.dates import mail_date
from txmta.cleanup.internal import complete, internal_head
from txmta.cleanup.service import Cleanup
from txmta.config.addresses import own_addresses
from txmta.config.by_default import tables_by_default
from txmta.config.master_cf import Service as MasterService
from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.delivery.registry import AgentRegistry
from txmta.dns.client_names import ClientNames
from txmta.dns.exchange import Network
from txmta.dns.resolver import Resolver
from txmta.dns.udp import QuietUDP
from txmta.errors import ConfigError, StoreUnavailable
from txmta.events import Warn
from txmta.interfaces import IClientList, IDeliveryAgent, IEventSink
from txmta.maps.match import MatchLists
from txmta.maps.registry import TableRegistry
from txmta.master.binding import Bound
from txmta.queue.manager import QueueManager
from txmta.queue.parts import QueueParts
from txmta.queue.postmaster import Postmaster
from txmta.queue.store.sqlite import SqliteStore, Threads
from txmta.rewrite.classes import DomainLists, RecipientTables
from txmta.rewrite.resolver import AddressResolver
from txmta.smtp.factory import SMTPServerFactory
from txmta.smtp.poller import Poller
from txmta.smtp.service import Services, server_factory
from txmta.smtp.transport import write_at_once

if TYPE_CHECKING:
    from txmta.build import Reactor

#: Seconds that sessions may take to end when we stop.
SESSIONS = 10.0

#: Threads of each agent that writes mailboxes: as many deliveries wait for
#: disks at once.
MAILBOX_THREADS = 10


@dataclass(frozen=True)
class Shared:
    """
    What every role is made from.

    @ivar now: wall time.
    """

    settings: Settings
    services: Sequence[MasterService]
    reactor: Reactor
    now: Callable[[], float]
    sink: IEventSink


@dataclass(frozen=True)
class Tables:
    """
    Everything that is looked up in tables and lists.
    """

    registry: TableRegistry
    lists: MatchLists
    addresses: AddressResolver

    @classmethod
    def open(
        cls,
        settings: Settings,
        seconds: Callable[[], float],
        warn: Callable[[str], None],
    ) -> Tables:
        """
        @param seconds: a monotonic clock.
        @raise ConfigError: with all that cannot be opened.
        """
        aliases = (*settings.alias_maps, *settings.alias_database)
        registry = TableRegistry(
            seconds, warn, aliases, by_default=tables_by_default(settings)
        )
        parents = settings.parent_domain_matches_subdomains
        lists = MatchLists(registry.table, parents, seconds, warn)
        domains = DomainLists(
            lists.strings("mydestination", settings.mydestination),
            lists.strings("virtual_mailbox_domains", settings.virtual_mailbox_domains),
            lists.domains("relay_domains", settings.relay_domains),
            own_addresses(settings),
        )
        recipients = RecipientTables.open(settings, registry.table)
        return cls(registry, lists, AddressResolver(settings, domains, recipients))

    def open_list(self, settings: Settings, parameter: str) -> IClientList:
        """
        @return: the list of addresses that a parameter holds.
        """
        return self.lists.addresses(parameter, getattr(settings, parameter))


class Roles:
    """
    All roles of one process, wired by direct calls.
    """

    def __init__(self, shared: Shared) -> None:
        """
        Nothing is opened or started yet, but tables.
        """
        self._shared = shared
        settings, reactor = shared.settings, shared.reactor
        self._own = own_addresses(settings)
        self._tables = Tables.open(
            settings, reactor.seconds, partial(self._warn, "maps")
        )
        self._pools = Pools(reactor)
        self._resolver = Resolver(Network(QuietUDP(reactor), reactor, reactor))
        self._store = SqliteStore(
            settings.queue_directory,
            reactor,
            shared.now,
            Threads(reactor.callFromThread, self._pools.runner("queue", 4)),
            shared.sink,
        )
        self._poller = Poller(reactor)
        self._agents: dict[str, IDeliveryAgent] = {}
        parts = QueueParts(
            self._store,
            self._tables.addresses,
            self._agents,
            {
                s.name: settings.default_process_limit
                if s.maxproc is None
                else s.maxproc
                for s in self._transports()
            },
            settings,
            reactor,
            shared.now,
            shared.sink,
            mail_date,
            partial(internal_head, settings=settings),
            partial(complete, settings=settings),
        )
        self._postmaster = Postmaster(parts)
        self._agents.update(self._make_agents())
        self._manager = QueueManager(parts)
        self._smtpds: list[tuple[SMTPServerFactory, IListeningPort]] = []

    def start(self, sockets: Sequence[Bound]) -> None:
        """
        @param sockets: bound; they stay open and belong to the caller.
        @raise ConfigError: the queue cannot be opened.
        """
        self._pools.start()
        try:
            self._store.start()
        except StoreUnavailable as e:
            raise ConfigError([str(e)]) from e
        self._manager.startService()
        for bound in sockets:
            self._listen(bound)

    async def stop(self) -> None:
        """
        Take nothing new; let sessions and deliveries end; close the queue.
        """
        for _factory, port in self._smtpds:
            await maybe_later(port.stopListening())
        for drained in [factory.drain(SESSIONS) for factory, _port in self._smtpds]:
            await drained
        await self._manager.stopService()
        for agent in self._agents.values():
            stop = getattr(agent, "stop", None)
            if stop is not None:
                await maybe_later(stop())
        await self._store.stop()
        self._poller.close()
        self._pools.stop()

    def _listen(self, bound: Bound) -> None:
        shared = self._shared
        service = bound.listen.service
        settings = (
            shared.settings.override(service.overrides, service.where)
            if service.overrides
            else shared.settings
        )
        factory = server_factory(
            settings,
            Services(
                shared.reactor,
                shared.now,
                shared.sink,
                Cleanup(settings, self._store, shared.sink, self._tables.addresses),
                self._store,
                self._tables.addresses,
                ClientNames(self._resolver, shared.reactor),
                partial(self._tables.open_list, settings),
                self._own,
                self._postmaster,
            ),
            service.name,
            service.maxproc or self._most_connections(),
        )
        port = shared.reactor.adoptStreamPort(
            bound.socket.fileno(), bound.socket.family, factory
        )
        write_at_once(port, self._poller)
        self._smtpds.append((factory, port))

    def _most_connections(self) -> int:
        """
        @return: so many that half of the descriptors are left for files,
            deliveries and DNS.
        """
        soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return max(50, soft // 2) if soft != resource.RLIM_INFINITY else 0

    def _transports(self) -> list[MasterService]:
        known = AgentRegistry().known_programs()
        return [
            s for s in self._shared.services if s.type == "unix" and s.program in known
        ]

    def _make_agents(self) -> dict[str, IDeliveryAgent]:
        registry = AgentRegistry()
        return {s.name: self._make_agent(registry, s) for s in self._transports()}

    def _make_agent(
        self, registry: AgentRegistry, service: MasterService
    ) -> IDeliveryAgent:
        shared = self._shared
        settings = shared.settings
        if service.overrides:
            settings = settings.override(service.overrides, service.where)
        context = AgentContext(
            service.name,
            settings,
            cast("Reactor", self._poller),
            shared.reactor,
            shared.now,
            self._resolver,
            shared.sink,
            self._tables.registry.table,
            self._pools.runner(service.name, MAILBOX_THREADS),
            self._tables.addresses,
            service.arguments,
            service.where,
            shared.reactor,
            self._postmaster,
        )
        return registry.make(service.program, context)

    def _warn(self, program: str, text: str) -> None:
        self._shared.sink.emit(Warn(program, text))


class Pools:
    """
    Threads for blocking work, apart for each who needs some.
    """

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._pools: list[ThreadPool] = []

    def runner(self, name: str, threads: int) -> Callable[..., Deferred[Any]]:
        """
        @return: runs a callable in a thread, and gives a Deferred.
        """
        pool = ThreadPool(0, threads, name)
        self._pools.append(pool)
        return partial(deferToThreadPool, self._reactor, pool)

    def start(self) -> None:
        for pool in self._pools:
            pool.start()

    def stop(self) -> None:
        """
        Wait for what is under way.
        """
        for pool in self._pools:
            pool.stop()


async def maybe_later(result: object) -> None:
    """
    Wait for a result that may be a Deferred.
    """
    if isinstance(result, Deferred):
        await result
