"""
The queue store on SQLite.

What is committed here is claimed from memory without being read back
(L{txmta.queue.store.intake}). Only what is not in memory any more, or was
committed by another process, is read, in a helper thread
(L{txmta.queue.store.reader}).

Owns: putting the parts together, beside those for new mail
    (L{txmta.queue.store.entrance}), and everything of theirs that belongs in
    the reactor's thread.
Knows nothing of: SMTP, schedules, bounces.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>} and
L{MessageDamaged<txmta.errors.MessageDamaged>}, as the interface says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from txmta.errors import MessageDamaged
from txmta.interfaces import IContent, IEventSink, IQueueStore
from txmta.model import Attempt, QueuedMessage, QueueName
from txmta.queue.store import ids
from txmta.queue.store.administration import Administration
from txmta.queue.store.cache import ContentCache
from txmta.queue.store.claiming import Claiming
from txmta.queue.store.content import Spool
from txmta.queue.store.contents import Clocks, Contents
from txmta.queue.store.core import ClaimingCore
from txmta.queue.store.entrance import Entrance, Limits, Threads
from txmta.queue.store.reader import Reader
from txmta.queue.store.recording import Recording
from txmta.queue.store.start import sweep


@implementer(IQueueStore)
class SqliteStore(Entrance):
    # Over budget: the interface has these methods; each is a line or two, and
    # the work is done by the parts.

    _core: ClaimingCore

    def __init__(
        self,
        directory: str,
        clock: IReactorTime,
        now: Callable[[], float],
        threads: Threads,
        sink: IEventSink,
        limits: Limits | None = None,
    ) -> None:
        """
        As L{Entrance}.
        """
        super().__init__(directory, clock, now, threads, sink, limits)
        self._reader = Reader(self._database, threads.in_thread)
        self._claiming = Claiming(self._core, self._reader, clock)
        self._contents = Contents(
            self._reader,
            self._core.spool,
            threads.in_thread,
            self._core.cache,
            Clocks(clock, now),
        )
        self._recording = Recording(self._core, clock, self.content)
        self._administration = Administration(self._core, self._reader)

    def _make_core(self, spool: Spool) -> ClaimingCore:
        cache = ContentCache(self._limits.cache)
        return ClaimingCore(spool, self._threads.in_thread, self._sink, cache)

    # Life.

    def _opened(self, connection: sqlite3.Connection) -> None:
        sweep(connection, self._core.spool, self._slot)

    def stop(self) -> Deferred[None]:
        self._recording.stop()
        return super().stop()

    async def _stop(self) -> None:
        await self._reader.stop()
        await super()._stop()

    # Delivery.

    def arrived(self, queue_ids: Sequence[str]) -> None:
        """
        Another process says that it has committed new mail.

        @param queue_ids: a hint: what is not there, or not new, is passed
            over; none: there may be some of which nobody told.
        """
        if queue_ids:
            numbers = [n for n in map(ids.decode, queue_ids) if n is not None]
            self._core.intake.rang(numbers)
        else:
            self._core.intake.behind(0)
        self._core.ring([])

    def claim(
        self, limit: int, now: float
    ) -> Sequence[QueuedMessage] | Deferred[Sequence[QueuedMessage]]:
        return self._claiming.claim(limit, now)

    def content(self, queue_id: str) -> IContent | Deferred[IContent]:
        return self._contents.get(queue_id)

    def _filed(self, number: int) -> None:
        self._contents.verified(number)

    def record(self, attempt: Attempt) -> Deferred[bool]:
        return self._recording.record(attempt)

    def renew(self) -> Deferred[None]:
        return succeed(None)

    def lost(self) -> Sequence[str]:
        return ()

    def damaged(self, queue_id: str) -> Deferred[bool]:
        return Deferred.fromCoroutine(self._damaged(queue_id))

    async def _damaged(self, queue_id: str) -> bool:
        try:
            await self._contents.check(queue_id)
        except MessageDamaged:
            await self._administration.damaged(queue_id)
            return True
        return False

    # Administration.

    def hold(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._administration.hold(queue_ids)

    def release(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._administration.release(queue_ids)

    def requeue(self, queue_ids: Iterable[str] | None) -> Deferred[int]:
        return self._administration.requeue(queue_ids)

    def expire(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._administration.expire(queue_ids)

    def delete(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._administration.delete(queue_ids)

    def find(
        self, queue: QueueName | None = None, after: str = "", limit: int = 100
    ) -> Deferred[Sequence[QueuedMessage]]:
        return Deferred.fromCoroutine(self._administration.find(queue, after, limit))

    def counts(self) -> Deferred[dict[QueueName, int]]:
        return Deferred.fromCoroutine(self._administration.counts())
