"""
The content of messages, from memory, rows and files, checked.

Owns: which files are known to be good; many asked for at once read together.
Knows nothing of: claims, writing.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>};
L{MessageDamaged<txmta.errors.MessageDamaged>} for what is not what was
accepted, or not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txmta.errors import MessageDamaged, StoreUnavailable
from txmta.interfaces import IContent
from txmta.queue.store import bulk, ids, queries
from txmta.queue.store.cache import ContentCache
from txmta.queue.store.content import (
    INLINE,
    FileContent,
    InThread,
    MemoryContent,
    Spool,
)
from txmta.queue.store.reader import Malformed, Reader

#: Files known to be good, so that 50 MB are not summed for each delivery.
VERIFIED = 10_000

#: Seconds since a message was written for which it is read without a thread.
FRESH = 10.0

#: Octets in rows that are read at once at most, and so many messages.
TOGETHER = 4 * 1024 * 1024 // INLINE


@dataclass(frozen=True)
class Clocks:
    """
    @ivar timers: monotonic.
    @ivar now: wall time, in which queue ids are made.
    """

    timers: IReactorTime
    now: Callable[[], float]


class Contents:
    """
    @ivar cache: of what was committed or read.
    """

    def __init__(
        self,
        reader: Reader,
        spool: Spool,
        in_thread: InThread,
        cache: ContentCache,
        clocks: Clocks,
    ) -> None:
        self.cache = cache
        self._clocks = clocks
        self._reader = reader
        self._spool = spool
        self._in_thread = in_thread
        self._verified: dict[int, None] = {}

    def get(self, queue_id: str) -> IContent | Deferred[IContent]:
        """
        As L{IQueueStore.content<txmta.interfaces.IQueueStore.content>}.
        """
        number = ids.decode(queue_id)
        if number is None:
            return Deferred.fromCoroutine(_no_message(queue_id))
        data = self.cache.get(number)
        if data is not None:
            return MemoryContent(data)
        return self._read(number)

    def verified(self, number: int) -> None:
        """
        The file of a message is good.
        """
        self._verified[number] = None
        if len(self._verified) > VERIFIED:
            del self._verified[next(iter(self._verified))]

    async def check(self, queue_id: str) -> None:
        """
        Read a message from the disk, whatever is known of it.

        @raise MessageDamaged: it is not what was accepted.
        """
        number = ids.decode(queue_id)
        if number is None:
            await _no_message(queue_id)
            return
        self.cache.drop(number)
        self._verified.pop(number, None)
        content = await self._read_one(number)
        content.close()

    def _read(self, number: int) -> Deferred[IContent]:
        return Deferred.fromCoroutine(self._read_one(number))

    def at_once(self, number: int) -> bool:
        """
        @param number: the oldest of those to be read.
        @return: whether they are read without a thread.
        """
        fresh = int((self._clocks.now() - FRESH) * 1_000_000) << 8
        return number >= fresh and self._reader.free

    def _look(self, number: int) -> bytes | None:
        """
        @return: content that is at hand and good; any other is read with care.
        """
        if not self.at_once(number):
            return None
        try:
            found = self._reader.now(partial(bulk.contents, numbers=[number]))
        except StoreUnavailable:
            return None
        return found.get(number)

    async def _read_one(self, number: int) -> IContent:
        data = self._look(number)
        if data is not None:
            self.cache.put(number, data)
            return MemoryContent(data)
        try:
            kept = await self._reader.run(partial(queries.content, number=number))
        except Malformed as e:
            raise MessageDamaged(ids.encode(number), str(e)) from e
        if not kept.stored:
            self.cache.put(number, kept.data)
            return MemoryContent(kept.data)
        fd = await self._in_thread(
            queries.open_file, self._spool, number, kept, number in self._verified
        )
        self.verified(number)
        return FileContent(fd, kept.size, self._in_thread)


class ManyContents(Contents):
    """
    What is asked for in one turn of the reactor, or while rows are being
    read, is read together: at once if all of it is fresh, else on one way to
    the helper thread and back.
    """

    def __init__(
        self,
        reader: Reader,
        spool: Spool,
        in_thread: InThread,
        cache: ContentCache,
        clocks: Clocks,
    ) -> None:
        super().__init__(reader, spool, in_thread, cache, clocks)
        self._asked: dict[int, list[Deferred[IContent]]] = {}
        self._reading = False

    def _read(self, number: int) -> Deferred[IContent]:
        answer: Deferred[IContent] = Deferred()
        self._asked.setdefault(number, []).append(answer)
        if not self._reading:
            self._reading = True
            self._clocks.timers.callLater(0, self._start)
        return answer

    def _start(self) -> None:
        Deferred.fromCoroutine(self._read_all())

    async def _read_all(self) -> None:
        while self._asked:
            numbers = list(self._asked)[:TOGETHER]
            asked = [self._asked.pop(number) for number in numbers]
            read = partial(bulk.contents, numbers=numbers)
            try:
                if self.at_once(min(numbers)):
                    found = self._reader.now(read)
                else:
                    found = await self._reader.run(read)
            except StoreUnavailable:
                found = {}  # each hears of it by itself
            for number, answers in zip(numbers, asked, strict=True):
                data = found.get(number)
                if data is None:
                    self._ask_alone(number, answers)
                    continue
                self.cache.put(number, data)
                for answer in answers:
                    answer.callback(MemoryContent(data))
        self._reading = False

    def _ask_alone(self, number: int, answers: list[Deferred[IContent]]) -> None:
        for answer in answers:
            super()._read(number).chainDeferred(answer)


async def _no_message(queue_id: str) -> IContent:
    raise MessageDamaged(queue_id, "no such message")
