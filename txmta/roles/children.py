"""
What each child of the master is made of: a role, and its links to others.

Owns: the order of things in each: what is made while the process has the
    rights of root (tables, links, listening sockets), and what is opened when
    they are gone (queue, threads); and the same backwards.
Knows nothing of: processes, confinement (L{txmta.child}).

Each callable gets a L{ChildContext<txmta.child.ChildContext>} and gives a
L{Role<txmta.child.Role>}. The local role has no reactor and is not here.

Errors: L{ConfigError<txmta.errors.ConfigError>}, made or started.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from txmta.config.master_cf import Service as MasterService
from txmta.delivery.plugin_attributes import agent_of
from txmta.errors import ConfigError
from txmta.interfaces import IDeliveryAgent, IQueueStore
from txmta.log.collector import Collector
from txmta.log.maillog import Target
from txmta.log.sinks import FileTarget
from txmta.master.agent_host import AgentHost
from txmta.master.doorbell import Button, Doorbell
from txmta.master.elsewhere import WorkElsewhere
from txmta.master.link import Link
from txmta.master.remote_agent import RemoteAgents
from txmta.master.seats import SharedSeats
from txmta.model import DeliveryRequest
from txmta.queue.store.content import descriptor_of
from txmta.queue.store.content_reader import ContentReader
from txmta.queue.store.locks import Lease
from txmta.queue.store.sqlite import SqliteStore
from txmta.roles.agents import (
    AgentParts,
    make_agents,
    role_of,
    stop_agents,
    transports,
)
from txmta.roles.base import Base, open_queue
from txmta.roles.late import LateEntrance
from txmta.roles.log import log_target
from txmta.roles.pickup import PickupRoleParts, make_pickup
from txmta.roles.public import make_public
from txmta.roles.qmgr import make_manager, queue_parts
from txmta.roles.smtpd import SmtpdParts, SmtpdRole
from txmta.smtp.poller import Poller
from txmta.smtp.seats import Seats
from txmta.smtp.tally import Tally

if TYPE_CHECKING:
    from txmta.child import ChildContext

#: Seconds between looks whether the queue manager before us is gone.
LEASE = 0.05

#: Exit status of a log that only root can make anew (sysexits.h).
EX_CANTCREAT = 73

#: Of the seconds that a role gets to finish, those kept for closing the queue.
CLOSING = 1.0


class SmtpdChild(Base):
    """
    Takes mail by SMTP.
    """

    def __init__(self, context: ChildContext) -> None:
        super().__init__(context)
        self._poller = Poller(self.reactor)
        self._store = self.entrance()
        self._n = context.n
        self._seat_file = -1
        context.ends.on("seats", self._take_seat_file)
        self._tally: Tally | None = None
        context.ends.on("tally", self._take_tally)
        self._smtpd = SmtpdRole(
            self.shared,
            SmtpdParts(
                self.tables,
                self.shared.make_resolver(),
                self._store,
                self.postmaster(self._store),
                self._poller,
                self._seats,
                self._tally,
            ),
        )
        self._smtpd.adopt(context.listening)
        counted = any(bound.listen.service.maxproc for bound in context.listening)
        if self._seat_file >= 0 and not counted:
            os.close(self._seat_file)
        for bound in context.listening:
            bound.socket.close()
        button = Button(self.reactor, self.warn)
        self._store.listen(button.ring)
        self.linked("doorbell", button.link)

    def _take_seat_file(self, _name: str, descriptor: int) -> None:
        self._seat_file = descriptor

    def _take_tally(self, _name: str, descriptor: int) -> None:
        self._tally = Tally(descriptor)

    def _seats(self, service: MasterService, maxproc: int) -> Seats:
        if self._seat_file < 0:
            raise ConfigError(["smtpd has no file to count sessions"])
        return SharedSeats(self._seat_file, service.name, maxproc, self._n)

    def start(self) -> None:
        self.pools.start()
        open_queue(self._store)
        self._smtpd.listen()

    async def _drain(self, seconds: float) -> None:
        await self._smtpd.drain(max(seconds - CLOSING, 0))
        await self._store.stop()
        self._poller.close()
        self.pools.stop()

    def drain(self, seconds: float) -> Deferred[None]:
        return Deferred.fromCoroutine(self._drain(seconds))


class PickupChild(Base):
    """
    Takes mail that programs hand in.
    """

    def __init__(self, context: ChildContext) -> None:
        super().__init__(context)
        self._store = self.entrance()
        notices = queue_parts(
            self.shared, self.tables, cast(IQueueStore, self._store), {}
        )
        parts = PickupRoleParts(self.tables, self._store, notices)
        self._pickup = make_pickup(self.shared, parts)
        button = Button(self.reactor, self.warn)
        self._store.listen(button.ring)
        self.linked("doorbell", button.link)

    def start(self) -> None:
        self.pools.start()
        open_queue(self._store)
        if self._pickup is not None:
            self._pickup.start()

    async def _drain(self) -> None:
        if self._pickup is not None:
            await self._pickup.stop()
        await self._store.stop()
        self.pools.stop()

    def drain(self, seconds: float) -> Deferred[None]:
        return Deferred.fromCoroutine(self._drain())


class QmgrChild(Base):
    """
    Brings every message to its end, by agents in other processes.
    """

    def __init__(self, context: ChildContext) -> None:
        super().__init__(context)
        shared = self.shared
        self._lease = Lease(Path(self.directory))
        self._poller = Poller(self.reactor)
        self._store = SqliteStore(
            self.directory, self.reactor, shared.now, self.threads(), shared.sink
        )
        elsewhere = WorkElsewhere(self.reactor)
        self._smtp = RemoteAgents(self.reactor, self.warn, elsewhere)
        self._local = RemoteAgents(self.reactor, self.warn, elsewhere, self._carry)
        self._agents = self._make_agents()
        self._manager = make_manager(
            shared,
            queue_parts(shared, self.tables, self._store, self._agents, elsewhere),
        )
        self._public = make_public(shared, self.tables, self._store, self._manager)
        self._bell = Doorbell(self._store.arrived, self.reactor, self.warn)
        self.linked("doorbell", self._bell.link)
        self.linked("delivery", self._to_agent)
        self.linked("handover", partial(self._to_agent, last=True))
        context.ends.on("public", self._listen)

    def _make_agents(self) -> dict[str, IDeliveryAgent]:
        services = transports(self.shared.services)
        parts = AgentParts(
            self.tables,
            self.shared.make_resolver(),
            self.pools,
            self._poller,
            self.postmaster(self._store),
        )
        own = [s for s in services if role_of(s) == "qmgr"]
        agents = make_agents(self.shared, parts, own)
        for s in services:
            name = agent_of(s.arguments)[0] if s.program == "plugin" else s.program
            if role_of(s) == "local":
                # Aliases and .forward files lead elsewhere.
                agents[s.name] = self._local.agent(s.name, name, s.program == "local")
            elif role_of(s) == "smtp":
                # Who talks SMTP has no other mail to send.
                onward = s.program not in ("smtp", "lmtp")
                agents[s.name] = self._smtp.agent(s.name, name, onward)
        return agents

    def _to_agent(self, peer: str, last: bool = False) -> Link:
        role = peer.partition(".")[0]
        return (self._local if role == "local" else self._smtp).link(peer, last)

    def _carry(self, request: DeliveryRequest) -> Deferred[int]:
        return Deferred.fromCoroutine(self._open(request))

    async def _open(self, request: DeliveryRequest) -> int:
        content = request.open_content()
        if isinstance(content, Deferred):
            content = await content
        return descriptor_of(content)

    def _listen(self, name: str, descriptor: int) -> None:
        with socket.socket(fileno=descriptor) as bound:
            self._public.listen({name: bound})

    def start(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        self.pools.start()
        open_queue(self._store)
        while not self._lease.take():
            await deferLater(self.reactor, LEASE)
        self._manager.startService()

    async def _drain(self, seconds: float) -> None:
        self._public.stop()
        await self._manager.drain(max(seconds - CLOSING, 0))
        self._bell.stop()
        await stop_agents(self._agents.values())
        await self._store.stop()
        # Agents find us gone, and keep what they have for the next one.
        self._smtp.stop()
        self._local.stop()
        self._poller.close()
        self.pools.stop()
        self._lease.close()

    def drain(self, seconds: float) -> Deferred[None]:
        return Deferred.fromCoroutine(self._drain(seconds))


class SmtpChild(Base):
    """
    Delivers by SMTP and LMTP, and by plug-ins.
    """

    def __init__(self, context: ChildContext) -> None:
        super().__init__(context)
        self._poller = Poller(self.reactor)
        self._reader = ContentReader(
            self.directory, self.reactor, self.shared.now, self.threads()
        )
        self._late = LateEntrance(self.entrance)
        parts = AgentParts(
            self.tables,
            self.shared.make_resolver(),
            self.pools,
            self._poller,
            self.postmaster(self._late),
        )
        services = transports(self.shared.services)
        self._agents = make_agents(
            self.shared, parts, [s for s in services if role_of(s) == "smtp"]
        )
        self._host = AgentHost(
            self._agents,
            self._reader.content,
            self.reactor,
            self.warn,
            self._reader.ahead,
        )
        self.linked("delivery", self._host.link)
        context.ends.at_last(self._host.nobody_comes)

    def start(self) -> None:
        self.pools.start()

    async def _drain(self, seconds: float) -> None:
        drained = self._host.drain()
        limit = self.reactor.callLater(max(seconds - CLOSING, 0), drained.cancel)
        try:
            await drained
        except BaseException:
            self.warn("deliveries in hand are given up")
        if limit.active():
            limit.cancel()
        await stop_agents(self._agents.values())
        await self._late.stop()
        await self._reader.stop()
        self._poller.close()
        self.pools.stop()

    def drain(self, seconds: float) -> Deferred[None]:
        return Deferred.fromCoroutine(self._drain(seconds))


class LogChild:
    """
    Writes the log of all.
    """

    def __init__(self, context: ChildContext) -> None:
        # Opened with the rights that the process still has.
        self._target: Target = log_target(context.configuration.settings)
        self._collector = Collector(self._target, context.reactor, self._look)
        context.ends.on("log", self._collector.add)

    def start(self) -> None:
        """
        Look at the file, confined as we are: later it may be gone.
        """
        self._target.write(())

    def drain(self, seconds: float) -> None:
        self._collector.close()

    def _look(self) -> None:
        if isinstance(self._target, FileTarget) and self._target.astray:
            # Confined, we cannot go where it is now. The next one can, and
            # what comes until then waits in the sockets, which master has too.
            os._exit(EX_CANTCREAT)
