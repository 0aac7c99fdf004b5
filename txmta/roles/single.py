"""
All roles in one process, wired by direct calls.

Owns: which part gets which; the order in which roles start and stop.
Knows nothing of: signals, privileges, sockets being bound (L{txmta.build}).

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from txmta.errors import ConfigError, StoreUnavailable
from txmta.interfaces import IDeliveryAgent
from txmta.master.binding import Bound
from txmta.queue.store.entrance import Threads
from txmta.queue.store.sqlite import SqliteStore
from txmta.roles.agents import AgentParts, make_agents, stop_agents, transports
from txmta.roles.pickup import PickupRoleParts, make_pickup
from txmta.roles.public import make_public
from txmta.roles.qmgr import make_manager, make_postmaster, queue_parts
from txmta.roles.shared import Pools, Shared
from txmta.roles.smtpd import SmtpdParts, SmtpdRole
from txmta.smtp.poller import Poller


class Roles:
    """
    All roles of one process.
    """

    def __init__(self, shared: Shared) -> None:
        """
        Nothing is opened or started yet, but tables.
        """
        reactor = shared.reactor
        tables = shared.open_tables()
        resolver = shared.make_resolver()
        self._pools = Pools(reactor)
        self._poller = Poller(reactor)
        self._store = SqliteStore(
            shared.settings.queue_directory,
            reactor,
            shared.now,
            Threads(reactor.callFromThread, self._pools.runner("queue", 4)),
            shared.sink,
        )
        postmaster = make_postmaster(shared, tables, self._store)
        self._agents: dict[str, IDeliveryAgent] = make_agents(
            shared,
            AgentParts(tables, resolver, self._pools, self._poller, postmaster),
            transports(shared.services),
        )
        self._manager = make_manager(
            shared, queue_parts(shared, tables, self._store, self._agents)
        )
        notices = queue_parts(shared, tables, self._store, {})
        self._pickup = make_pickup(
            shared, PickupRoleParts(tables, self._store, notices)
        )
        self._public = make_public(shared, tables, self._store, self._manager)
        self._smtpd = SmtpdRole(
            shared,
            SmtpdParts(tables, resolver, self._store, postmaster, self._poller),
        )

    def start(
        self, sockets: Sequence[Bound], public: Mapping[str, socket.socket] = {}
    ) -> None:
        """
        @param sockets: bound; they stay open and belong to the caller.
        @param public: the sockets of the queue tools; the same.
        @raise ConfigError: the queue cannot be opened.
        """
        self._pools.start()
        try:
            self._store.start()
        except StoreUnavailable as e:
            raise ConfigError([str(e)]) from e
        self._manager.startService()
        self._public.listen(public)
        if self._pickup is not None:
            self._pickup.start()
        self._smtpd.listen(sockets)

    async def stop(self) -> None:
        """
        Take nothing new; let sessions and deliveries end; close the queue.
        """
        if self._pickup is not None:
            await self._pickup.stop()
        await self._smtpd.drain()
        await self._manager.stopService()
        self._public.stop()
        await stop_agents(self._agents.values())
        await self._store.stop()
        self._poller.close()
        self._pools.stop()
