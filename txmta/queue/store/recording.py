"""
Recording what became of an attempt.

Owns: claims ending, and the content of bounces and forwards that share that
    of another message.
Knows nothing of: SQL.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>} for a record that
cannot be written by its own fault, and when the store stops. Passing trouble
is not told: the record is tried again, and the message stays claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from txmta.errors import MessageDamaged, StoreUnavailable
from txmta.interfaces import IContent
from txmta.model import Attempt, NewMessage, QueueName
from txmta.queue.store import ids
from txmta.queue.store.content import INLINE, MemoryContent, unavailable
from txmta.queue.store.core import ClaimingCore
from txmta.queue.store.intake import Claim
from txmta.queue.store.operations import Insert, Record

#: Seconds between attempts to copy shared content to a full disk.
BACK_OFF = (1.0, 60.0)

OpenContent = Callable[[str], "IContent | Deferred[IContent]"]


class Recording:
    def __init__(
        self, core: ClaimingCore, clock: IReactorTime, open_content: OpenContent
    ) -> None:
        self._core = core
        self._clock = clock
        self._open_content = open_content
        self._resting: set[Deferred[None]] = set()

    def record(self, attempt: Attempt) -> Deferred[bool]:
        """
        As L{IQueueStore.record<txmta.interfaces.IQueueStore.record>}.
        """
        number = ids.decode(attempt.queue_id)
        if number is None:
            return fail(StoreUnavailable(f"{attempt.queue_id}: no such message"))
        inserts: list[Insert] = []
        for new in attempt.inserts:
            insert = self._at_hand(new)
            if insert is None:
                return Deferred.fromCoroutine(self._record_later(number, attempt))
            inserts.append(insert)
        return self._submit(number, attempt, inserts)

    def stop(self) -> None:
        """
        Fail what waits for a disk to get room.
        """
        for resting in tuple(self._resting):
            resting.cancel()

    def _submit(
        self, number: int, attempt: Attempt, inserts: Sequence[Insert]
    ) -> Deferred[bool]:
        claim = self._core.intake.claims.get(number)
        record = Record(number, attempt.results, attempt.due, inserts)
        if claim is None:
            self._core.intake.withdraw([number])
        else:
            record.last = claim.record(attempt.results)
            record.expired = claim.message.expire
            record.stored = record.last and claim.message.size > INLINE
            # Not with a file: once it is gone, the message must not come back.
            record.lazy = record.last and not record.stored and not inserts
        answered: Deferred[bool] = self._core.submit(record)
        return answered.addCallbacks(
            self._recorded, self._failed, (record, claim), {}, (record, claim)
        )

    def _recorded(self, removed: bool, record: Record, claim: Claim | None) -> bool:
        intake = self._core.intake
        if claim is None:
            if not removed:
                intake.withdraw([record.number])
                intake.behind(record.number)
                intake.deferred(record.due or 0)
        elif claim.recorded(record.due) and not removed:
            intake.end(record.number)
            if claim.due is not None:
                intake.deferred(claim.due)
            elif claim.queue is QueueName.DEFERRED:
                intake.deferred(claim.message.due)
            else:
                intake.behind(record.number)
        return removed

    def _failed(self, failure: Failure, record: Record, claim: Claim | None) -> Failure:
        if claim is not None:
            claim.failed(record.results)
        return failure

    def _at_hand(self, new: NewMessage) -> Insert | None:
        """
        @return: the new message, L{None} if reading or writing comes first.
        """
        content = new.content
        if new.shares:
            number = ids.decode(new.shares)
            shared = None if number is None else self._core.cache.get(number)
            if shared is None:
                return None
            content += shared
        if len(content) > INLINE:
            return None
        return Insert(new.envelope, content, len(content))

    async def _record_later(self, number: int, attempt: Attempt) -> bool:
        inserts = [await self._made(new) for new in attempt.inserts]
        return await self._submit(number, attempt, inserts)

    async def _made(self, new: NewMessage) -> Insert:
        delay, longest = BACK_OFF
        while True:
            try:
                return await self._make(new)
            except MessageDamaged as e:
                raise StoreUnavailable(f"content cannot be shared: {e}") from e
            except StoreUnavailable as e:
                self._core.warn(f"{new.envelope.queue_id}: cannot be made: {e}")
            await self._rest(delay)
            delay = min(delay * 2, longest)

    async def _rest(self, delay: float) -> None:
        resting: Deferred[None] = deferLater(self._clock, delay)
        self._resting.add(resting)
        try:
            await resting
        except CancelledError:
            raise StoreUnavailable("the queue is closed") from None
        finally:
            self._resting.discard(resting)

    async def _make(self, new: NewMessage) -> Insert:
        content = new.content
        if new.shares:
            opened = self._open_content(new.shares)
            shared = await opened if isinstance(opened, Deferred) else opened
            shared.close()
            if not isinstance(shared, MemoryContent):
                return await self._copy(new)
            content += shared.data
        if len(content) > INLINE:
            return await self._copy(replace(new, content=content, shares=""))
        return Insert(new.envelope, content, len(content))

    async def _copy(self, new: NewMessage) -> Insert:
        target = ids.decode(new.envelope.queue_id)
        source = ids.decode(new.shares) if new.shares else None
        if target is None:
            raise StoreUnavailable("not a queue id of this store")
        copy = self._core.spool.copy
        try:
            size, crc = await self._core.in_thread(copy, source, target, new.content)
        except OSError as e:
            raise unavailable(e) from e
        return Insert(new.envelope, None, size, crc)
