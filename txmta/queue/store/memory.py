"""
The queue store in memory: the double that tests of others use.

It keeps the same contract as the store on SQLite (the same tests run on
both), except for surviving. Every Deferred has fired when it is returned.

Owns: what L{IQueueStore<txmta.interfaces.IQueueStore>} promises.
Knows nothing of: disks, threads.

Errors: C{unavailable}, set by a test, is what everything fails with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from txmta.errors import MessageDamaged, StoreUnavailable
from txmta.interfaces import IContent, IIncoming, IQueueStore
from txmta.model import (
    Attempt,
    Envelope,
    NewMessage,
    QueuedMessage,
    QueueName,
    RecipientState,
    Reply,
    Result,
)
from txmta.queue.store.content import MemoryContent
from txmta.queue.store.ids import IdMaker


@dataclass
class Row:
    """
    @ivar states: of each recipient that is not finished.
    @ivar damaged: it is not what was accepted; for tests to set.
    @ivar claimed: recipients still without result in this claim, or L{None}.
    """

    envelope: Envelope
    content: bytes
    queue: QueueName = QueueName.INCOMING
    due: float = 0.0
    expire: bool = False
    states: dict[int, RecipientState] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    warned: set[int] = field(default_factory=set)
    claimed: set[int] | None = None
    damaged: bool = False

    def message(self) -> QueuedMessage:
        recipients = tuple(r for r in self.envelope.recipients if r.n in self.states)
        return QueuedMessage(
            replace(self.envelope, recipients=recipients),
            len(self.content),
            self.queue if self.claimed is None else QueueName.ACTIVE,
            self.due,
            tuple(sorted(self.reasons.items())),
            self.expire,
            not self.warned.isdisjoint(self.states),
        )


@implementer(IIncoming)
class MemoryIncoming:
    def __init__(self, store: MemoryStore, envelope: Envelope) -> None:
        self._store = store
        self._envelope = envelope
        self._content = bytearray()
        self._open = True

    def write(self, block: bytes) -> None:
        self._content += block

    def commit(self, envelope: Envelope | None = None) -> Deferred[str]:
        if not self._open:
            return fail(StoreUnavailable("this message is closed"))
        self._open = False
        if self._store.unavailable is not None:
            return fail(self._store.unavailable)
        envelope = envelope or self._envelope
        return succeed(self._store.insert(envelope, bytes(self._content)))

    def abort(self) -> None:
        self._open = False


@implementer(IQueueStore)
class MemoryStore:
    # Over budget: the interface has these methods.
    """
    @ivar rows: by queue id; tests may look, and change content.
    @ivar unavailable: what commits and records fail with, or L{None}.
    @ivar refused: what C{refusal} says.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.rows: dict[str, Row] = {}
        self.unavailable: StoreUnavailable | None = None
        self.refused: Reply | None = None
        self._ids = IdMaker(now, 0)
        self._doorbells: list[Callable[[Sequence[str]], None]] = []

    def start(self) -> None:
        pass

    def stop(self) -> Deferred[None]:
        self.unavailable = StoreUnavailable("the queue is closed")
        return succeed(None)

    def new_id(self) -> str:
        return self._ids.make()

    def open(self, envelope: Envelope) -> IIncoming:
        return MemoryIncoming(self, envelope)

    def insert(self, envelope: Envelope, content: bytes) -> str:
        """
        Put a message in the queue.
        """
        states = {r.n: RecipientState.TO_DO for r in envelope.recipients}
        queue = QueueName.HOLD if envelope.hold else QueueName.INCOMING
        self.rows[envelope.queue_id] = Row(envelope, content, queue, states=states)
        for doorbell in self._doorbells:
            doorbell([envelope.queue_id])
        return envelope.queue_id

    def refusal(self) -> Reply | None:
        return self.refused

    def free_space(self) -> int | None:
        return 1 << 40

    def listen(self, doorbell: Callable[[Sequence[str]], None]) -> None:
        self._doorbells.append(doorbell)

    def claim(self, limit: int, now: float) -> Sequence[QueuedMessage]:
        free = {i: row for i, row in self.rows.items() if row.claimed is None}
        new = sorted(i for i, r in free.items() if r.queue is QueueName.INCOMING)
        due = sorted(
            (-1 if r.expire else r.due, i)
            for i, r in free.items()
            if r.queue is QueueName.DEFERRED and (r.due <= now or r.expire)
        )
        old = min(len(due), max(limit // 2, limit - len(new)))
        chosen = [*new[: limit - old], *(i for _, i in due[:old])]
        claimed = [self.rows[i].message() for i in chosen]
        for i in chosen:
            self.rows[i].claimed = set(self.rows[i].states)
        return claimed

    def content(self, queue_id: str) -> IContent | Deferred[IContent]:
        row = self.rows.get(queue_id)
        if row is None:
            return fail(MessageDamaged(queue_id, "content is missing"))
        return MemoryContent(row.content)

    def record(self, attempt: Attempt) -> Deferred[bool]:
        if self.unavailable is not None:
            return fail(self.unavailable)
        for new in attempt.inserts:
            self._insert_new(new)
        row = self.rows.get(attempt.queue_id)
        if row is None:
            return succeed(True)
        for result in attempt.results:
            self._result(row, result)
        if not row.states:
            del self.rows[attempt.queue_id]
            return succeed(True)
        if attempt.due is not None:
            row.due = attempt.due
            if row.queue is not QueueName.HOLD:
                row.queue = QueueName.DEFERRED
        if not row.claimed:
            row.claimed = None
        return succeed(False)

    def _insert_new(self, new: NewMessage) -> None:
        shared = self.rows[new.shares].content if new.shares else b""
        self.insert(new.envelope, new.content + shared)

    def _result(self, row: Row, result: Result) -> None:
        if result.state is RecipientState.DEFERRED:
            row.states[result.n] = result.state
            if result.reason:
                row.reasons[result.n] = result.reason
                if result.warned:
                    row.warned.add(result.n)
        else:
            row.states.pop(result.n, None)
            row.reasons.pop(result.n, None)
        if row.claimed is not None:
            row.claimed.discard(result.n)

    def renew(self) -> Deferred[None]:
        return succeed(None)

    def lost(self) -> Sequence[str]:
        return ()

    def damaged(self, queue_id: str) -> Deferred[bool]:
        row = self.rows.get(queue_id)
        if row is not None and not row.damaged:
            return succeed(False)
        if row is not None:
            row.queue = QueueName.CORRUPT
            row.claimed = None
        return succeed(True)

    def hold(self, queue_ids: Iterable[str]) -> Deferred[int]:
        waiting = (QueueName.INCOMING, QueueName.DEFERRED)
        return self._change(queue_ids, waiting, QueueName.HOLD)

    def release(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._change(queue_ids, (QueueName.HOLD,), QueueName.DEFERRED)

    def requeue(self, queue_ids: Iterable[str] | None) -> Deferred[int]:
        if queue_ids is None:
            queue_ids = [i for i, row in self.rows.items() if row.due > 0]
        deferred = QueueName.DEFERRED
        return self._change(queue_ids, (deferred,), deferred)

    def expire(self, queue_ids: Iterable[str]) -> Deferred[int]:
        rows = [self.rows[i] for i in dict.fromkeys(queue_ids) if i in self.rows]
        rows = [row for row in rows if row.queue is not QueueName.CORRUPT]
        for row in rows:
            row.expire = True
            row.due = 0.0
        return succeed(len(rows))

    def delete(self, queue_ids: Iterable[str]) -> Deferred[int]:
        there = [i for i in queue_ids if self.rows.pop(i, None) is not None]
        return succeed(len(there))

    def _change(
        self, queue_ids: Iterable[str], before: Sequence[QueueName], after: QueueName
    ) -> Deferred[int]:
        rows = [self.rows[i] for i in dict.fromkeys(queue_ids) if i in self.rows]
        rows = [row for row in rows if row.queue in before]
        for row in rows:
            row.queue = after
            if after is QueueName.DEFERRED:
                row.due = 0.0  # "expire" has it already, and a clock may be set
        if after is QueueName.DEFERRED and rows:
            for doorbell in self._doorbells:
                doorbell([])
        return succeed(len(rows))

    def find(
        self, queue: QueueName | None = None, after: str = "", limit: int = 100
    ) -> Deferred[Sequence[QueuedMessage]]:
        messages = [row.message() for _, row in sorted(self.rows.items())]
        return succeed(
            [
                m
                for m in messages
                if m.envelope.queue_id > after and queue in (None, m.queue)
            ][:limit]
        )

    def counts(self) -> Deferred[dict[QueueName, int]]:
        queues = [row.message().queue for row in self.rows.values()]
        return succeed({queue: queues.count(queue) for queue in QueueName})
