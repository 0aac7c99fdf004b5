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

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txmta.errors import StoreUnavailable
from txmta.interfaces import IContent
from txmta.queue.store import bulk, ids
from txmta.queue.store.cache import ContentCache
from txmta.queue.store.content import Spool
from txmta.queue.store.contents import TOGETHER, Clocks, ManyContents
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

    def ahead(self, wanted: Iterable[tuple[str, int]]) -> None:
        """
        Some will be asked for at once. What was just written is read together
        and kept, so that whoever asks need not wait for a turn of the reactor.

        @param wanted: queue ids, and sizes, which may be lies.
        """
        contents = self._contents
        numbers: list[int] = []
        room = CACHE // 2
        for queue_id, size in wanted:
            number = ids.decode(queue_id)
            room -= size
            if room < 0 or len(numbers) == TOGETHER:
                break
            if number is not None and contents.cache.get(number) is None:
                numbers.append(number)
        if not numbers or not contents.at_once(min(numbers)):
            return
        try:
            found = self._reader.now(partial(bulk.contents, numbers=numbers))
        except StoreUnavailable:
            return  # whoever asks hears of it
        for number, data in found.items():
            contents.cache.put(number, data)

    def stop(self) -> Deferred[None]:
        """
        @return: fires when all is read and closed.
        """
        return self._reader.stop()
