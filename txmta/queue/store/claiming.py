"""
Claims: from memory at once, or after a look at the rows.

Owns: when the rows are read, and who waits for it.
Knows nothing of: which messages come first (L{txmta.queue.store.intake}).

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>}, when the rows
cannot be read and nothing is in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txmta.errors import StoreUnavailable
from txmta.model import QueuedMessage, QueueName
from txmta.queue.store import bulk, ids, queries
from txmta.queue.store.administration import update_queue
from txmta.queue.store.core import ClaimingCore
from txmta.queue.store.intake import Found, Scan
from txmta.queue.store.operations import Change
from txmta.queue.store.reader import Reader

#: Readings for one claim; each gives at least a hundred messages, unless rows
#: are damaged or taken meanwhile.
READINGS = 5

Messages = Sequence[QueuedMessage]


class Claiming:
    def __init__(self, core: ClaimingCore, reader: Reader, clock: IReactorTime) -> None:
        self._core = core
        self._intake = core.intake
        self._reader = reader
        self._clock = clock
        self._waiting: list[tuple[int, float, Deferred[Messages]]] = []
        self._serving = False

    def claim(self, limit: int, now: float) -> Messages | Deferred[Messages]:
        """
        As L{IQueueStore.claim<txmta.interfaces.IQueueStore.claim>}.
        """
        if limit <= 0:
            return ()
        intake = self._intake
        if not intake.scanning and not intake.wanted(limit, now, self._clock.seconds()):
            return intake.take(limit)
        claimed: Deferred[Messages] = Deferred()
        self._waiting.append((limit, now, claimed))
        if not self._serving:
            self._serving = True
            Deferred.fromCoroutine(self._serve())
        return claimed

    async def _serve(self) -> None:
        """
        Answer all that wait, one after the other. Who is answered may claim
        again before we go on: that claim is ours, too.
        """
        try:
            await self._serve_all()
        finally:
            self._serving = False

    async def _serve_all(self) -> None:
        while self._waiting:
            limit, now, claimed = self._waiting.pop(0)
            error: StoreUnavailable | None = None
            try:
                await self._read(limit, now)
            except StoreUnavailable as e:
                error = e
            messages = self._intake.take(limit)
            if error is not None and not messages:
                claimed.errback(error)
            else:
                claimed.callback(messages)

    async def _read(self, limit: int, now: float) -> None:
        intake = self._intake
        for _ in range(READINGS):
            seconds = self._clock.seconds()
            if not intake.wanted(limit, now, seconds):
                return
            scan = intake.start(limit, now, seconds)
            try:
                found = await self._find(scan)
            except BaseException:
                intake.failed()
                raise
            intake.found(scan, found)
            for number, reason in (*found.new.bad, *found.due.bad, *found.rang.bad):
                self._damaged(number, reason)

    async def _find(self, scan: Scan) -> Found:
        read = partial(_scan, what=scan)
        if scan.new_after is None and scan.due_after is None and self._reader.free:
            # Other processes have rung a moment ago.
            return self._reader.now(read)
        return await self._reader.run(read)

    def _damaged(self, number: int, reason: str) -> None:
        """
        Put a row that cannot be a message out of the way.
        """
        queue_id = ids.encode(number)
        self._core.warn(f"{queue_id}: moved to the corrupt queue: {reason}")
        change = Change(partial(update_queue, [number], QueueName.CORRUPT), 1)
        self._core.submit(change).addErrback(
            lambda f: self._core.warn(f"{queue_id}: cannot be moved: {f.value}")
        )


def _scan(connection: sqlite3.Connection, what: Scan) -> Found:
    """
    Look for messages to claim.
    """
    found = queries.scan(connection, what)
    if what.rang:
        found.rang = bulk.new_messages(connection, what.rang)
    return found
