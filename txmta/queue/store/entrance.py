"""
Where new mail enters the queue: all that a process needs that only inserts.

The way of a message: its content is gathered (L{txmta.queue.store.incoming}),
and committed by the writer's thread together with whatever else waits
(L{txmta.queue.store.writer}).

Owns: opening and closing the queue, queue ids, commits, the doorbell.
Knows nothing of: claims, records, what becomes of the mail. It keeps nothing
    of what is committed, and touches no content file that is not its own.

Files, all in queue_directory: C{queue.db}, a link to C{queue.1.db} (with
C{-wal} and C{-shm}); C{queue.lock}, whose turn it is; C{queue.reserve}, given
up when the disk is full; C{slot/}, which process makes which queue ids;
C{content/}, messages above 64 KiB.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>}, as the interface
says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.errors import StoreUnavailable
from txmta.interfaces import IEventSink, IIncoming, IQueueEntrance
from txmta.model import Envelope, Reply
from txmta.queue.store import ids
from txmta.queue.store.cache import CACHE
from txmta.queue.store.content import FULL, Reserve, Spool, SpoolFile, unavailable
from txmta.queue.store.core import Core
from txmta.queue.store.database import Connect, Database, connect
from txmta.queue.store.files import Files, State
from txmta.queue.store.incoming import Incoming
from txmta.queue.store.journal import WRITE_ERROR
from txmta.queue.store.locks import Slot, TurnLock
from txmta.queue.store.operations import Insert
from txmta.queue.store.space import FreeSpace
from txmta.queue.store.start import make_directory, newest
from txmta.queue.store.writer import Timing, Writer

#: Seconds of waiting for a turn after which new mail is refused.
LONG_WAIT = 10.0

#: Seconds that C{stop} waits for the writer.
STOP = 30.0

_FULL = Reply(452, "4.3.1", FULL)
_UNAVAILABLE = Reply(451, "4.3.0", WRITE_ERROR)


@dataclass(frozen=True)
class Threads:
    """
    @ivar call_from_thread: runs a callable in the reactor's thread; any
        thread may call it (C{IReactorFromThreads.callFromThread}).
    @ivar in_thread: runs a callable away from the reactor and gives a
        Deferred of its result (C{deferToThreadPool}).
    """

    call_from_thread: Callable[..., object]
    in_thread: Callable[..., Deferred[Any]]


@dataclass(frozen=True)
class Limits:
    """
    @ivar reserve: octets of the reserve file.
    @ivar cache: octets of content kept in memory.
    @ivar timing: of the writer.
    @ivar connect: opens a database; for tests.
    """

    reserve: int = Reserve.SIZE
    cache: int = CACHE
    timing: Timing = field(default_factory=Timing)
    connect: Connect = connect


@implementer(IQueueEntrance)
class Entrance:
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
        @param directory: queue_directory; nothing is touched before
            C{start}.
        @param clock: monotonic.
        @param now: wall time.
        """
        self._limits = limits or Limits()
        self._directory = Path(directory).absolute()
        self._clock = clock
        self._now = now
        self._threads = threads
        self._sink = sink
        self._database = Database(self._directory, self._limits.connect)
        self._space = FreeSpace(self._directory, clock)
        self._core = self._make_core(Spool(self._directory / "content"))

    def _make_core(self, spool: Spool) -> Core:
        return Core(spool, self._threads.in_thread, self._sink)

    # Life.

    def start(self) -> None:
        """
        Open the queue, or make a new one where there is none. Blocks: call
        it before anything listens, and after the last fork.

        @raise StoreUnavailable: this is no queue, or it cannot be trusted.
        """
        directory = self._directory
        with ExitStack() as undo:
            try:
                connection = self._open(directory, undo)
                self._ids = ids.IdMaker(self._now, self._slot.number)
                self._ids.after(newest(connection, self._now()))
                self._opened(connection)
            except (sqlite3.Error, OSError) as e:
                raise StoreUnavailable(
                    f"cannot open the queue in {directory}: {e}"
                ) from e
            undo.pop_all()
        self._stopped: Deferred[None] = Deferred()
        self._writer.start(
            partial(self._threads.call_from_thread, self._writer_stopped)
        )
        self._core.submit_to_writer = self._writer.submit

    def _open(self, directory: Path, undo: ExitStack) -> sqlite3.Connection:
        make_directory(directory)
        make_directory(self._core.spool.directory)
        self._slot = Slot(directory)
        undo.callback(self._slot.close)
        self._turn = TurnLock(directory / "queue.lock")
        undo.callback(self._turn.close)
        reserve = Reserve(directory / "queue.reserve", self._limits.reserve)
        self._files = Files(self._database, self._turn, reserve, self._sink)
        self._writer = Writer(
            self._files,
            self._turn,
            partial(self._threads.call_from_thread, self._core.answered),
            self._limits.timing,
        )
        connection = self._writer.open()
        undo.callback(connection.close)
        return connection

    def _opened(self, connection: sqlite3.Connection) -> None:
        """
        For subclasses: nothing has started yet.
        """

    def _filed(self, number: int) -> None:
        """
        For subclasses: a message was committed whose content has a file.
        """

    def stop(self) -> Deferred[None]:
        """
        Take nothing more; answer or fail what is under way; checkpoint.

        @return: fires when all is closed, or after half a minute.
        """
        if self._core.submit_to_writer is None:
            return succeed(None)
        self._core.submit_to_writer = None
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        timeout = self._clock.callLater(STOP, self._writer_stopped)
        self._writer.stop()
        await self._stopped
        if timeout.active():
            timeout.cancel()

    def _writer_stopped(self) -> None:
        if not self._stopped.called:
            if self._files.state is State.CLOSED:
                self._turn.close()
            self._slot.close()
            self._stopped.callback(None)

    # New mail.

    def new_id(self) -> str:
        return self._ids.make()

    def open(self, envelope: Envelope) -> IIncoming:
        return Incoming(self, envelope)

    def refusal(self) -> Reply | None:
        state = self._files.state
        if state is not State.READY:
            return _FULL if state is State.FULL else _UNAVAILABLE
        if self._turn.waiting() > LONG_WAIT:
            return _UNAVAILABLE
        return None

    def free_space(self) -> int | None:
        return self._space.octets()

    def create_file(self, number: int) -> SpoolFile:
        """
        For L{Incoming}.
        """
        return self._core.spool.create(number)

    def insert(self, envelope: Envelope, content: bytes) -> Deferred[str]:
        """
        For L{Incoming}.
        """
        try:
            return self._core.submit(Insert(envelope, content, len(content)))
        except ValueError as e:
            return _failed(e)

    def insert_file(self, envelope: Envelope, file: SpoolFile) -> Deferred[str]:
        """
        For L{Incoming}.
        """
        return Deferred.fromCoroutine(self._insert_file(envelope, file))

    async def _insert_file(self, envelope: Envelope, file: SpoolFile) -> str:
        try:
            await self._threads.in_thread(file.finish)
            insert = Insert(envelope, None, file.size, file.crc)
            queue_id: str = await self._core.submit(insert)
        except Exception as e:
            # In doubt, a row that names the file may turn up in the rebuilt
            # queue; else it is rubbish.
            if self._files.state is not State.DOUBT:
                file.abort()
            raise e if isinstance(e, StoreUnavailable) else unavailable(e) from e
        self._filed(insert.number)
        return queue_id

    def listen(self, doorbell: Callable[[Sequence[str]], None]) -> None:
        self._core.doorbells.append(doorbell)


def _failed(error: ValueError) -> Deferred[str]:
    failed: Deferred[str] = Deferred()
    failed.errback(Failure(StoreUnavailable(f"{WRITE_ERROR}: {error}")))
    return failed
