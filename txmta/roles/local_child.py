"""
The local role: the one child that keeps the rights of root, to become each
recipient in turn. It serves all transports whose program is local, virtual or
pipe, without reactor, threads or network.

Owns: which part gets which.
Knows nothing of: how anything is delivered (L{txmta.delivery}), or asked for
    (L{txmta.master.local_host}).

Sources: Postfix's local(8), SECURITY.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from zope.interface import implementer

from txmta.config.master_cf import Service as MasterService
from txmta.delivery.context import AgentContext
from txmta.delivery.forked_commands import ForkedCommands
from txmta.delivery.power import Power
from txmta.delivery.registry import AgentRegistry
from txmta.delivery.rights import OwnAccount, Owner, Rights
from txmta.delivery.sequential import Sequential
from txmta.errors import ResolverUnavailable
from txmta.events import Warn
from txmta.interfaces import IDeliveryAgent, IResolver
from txmta.maps.context import Ways
from txmta.maps.files import reader_of
from txmta.master import kernel
from txmta.master.control import ORPHAN
from txmta.master.link_transport import adopt
from txmta.master.local_host import make_host, serve
from txmta.master.privileges import server_account
from txmta.model import Answer
from txmta.roles.agents import role_of, transports
from txmta.roles.names import sink_of
from txmta.roles.shared import Reactor, Shared

if TYPE_CHECKING:
    from txmta.child import BlockingContext

#: Open files: two for each delivery in hand, some more for each command.
FILES = 4096


class LocalChild:
    """
    What the process is made of.
    """

    def __init__(self, context: BlockingContext) -> None:
        """
        @raise ConfigError: an agent cannot be made from its settings.
        """
        configuration = context.configuration
        self._context = context
        self._loop = loop = Sequential(rests=partial(_stay_mortal, os.getppid()))
        self._shared = Shared(
            configuration.settings,
            configuration.services,
            # All that tables and agents of this role use of one.
            cast("Reactor", loop),
            time.time,
            context.sink,
            Ways(reader_of(configuration.files)),
        )
        self._tables = self._shared.open_tables()
        self._rights = make_rights(self._shared)
        self._agents = {
            service.name: self._make(service)
            for service in transports(self._shared.services)
            if role_of(service) == "local"
        }
        configuration.files.close()
        self._host = make_host(self._agents, loop, self._warn)

    def run(self) -> None:
        """
        Until master wants an end of it.
        """
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        os.umask(0o077)
        _raise_limit(FILES)
        for kind in ("delivery", "handover"):
            self._context.ends.on(kind, self._take)
        self._context.ends.at_last(self._host.nobody_comes)
        serve(self._loop, self._host, self._context.control, self._stop)

    def _take(self, peer: str, descriptor: int) -> None:
        adopt(self._loop, descriptor, self._host.link(peer))

    def _make(self, service: MasterService) -> IDeliveryAgent:
        shared, tables, loop = self._shared, self._tables, self._loop
        settings = shared.of(service)
        context = AgentContext(
            service.name,
            settings,
            shared.reactor,
            loop,
            shared.now,
            NoNetwork(),
            sink_of(shared, settings),
            tables.registry.table,
            loop.in_thread,
            tables.addresses,
            service.arguments,
            service.where,
            rights=self._rights,
            one_thread=True,
        )
        commands = ForkedCommands(context, loop)
        return AgentRegistry().make(
            service.program, replace(context, commands=commands)
        )

    def _stop(self) -> None:
        for agent in self._agents.values():
            stop = getattr(agent, "stop", None)
            if stop is not None:
                stop()

    def _warn(self, text: str) -> None:
        self._shared.sink.emit(Warn("local", text))


@implementer(IResolver)
class NoNetwork:
    """
    Mail that leaves the machine is not for this role.
    """

    def lookup(self, name: str, kind: str) -> Answer:
        raise ResolverUnavailable(name, kind, "local has no network")


def make_rights(shared: Shared) -> Rights:
    """
    @return: root's, if we are root.
    """
    if os.geteuid() != 0:
        return OwnAccount()
    account = server_account(shared.settings)
    return Power(Owner(account.uid, account.gid))


def _stay_mortal(parent: int) -> None:
    """
    Be killed when the parent dies: the kernel has forgotten that with the
    last change of ids.
    """
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(ORPHAN)


def _raise_limit(files: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        files = min(files, hard)
    if soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def run(context: BlockingContext) -> None:
    """
    Be the local role.

    @raise ConfigError: it cannot work with this configuration.
    """
    LocalChild(context).run()
