"""
Answers to the queue tools: list, flush, and change what is in the queue.

Owns: what each request does, page by page, so that a long queue holds up
    nobody; the words of the mail log for it.
Knows nothing of: sockets, who may ask.

A message that is being delivered finishes its attempt, whatever is done to it,
as with Postfix.

Sources: Postfix C{showq/showq.c}, C{postsuper/postsuper.c}, C{flush/flush.c}.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>} and
L{TableUnavailable<txmta.errors.TableUnavailable>}; L{Refused}.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred, gatherResults

from txmta.events import Note
from txmta.interfaces import IEventSink, IMatchList, IQueueStore
from txmta.model import QueuedMessage, QueueName
from txmta.queue import changes
from txmta.queue.listed import RECIPIENTS
from txmta.queue.listing import listed
from txmta.queue.public_wire import QUEUES, Request
from txmta.queue.store import ids

#: Messages of one page of a listing: read in some 10 ms, by another thread.
PAGE = 100

#: Messages looked at, or changed, at a time.
SLICE = 200

Line = dict[str, object]


class Refused(Exception):
    """
    The request cannot be granted; the text says why.

    @ivar kind: C{"refused"} for lack of rights, else C{"unavailable"}.
    """

    def __init__(self, text: str, kind: str = "refused") -> None:
        super().__init__(text)
        self.kind = kind


class Manager(Protocol):
    """
    What is wanted of the queue manager.
    """

    def flush(self, queue_ids: Iterable[str] | None = None) -> Deferred[int]:
        """
        As L{QueueManager.flush<txmta.queue.manager.QueueManager.flush>}.
        """


class Answers:
    """
    Each answer is a series of lines.
    """

    def __init__(
        self,
        store: IQueueStore,
        manager: Manager,
        flushable: IMatchList,
        sink: IEventSink,
    ) -> None:
        """
        @param flushable: domains that can be flushed (fast_flush_domains).
        """
        self._store = store
        self._manager = manager
        self._flushable = flushable
        self._emit = sink.emit

    def answer(self, request: Request) -> AsyncIterator[Line]:
        """
        @return: all lines, the last of which is C{end}.
        """
        if request.operation == "list":
            return self._list(request)
        if request.operation == "flush":
            return self._flush(request)
        return self._change(request)

    async def _list(self, request: Request) -> AsyncIterator[Line]:
        (name,) = request.queues
        page: Sequence[QueuedMessage] = ()
        if (queue := _queue(name)) is not None:
            page = await self._store.find(queue, request.after, PAGE)
        seen = 0
        for message in page:
            if message.queue is not queue:
                continue  # it has moved meanwhile, and is found there
            for line in listed(message).lines():
                yield line
            seen += len(message.envelope.recipients)
            if seen > PAGE * RECIPIENTS:
                yield {"t": "end", "after": message.envelope.queue_id}
                return
        more = len(page) == PAGE
        yield {"t": "end", "after": page[-1].envelope.queue_id if more else ""}

    async def _flush(self, request: Request) -> AsyncIterator[Line]:
        if request.site:
            count = await self._flush_site(request.site)
        else:
            count = await self._manager.flush(request.ids)
        yield {"t": "end", "count": count}

    async def _flush_site(self, site: str) -> int:
        site = site.lower()
        eligible = self._flushable.match(site)
        if isinstance(eligible, Deferred):
            eligible = await eligible
        if not eligible:
            raise Refused(
                f'Flush service is not configured for destination "{site}": '
                "add it to fast_flush_domains",
                "unavailable",
            )
        count, after = 0, ""
        while True:
            page = await self._store.find(QueueName.DEFERRED, after, SLICE)
            there = [m.envelope.queue_id for m in page if _goes_to(m, site)]
            if there:
                count += await self._manager.flush(there)
            if len(page) < SLICE:
                return count
            after = page[-1].envelope.queue_id

    def _change(self, request: Request) -> AsyncIterator[Line]:
        steps = changes.steps(request.operation)
        queues = changes.queues(request.operation, request.queues)
        if request.ids is None:
            return self._change_all(steps, queues)
        return self._change_some(steps, queues, request.ids)

    async def _change_all(
        self, steps: Sequence[str], queues: Sequence[QueueName]
    ) -> AsyncIterator[Line]:
        totals = dict.fromkeys(steps, 0)
        for queue in queues:
            after = ""
            while True:
                page = await self._store.find(queue, after, SLICE)
                for step in steps:
                    there = [
                        m.envelope.queue_id for m in page if changes.concerns(step, m)
                    ]
                    if there:
                        count = await self._do(step)(there)
                        totals[step] += count
                        yield {"t": "count", "step": step, "count": count}
                if len(page) < SLICE:
                    break
                after = page[-1].envelope.queue_id
        for step, total in totals.items():
            self._emit(Note("postsuper", f"all: {changes.DONE[step]}: {total}"))
        yield {"t": "end"}

    async def _change_some(
        self, steps: Sequence[str], queues: Sequence[QueueName], named: Sequence[str]
    ) -> AsyncIterator[Line]:
        for queue_id in named:
            message = await self._find(queue_id)
            if message is None or message.queue not in queues:
                continue
            for step in steps:
                if not changes.concerns(step, message):
                    continue
                if await self._do(step)([queue_id]):
                    self._emit(Note("postsuper", f"{queue_id}: {changes.DONE[step]}"))
                    yield {"t": "done", "step": step, "id": queue_id}
        yield {"t": "end"}

    async def _find(self, queue_id: str) -> QueuedMessage | None:
        number = ids.decode(queue_id)
        if not number:
            return None
        page = await self._store.find(None, ids.encode(number - 1), 1)
        found = [m for m in page if m.envelope.queue_id == queue_id]
        return found[0] if found else None

    def _do(self, step: str) -> Callable[[Sequence[str]], Deferred[int]]:
        return {
            "delete": self._store.delete,
            "expire": self._store.expire,
            "hold": self._store.hold,
            "release": self._store.release,
            "requeue": self._requeue,
        }[step]

    def _requeue(self, queue_ids: Sequence[str]) -> Deferred[int]:
        """
        Off hold, and due now; what is new or active is tried already.
        """
        released = self._store.release(queue_ids)
        flushed = self._store.requeue(queue_ids)
        both = gatherResults([released, flushed], consumeErrors=True)
        return both.addCallback(lambda _: len(queue_ids))


def _queue(name: str) -> QueueName | None:
    """
    @return: L{None} for one that is not in the store.
    """
    assert name in QUEUES
    return QueueName[name.upper()] if name.upper() in QueueName.__members__ else None


def _goes_to(message: QueuedMessage, site: str) -> bool:
    if site.startswith("["):
        return any(
            r.address.lower().endswith(f"@{site}") for r in message.envelope.recipients
        )
    return any(
        r.address.rpartition("@")[2].lower() == site
        for r in message.envelope.recipients
    )
