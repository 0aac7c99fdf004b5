"""
The SMTP server of one process.

Owns: one factory for each listening socket, and their end.
Knows nothing of: who delivers what it takes, and in which process.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.task import deferLater

from txmta.config.addresses import own_addresses
from txmta.config.master_cf import Service as MasterService
from txmta.config.settings import Settings
from txmta.dns.client_names import ClientNames
from txmta.errors import ConfigError
from txmta.events import Warn
from txmta.interfaces import IPostmaster, IQueueEntrance, IResolver
from txmta.master.binding import Bound
from txmta.roles.cleanup import make_cleanup
from txmta.roles.names import sink_of
from txmta.roles.room import Room, most_connections
from txmta.roles.screen import behind, make_gate
from txmta.roles.services import cleanup_settings
from txmta.roles.shared import Shared, Tables, maybe_later
from txmta.smtp.anvil import Counts
from txmta.smtp.factory import SMTPServerFactory
from txmta.smtp.own_tally import OwnTally
from txmta.smtp.policy_servers import PolicyServers
from txmta.smtp.poller import Poller
from txmta.smtp.postscreen.gate import Gate
from txmta.smtp.proxied import listener
from txmta.smtp.rates import SharedRates
from txmta.smtp.sasl.backends import Tools
from txmta.smtp.seats import CountedSeats, Seats
from txmta.smtp.service import Services, server_factory
from txmta.smtp.stress import Room as stress_room
from txmta.smtp.transport import write_at_once
from txmta.tls_files import by

#: Seconds that sessions may take to end when we stop.
SESSIONS = 10.0

#: When there are no more seconds than these, sessions are not waited for.
HURRY = 60.0

#: Seconds between looks whether sessions are over.
LOOK = 0.2


def _counted(service: MasterService, maxproc: int) -> Seats:
    return CountedSeats(maxproc)


@dataclass(frozen=True)
class SmtpdParts:
    """
    What the SMTP server needs of the others.

    @ivar store: takes what comes in.
    @ivar poller: of this process.
    @ivar postmaster: hears of trouble in sessions.
    @ivar seats: makes what counts sessions, of a service and its maxproc.
    @ivar counts: of what clients do, of all processes; L{None}: there is one.
    """

    tables: Tables
    resolver: IResolver
    store: IQueueEntrance
    postmaster: IPostmaster
    poller: Poller
    seats: Callable[[MasterService, int], Seats] = _counted
    counts: Counts | None = None


class SmtpdRole:
    """
    All services of master.cf that are SMTP servers.
    """

    def __init__(self, shared: Shared, parts: SmtpdParts) -> None:
        self._shared = shared
        self._parts = parts
        self._own = own_addresses(shared.settings)
        self._smtpds: list[tuple[SMTPServerFactory, Any]] = []
        self._seats: dict[str, Seats] = {}
        self._counts = parts.counts or OwnTally()
        self._rates: SharedRates | None = None
        self._gates: list[Gate] = []
        self._hurried = False
        self._policy_servers = PolicyServers(
            shared.reactor,
            lambda text: shared.sink.emit(Warn("smtpd", text)),
            shared.settings.queue_directory,
        )
        self._room = Room(shared.reactor, most_connections(), shared.sink)

    def adopt(self, sockets: Iterable[Bound]) -> None:
        """
        Make everything, but accept nobody yet.

        @param sockets: bound; they stay open and belong to the caller.
        @raise ConfigError: a service cannot be made from its settings.
        """
        for bound in sockets:
            self._adopt(bound)

    def listen(self, sockets: Iterable[Bound] = ()) -> None:
        """
        Accept clients. The queue is open.

        @param sockets: as L{adopt}, besides those that were.
        """
        self.adopt(sockets)
        self._room.open()

    async def drain(self, limit: float = SESSIONS) -> None:
        """
        Accept nothing more; let sessions end.

        @param limit: seconds, at most. When there are many, others have taken
            over, and sessions go on as if nothing was; else those between
            transactions are told at once to come again.
        """
        self._room.close()
        for _factory, port in self._smtpds:
            await maybe_later(port.stopListening())
        factories = [factory for factory, _port in self._smtpds]
        served: list[SMTPServerFactory | Gate] = [*factories, *self._gates]
        end = self._shared.reactor.seconds() + limit - SESSIONS
        while limit > HURRY and self._shared.reactor.seconds() < end:
            if self._hurried or not any(each.connections for each in served):
                break
            await deferLater(self._shared.reactor, LOOK)
        for gate in self._gates:
            gate.stop()
        for drained in [factory.drain(min(limit, SESSIONS)) for factory in factories]:
            await drained
        for factory in factories:
            factory.stop_logins()
        self._policy_servers.stop()
        if self._rates is not None:
            self._rates.close()

    def hurry(self) -> None:
        """
        Whatever limit C{drain} was told, it has passed.
        """
        self._hurried = True

    def _adopt(self, bound: Bound) -> None:
        shared, parts = self._shared, self._parts
        outer = bound.listen.service
        service = behind(outer, shared.of(outer), shared.services)
        settings = shared.of(service)
        seats = self._seats_of(service)
        used = seats.used if seats is not None else self._room.used
        factory = server_factory(
            settings,
            self.services(service, settings),
            service.name,
            seats=seats,
            room=stress_room(service.maxproc or self._room.limit, used, bool(seats)),
        )
        entrance: Any
        if outer is service:
            sink = sink_of(shared, settings)
            entrance = listener(factory, shared.reactor, settings, sink)
        else:
            entrance = make_gate(
                shared, shared.of(outer), parts.tables, parts.resolver, factory
            )
            entrance.counted = self._room.count
            self._gates.append(entrance)
        port: Any = shared.reactor.adoptStreamPort(
            bound.socket.fileno(), bound.socket.family, entrance
        )
        write_at_once(port, parts.poller)
        factory.counted = self._room.count
        self._room.add(port)
        self._smtpds.append((factory, port))

    def services(self, service: MasterService, settings: Settings) -> Services:
        """
        @param settings: of the service.
        @return: what its server needs of the other packages.
        """
        shared, parts = self._shared, self._parts
        cleanup = cleanup_settings(shared, service)
        return Services(
            shared.reactor,
            shared.now,
            sink_of(shared, settings),
            make_cleanup(cleanup, parts.store, sink_of(shared, cleanup), parts.tables),
            parts.store,
            parts.tables.addresses_for(settings),
            ClientNames(parts.resolver, shared.reactor),
            partial(parts.tables.open_list, settings),
            self._own,
            parts.postmaster,
            parts.tables.registry.table,
            self._counts,
            self._login_tools(settings),
            policy_servers=self._policy_servers,
            rates=self._rates_for(settings),
            resolver=parts.resolver,
            read_file=by(shared.ways.read),
        )

    def _rates_for(self, settings: Settings) -> SharedRates | None:
        """
        @return: the same for all services; none, if nobody limits rates.
        """
        shared = self._shared
        texts = [each.text for each in settings.definitions.values()]
        if self._rates is None and any("check_rate_limit" in text for text in texts):
            directory = shared.settings.queue_directory
            try:
                self._rates = SharedRates(
                    directory, shared.now, shared.sink, self._parts.postmaster
                )
            except OSError as e:
                raise ConfigError([f"check_rate_limit: {e}"]) from e
        return self._rates

    def _login_tools(self, settings: Settings) -> Tools:
        tables = self._parts.tables
        sink = sink_of(self._shared, settings)
        return Tools(
            self._shared.reactor,
            lambda name: tables.lists.strings(name, getattr(settings, name)),
            partial(tables.open_list, settings),
            tables.registry.table,
            lambda text: sink.emit(Warn("smtpd", text)),
        )

    def _seats_of(self, service: MasterService) -> Seats | None:
        """
        @return: the same for all addresses of a service.
        """
        if not service.maxproc:
            return None
        if service.name not in self._seats:
            self._seats[service.name] = self._parts.seats(service, service.maxproc)
        return self._seats[service.name]
