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
from txmta.queue.manager import DRAIN
from txmta.queue.store.entrance import Threads
from txmta.queue.store.sqlite import SqliteStore
from txmta.queue.succession import Succession
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

    def __init__(self, shared: Shared, succession: Succession | None = None) -> None:
        """
        Nothing is opened or started yet, but tables.

        @param succession: will say what the roles that these replace have in
            hand.
        """
        reactor = shared.reactor
        self._succession = succession
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
            shared,
            queue_parts(shared, tables, self._store, self._agents, succession),
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
        self.prepare(sockets)
        self._smtpd.listen()
        self._begin(public)

    def prepare(self, sockets: Sequence[Bound]) -> None:
        """
        Open the queue, and make all that may fail. Nothing is taken yet.

        @raise ConfigError: the queue cannot be opened, or a service not made.
        """
        self._pools.start()
        try:
            self._store.start()
        except StoreUnavailable as e:
            raise ConfigError([str(e)]) from e
        self._smtpd.adopt(sockets)

    def _begin(self, public: Mapping[str, socket.socket]) -> None:
        self._manager.startService()
        self._public.listen(public)
        if self._pickup is not None:
            self._pickup.start()

    async def replace(self, old: Roles, public: Mapping[str, socket.socket]) -> None:
        """
        Take over from roles that go on only with what they have; C{prepare}
        has been called, here.
        """
        assert self._succession is not None
        self._smtpd.listen()
        old._public.stop()
        if old._pickup is not None:
            await old._pickup.stop()
        self._succession.inherit(old._manager.dispatcher, old._succession)
        await old._manager.drain()
        # Its sessions go on to take mail.
        old._store.listen(self._store.arrived)
        self._begin(public)

    async def retire(self, heir: Roles, limit: float) -> None:
        """
        End, when all sessions and deliveries under way are over.

        @param heir: has replaced these.
        @param limit: seconds for sessions.
        """
        assert heir._succession is not None
        # Asked now: later the heir may have been replaced, too.
        deliveries = heir._succession.finished()
        await self._smtpd.drain(limit)
        await deliveries
        await self._close()

    def hurry(self) -> None:
        """
        Sessions must end soon.
        """
        self._smtpd.hurry()

    async def stop(self) -> None:
        """
        Take nothing new; let sessions and deliveries end; close the queue.
        """
        if self._pickup is not None:
            await self._pickup.stop()
        await self._smtpd.drain()
        if self._succession is not None:
            await self._succession.finished(DRAIN)
        await self._manager.stopService()
        self._public.stop()
        await self._close()

    async def abandon(self) -> None:
        """
        End, when C{prepare} was all that was done, or failed.
        """
        await self._smtpd.drain(0)
        await self._close()

    async def _close(self) -> None:
        await stop_agents(self._agents.values())
        await self._store.stop()
        self._poller.close()
        self._pools.stop()
