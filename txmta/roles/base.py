"""
What all children with a reactor have, whatever their role.

Owns: settings, tables, threads, ways into the queue, links to peers.
Knows nothing of: what a role does (L{txmta.roles.children}).

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from txmta.errors import ConfigError, StoreUnavailable
from txmta.events import Warn
from txmta.interfaces import IPostmaster, IQueueStore, ITable
from txmta.maps.context import TableContext, Ways
from txmta.maps.files import reader_of
from txmta.master.asker import AskedTable, Asker
from txmta.master.link import Link
from txmta.master.link_transport import adopt
from txmta.queue.store.entrance import Entrance, Threads
from txmta.roles.qmgr import make_postmaster
from txmta.roles.shared import Pools, Shared

if TYPE_CHECKING:
    from txmta.child import ChildContext

#: Threads for the queue in each process.
THREADS = 4


class Base:
    """
    What all roles with a reactor have.
    """

    def __init__(self, context: ChildContext) -> None:
        configuration = context.configuration
        self.reactor = context.reactor
        self._context = context
        self._asker = Asker(context.reactor, lambda text: self.warn(text))
        ways = Ways(
            reader_of(configuration.files),
            elsewhere=self._elsewhere,
            # That is what a jail is.
            jailed=configuration.settings.queue_directory == "/",
            reactor=context.reactor,
        )
        self.shared = Shared(
            configuration.settings,
            configuration.services,
            context.reactor,
            context.now,
            context.sink,
            ways,
        )
        self.tables = self.shared.open_tables()
        self.pools = Pools(context.reactor)
        self.warn = partial(_warn, self.shared, context.role)
        self.linked("proxy", self._asker.link)

    @property
    def directory(self) -> str:
        return self.shared.settings.queue_directory

    def threads(self) -> Threads:
        return Threads(self.reactor.callFromThread, self.pools.runner("queue", THREADS))

    def entrance(self) -> Entrance:
        """
        @return: not started.
        """
        shared = self.shared
        return Entrance(
            self.directory, self.reactor, shared.now, self.threads(), shared.sink
        )

    def linked(self, kind: str, make: Callable[[str], Link]) -> None:
        """
        @param make: gives a protocol for a link of a kind to a peer.
        """

        def take(peer: str, descriptor: int) -> None:
            adopt(self.reactor, descriptor, make(peer))

        self._context.ends.on(kind, take)

    def _elsewhere(self, table: str, context: TableContext) -> ITable:
        # The system's accounts do not change from one moment to the next, and
        # one recipient is looked up several times.
        seconds = context.seconds if table.startswith("unix:") else None
        return AskedTable(self._asker, context.spec, table, seconds)

    def postmaster(self, store: object) -> IPostmaster:
        """
        @param store: to put mail to the postmaster in.
        """
        return make_postmaster(self.shared, self.tables, cast(IQueueStore, store))


def _warn(shared: Shared, program: str, text: str) -> None:
    shared.sink.emit(Warn(program, text))


def open_queue(store: Entrance) -> None:
    """
    @raise ConfigError: it cannot be opened.
    """
    try:
        store.start()
    except StoreUnavailable as e:
        raise ConfigError([str(e)]) from e
