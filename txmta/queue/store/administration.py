"""
What an administrator does to the queue: hold, release, requeue, expire,
delete, list, count.

Owns: bulk work in slices, so that mail goes on between them.
Knows nothing of: commands, who may give them.

"Expire" is written as a time due of -1: before every other, and seen by the
queue manager as C{expire}; the next deferral overwrites it. "Now" is written
as 0, for the wall clock may be set back before the message is claimed.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>}.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from twisted.internet.defer import Deferred

from txmta.model import QueuedMessage, QueueName
from txmta.queue.store import ids, queries
from txmta.queue.store.core import ClaimingCore
from txmta.queue.store.operations import Change, Changed, delete, is_stored
from txmta.queue.store.reader import Reader

#: Messages changed in one transaction: 10 to 30 ms.
SLICE = 200

#: Messages that one call of C{find} gives at most.
PAGE = 1000

Apply = Callable[[Sequence[int], sqlite3.Connection], list[Changed]]


class Administration:
    def __init__(self, core: ClaimingCore, reader: Reader) -> None:
        self._core = core
        self._reader = reader

    def hold(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._all(queue_ids, hold_rows)

    def release(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._all(queue_ids, release_rows)

    def requeue(self, queue_ids: Iterable[str] | None) -> Deferred[int]:
        if queue_ids is None:
            return Deferred.fromCoroutine(self._requeue_all())
        return self._all(queue_ids, requeue_rows)

    def expire(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._all(queue_ids, expire_rows)

    def delete(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._all(queue_ids, delete_rows)

    async def damaged(self, queue_id: str) -> None:
        """
        As L{IQueueStore.damaged<txmta.interfaces.IQueueStore.damaged>}.
        """
        number = ids.decode(queue_id)
        if number is not None:
            update = partial(update_queue, [number], QueueName.CORRUPT)
            await self._change(update, 1)
            self._core.intake.end(number)

    async def find(
        self, queue: QueueName | None, after: str, limit: int
    ) -> list[QueuedMessage]:
        """
        As L{IQueueStore.find<txmta.interfaces.IQueueStore.find>}.
        """
        start = (ids.decode(after) or 0) if after else 0
        limit = max(0, min(limit, PAGE))
        claims = self._core.intake.claims
        if queue is QueueName.ACTIVE:
            numbers = sorted(number for number in claims if number > start)[:limit]
            found = await self._reader.run(partial(queries.listed, numbers=numbers))
        else:
            without = frozenset(claims) if queue else frozenset[int]()
            found = await self._reader.run(
                partial(
                    queries.find,
                    queue=queue,
                    after=start,
                    limit=limit,
                    without=without,
                )
            )
        return [self._as_active(message) for message in found]

    def _as_active(self, message: QueuedMessage) -> QueuedMessage:
        number = ids.decode(message.envelope.queue_id)
        if number not in self._core.intake.claims:
            return message
        return replace(message, queue=QueueName.ACTIVE)

    async def counts(self) -> dict[QueueName, int]:
        """
        As L{IQueueStore.counts<txmta.interfaces.IQueueStore.counts>}.
        """
        counts = await self._reader.run(queries.counts)
        for queue, active in self._core.intake.active().items():
            counts[queue] = max(0, counts[queue] - active)
        counts[QueueName.ACTIVE] = len(self._core.intake.claims)
        return counts

    def _all(self, queue_ids: Iterable[str], apply: Apply) -> Deferred[int]:
        return Deferred.fromCoroutine(self._slices(queue_ids, apply))

    async def _slices(self, queue_ids: Iterable[str], apply: Apply) -> int:
        count = 0
        numbers = iter(_numbers(queue_ids))
        while part := list(dict.fromkeys(islice(numbers, SLICE))):
            count += await self._change(partial(apply, part), len(part))
        return count

    async def _requeue_all(self) -> int:
        count = 0
        while changed := await self._change(requeue_some, SLICE):
            count += changed
        return count

    async def _change(
        self, apply: Callable[[sqlite3.Connection], list[Changed]], octets: int
    ) -> int:
        changed: list[Changed] = await self._core.submit(Change(apply, octets))
        self._changed(changed)
        return len(changed)

    def _changed(self, changed: Sequence[Changed]) -> None:
        intake = self._core.intake
        intake.withdraw([c.number for c in changed])
        for c in changed:
            claim = intake.claims.get(c.number)
            if c.queue is None:
                self._core.cache.drop(c.number)
            elif claim is not None:
                claim.queue = c.queue
            elif c.queue is QueueName.INCOMING:
                intake.behind(c.number)
            if c.queue is QueueName.DEFERRED:
                intake.deferred(c.due)
        self._core.remove_files([c.number for c in changed if c.stored])
        if any(c.queue in (QueueName.INCOMING, QueueName.DEFERRED) for c in changed):
            self._core.ring([])


def _numbers(queue_ids: Iterable[str]) -> Iterator[int]:
    # Each message counts once, however often it is named.
    for queue_id in dict.fromkeys(queue_ids):
        number = ids.decode(queue_id)
        if number is not None:
            yield number


# The rest runs in the writer's thread.


def hold_rows(numbers: Sequence[int], connection: sqlite3.Connection) -> list[Changed]:
    return [
        Changed(number, QueueName.HOLD)
        for number in numbers
        if connection.execute(
            "UPDATE message SET queue = 3 WHERE id = ? AND queue < 3", (number,)
        ).rowcount
    ]


def release_rows(
    numbers: Sequence[int], connection: sqlite3.Connection
) -> list[Changed]:
    return [
        Changed(number, QueueName.DEFERRED)
        for number in numbers
        if connection.execute(
            "UPDATE message SET queue = 2, due = min(due, 0)"
            " WHERE id = ? AND queue = 3",
            (number,),
        ).rowcount
    ]


def requeue_rows(
    numbers: Sequence[int], connection: sqlite3.Connection
) -> list[Changed]:
    return [
        Changed(number, QueueName.DEFERRED)
        for number in numbers
        if connection.execute(
            "UPDATE message SET due = min(due, 0) WHERE id = ? AND queue = 2", (number,)
        ).rowcount
    ]


def requeue_some(connection: sqlite3.Connection) -> list[Changed]:
    numbers = connection.execute(
        "SELECT id FROM message WHERE queue = 2 AND due > 0 ORDER BY due LIMIT ?",
        (SLICE,),
    ).fetchall()
    return requeue_rows([number for (number,) in numbers], connection)


def expire_rows(
    numbers: Sequence[int], connection: sqlite3.Connection
) -> list[Changed]:
    changed: list[Changed] = []
    for number in numbers:
        row = connection.execute(
            "SELECT queue FROM message WHERE id = ? AND queue < 4", (number,)
        ).fetchone()
        if row is not None:
            connection.execute("UPDATE message SET due = -1 WHERE id = ?", (number,))
            changed.append(Changed(number, QueueName(row[0]), -1))
    return changed


def delete_rows(
    numbers: Sequence[int], connection: sqlite3.Connection
) -> list[Changed]:
    there = [
        Changed(number, None, stored=is_stored(connection, number))
        for number in numbers
        if connection.execute(
            "SELECT 1 FROM message WHERE id = ?", (number,)
        ).fetchall()
    ]
    delete(connection, [c.number for c in there])
    return there


def update_queue(
    numbers: Sequence[int], queue: QueueName, connection: sqlite3.Connection
) -> list[Changed]:
    return [
        Changed(number, queue)
        for number in numbers
        if connection.execute(
            "UPDATE message SET queue = ? WHERE id = ?", (queue.value, number)
        ).rowcount
    ]
