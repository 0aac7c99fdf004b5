"""
The queue, for a process that only delivers: message content, and no more.

Owns: opening the queue to read; nothing is written, locked or made.
Knows nothing of: envelopes, who asks.

Files: C{queue.db} and C{content/} in queue_directory, see
L{txmta.queue.store.entrance}; they are there, made by whoever writes.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>} and
L{MessageDamaged<txmta.errors.MessageDamaged>}, through Deferreds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txmta.interfaces import IContent
from txmta.queue.store.cache import ContentCache
from txmta.queue.store.content import Spool
from txmta.queue.store.contents import Clocks, ManyContents
from txmta.queue.store.database import Connect, Database, connect
from txmta.queue.store.entrance import Threads
from txmta.queue.store.reader import Reader

#: Octets kept of what was read: a message for several next hops is asked for
#: several times within moments.
CACHE = 1024 * 1024


class ContentReader:
    def __init__(
        self,
        directory: str,
        clock: IReactorTime,
        now: Callable[[], float],
        threads: Threads,
        connect: Connect = connect,
    ) -> None:
        """
        @param directory: queue_directory; opened when first asked.
        @param now: wall time.
        """
        place = Path(directory).absolute()
        self._reader = Reader(Database(place, connect), threads.in_thread)
        self._contents = ManyContents(
            self._reader,
            Spool(place / "content"),
            threads.in_thread,
            ContentCache(CACHE),
            Clocks(clock, now),
        )

    def content(self, queue_id: str) -> IContent | Deferred[IContent]:
        """
        As L{IQueueStore.content<txmta.interfaces.IQueueStore.content>}.
        """
        return self._contents.get(queue_id)

    def stop(self) -> Deferred[None]:
        """
        @return: fires when all is read and closed.
        """
        return self._reader.stop()
