"""
What the roles are made from: settings, reactor, log; tables; threads.

Owns: opening what is looked up; threads for blocking work.
Knows nothing of: what any role does, and in which process.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IReactorCore,
    IReactorFDSet,
    IReactorSocket,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUDP,
)
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from txmta.config.addresses import own_addresses
from txmta.config.by_default import tables_by_default
from txmta.config.master_cf import Service as MasterService
from txmta.config.master_cf import service_settings
from txmta.config.settings import Settings
from txmta.dns.exchange import Network
from txmta.dns.resolver import Resolver
from txmta.dns.udp import QuietUDP
from txmta.events import Note, Warn
from txmta.interfaces import IClientList, IEventSink
from txmta.maps.context import PLAIN, Ways
from txmta.maps.match import MatchLists
from txmta.maps.proxy import approved
from txmta.maps.registry import TableRegistry
from txmta.rewrite.classes import DomainLists, RecipientTables
from txmta.rewrite.detours import DetourTables
from txmta.rewrite.resolver import AddressResolver

#: What is computed for each service, and values may mention.
_COMPUTED = ("$service_name", "{service_name", "$process_name", "{process_name")

#: Parameters that say which recipients there are.
RECIPIENTS = (
    *("local_recipient_maps", "relay_recipient_maps", "virtual_mailbox_maps"),
    *("recipient_canonical_maps", "canonical_maps", "virtual_alias_maps"),
    "sender_canonical_maps",
)


class Reactor(
    IReactorCore,
    IReactorFDSet,
    IReactorSocket,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUDP,
):
    """
    All that we use of a reactor.
    """


@dataclass(frozen=True)
class Shared:
    """
    What every role is made from.

    @ivar now: wall time.
    @ivar ways: how this process comes by what is in tables.
    """

    settings: Settings
    services: Sequence[MasterService]
    reactor: Reactor
    now: Callable[[], float]
    sink: IEventSink
    ways: Ways = PLAIN

    def open_tables(self) -> Tables:
        """
        @raise ConfigError: with all that cannot be opened.
        """
        rewrite = self.of_program("trivial-rewrite", self.settings.rewrite_service_name)
        return Tables.open(
            self.settings,
            self.reactor.seconds,
            self._warn,
            replace(self.ways, note=self._note),
            rewrite,
        )

    def make_resolver(self) -> Resolver:
        """
        @return: asks name servers; one for each process.
        """
        reactor = self.reactor
        return Resolver(Network(QuietUDP(reactor), reactor, reactor))

    def of(self, service: MasterService) -> Settings:
        """
        @return: what counts for one service: main.cf, its C{-o}, its name.
        """
        if service.overrides or _names_services(self.settings):
            return service_settings(self.settings, service)
        return self.settings

    def of_program(self, program: str, name: str) -> Settings:
        """
        @param program: of which only one service counts.
        @param name: of that service.
        @return: what counts for it; if there is none, what main.cf says.
        """
        for service in self.services:
            if (service.program, service.name) == (program, name):
                return self.of(service)
        return self.settings

    def _note(self, text: str) -> None:
        self.sink.emit(Note("maps", text))

    def _warn(self, text: str) -> None:
        self.sink.emit(Warn("maps", text))


def _names_services(settings: Settings) -> bool:
    texts = (each.text for each in settings.definitions.values())
    return any(mark in text for text in texts for mark in _COMPUTED)


@dataclass(frozen=True)
class Tables:
    """
    Everything that is looked up in tables and lists.

    @ivar addresses: with the known recipients of main.cf.
    """

    registry: TableRegistry
    lists: MatchLists
    addresses: AddressResolver
    _settings: Settings
    _with_recipients: Callable[[RecipientTables], AddressResolver]

    @classmethod
    def open(
        cls,
        settings: Settings,
        seconds: Callable[[], float],
        warn: Callable[[str], None],
        ways: Ways = PLAIN,
        rewrite: Settings | None = None,
    ) -> Tables:
        """
        @param seconds: a monotonic clock.
        @param ways: how this process comes by what is in tables.
        @param rewrite: of trivial-rewrite, if not C{settings}.
        @raise ConfigError: with all that cannot be opened.
        """
        registry = make_registry(settings, seconds, warn, approving(settings, ways))
        parents = settings.parent_domain_matches_subdomains
        lists = MatchLists(registry.table, parents, seconds, warn, ways)
        how = rewrite or settings
        domains = DomainLists(
            lists.strings("mydestination", how.mydestination),
            lists.strings("virtual_mailbox_domains", how.virtual_mailbox_domains),
            lists.domains("relay_domains", how.relay_domains),
            own_addresses(how),
            lists.strings("virtual_alias_domains", how.virtual_alias_domains),
        )
        recipients = RecipientTables.open(settings, registry.table)
        detours = DetourTables.open(how, registry.table)

        def resolver(recipients: RecipientTables) -> AddressResolver:
            return AddressResolver(how, domains, recipients, detours)

        return cls(registry, lists, resolver(recipients), settings, resolver)

    def addresses_for(self, settings: Settings) -> AddressResolver:
        """
        @param settings: of who asks which recipients there are.
        @return: with what these call known.
        @raise ConfigError: a table cannot be opened.
        """
        if all(
            getattr(settings, name) == getattr(self._settings, name)
            for name in RECIPIENTS
        ):
            return self.addresses
        recipients = RecipientTables.open(settings, self.registry.table)
        return self._with_recipients(recipients)

    def open_list(self, settings: Settings, parameter: str) -> IClientList:
        """
        @return: the list of addresses that a parameter holds.
        """
        return self.lists.addresses(parameter, getattr(settings, parameter))


def approving(settings: Settings, ways: Ways) -> Ways:
    """
    @param settings: of main.cf; what C{-o} says does not count, as the process
        that is asked does not know of it.
    @return: with what may stand behind C{proxy:}.
    """
    return replace(ways, approved=approved(settings.proxy_read_maps))


def make_registry(
    settings: Settings,
    seconds: Callable[[], float],
    warn: Callable[[str], None],
    ways: Ways,
) -> TableRegistry:
    """
    @return: opens tables as these settings want them.
    """
    aliases = (*settings.alias_maps, *settings.alias_database)

    def defined(name: str) -> str | None:
        return settings.text(name) if name in settings.definitions else None

    return TableRegistry(
        seconds,
        warn,
        aliases,
        by_default=tables_by_default(settings),
        ways=replace(ways, defined=defined),
    )


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
