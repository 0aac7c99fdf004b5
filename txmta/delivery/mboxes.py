"""
Brings messages to mailbox files in threads, several to one file at once.

Each file has a lane: one thread at a time, or one large message at a time,
works on it; what comes meanwhile is then appended together, with one lock and
one sync. A file that another program has locked is tried again as often, and
at such intervals, as Postfix does; no thread waits for it.

Owns: which messages are appended together; waiting for locks; patience.
Knows nothing of: addresses, outcomes; how a file is written
    (L{txmta.delivery.mbox_file}).

Sources: Postfix C{global/deliver_flock.c} (deliver_lock_attempts,
deliver_lock_delay).

Errors: L{MailboxError<txmta.delivery.filesystem.MailboxError>}.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, TimeoutError
from twisted.internet.task import deferLater

from txmta.delivery.blocks import read_block
from txmta.delivery.context import AgentContext
from txmta.delivery.copy import Stamp
from txmta.delivery.filesystem import FileSystem, MailboxError
from txmta.delivery.mailbox_lock import Busy
from txmta.delivery.maildirs import (
    BLOCK,
    MAX_BATCH,
    MAX_BATCH_SIZE,
    MAX_JOINED,
    MAX_STREAMS,
    PATIENCE,
)
from txmta.delivery.mbox import MboxLines, head, quoted
from txmta.delivery.mbox_file import MboxAppending, MboxWriter
from txmta.delivery.mbox_open import MboxFile
from txmta.delivery.message import Message
from txmta.delivery.rights import Owner
from txmta.events import Warn
from txmta.interfaces import IContent


@dataclass(slots=True, eq=False)
class _Waiting:
    """
    @ivar octets: the whole of a small message, or what stands before the
        content of a large one.
    @ivar content: of a large one.
    """

    file: MboxFile
    octets: bytes
    content: IContent | None = None
    done: Deferred[None] = field(default_factory=Deferred)


@dataclass(slots=True, eq=False)
class _Lane:
    """
    @ivar waiting: shared with a thread, under C{Mboxes._lock}.
    @ivar stuck: a thread does not come back.
    """

    path: str
    waiting: deque[_Waiting] = field(default_factory=deque)
    stuck: bool = False


class Mboxes:
    """
    All mailbox files of one delivery agent.
    """

    def __init__(self, context: AgentContext, fs: FileSystem | None = None) -> None:
        """
        @param fs: for tests.
        """
        settings = context.settings
        self._context = context
        self._writer = MboxWriter(context.now, settings.stale_lock_time, fs)
        self._attempts = settings.deliver_lock_attempts
        self._delay = settings.deliver_lock_delay
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._streams = DeferredSemaphore(MAX_STREAMS)

    async def deliver(self, message: Message, file: MboxFile, stamp: Stamp) -> None:
        """
        The message is safe on disk when this returns.

        @param message: not closed before that.
        @raise MailboxError: it is not there; the reason says what happened,
            and leaves to the caller to say where.
        """
        date = time.asctime(time.localtime(self._context.now()))
        before = head(stamp, date)
        if message.lines is not None:
            waiting = _Waiting(file, before + quoted(message.lines) + b"\n")
        else:
            waiting = _Waiting(file, before, message.content)
        self._put(waiting, message.joins)
        await waiting.done

    def _put(self, waiting: _Waiting, joins: Callable[[], None]) -> None:
        path = waiting.file.path
        lane = self._lanes.get(path)
        if lane is None:
            lane = self._lanes[path] = _Lane(path, deque([waiting]))
            Deferred.fromCoroutine(self._run(lane)).addErrback(self._broken, lane)
        elif lane.stuck:
            waiting.done.errback(_no_answer())
        else:
            with self._lock:
                lane.waiting.append(waiting)
                count = len(lane.waiting)
            if count <= MAX_JOINED:
                joins()

    async def _run(self, lane: _Lane) -> None:
        attempts = 0
        while lane.waiting:
            attempts += 1
            try:
                await self._next(lane)
                attempts = 0
            except Busy as e:
                if attempts >= self._attempts:
                    attempts = 0
                    self._fail(lane, e)
                else:
                    await deferLater(self._context.clock, self._delay)
            except MailboxError as e:
                attempts = 0
                self._fail(lane, e)
            self._warn()
        del self._lanes[lane.path]

    def _broken(self, failure: Any, lane: _Lane) -> None:
        """
        A bug: whoever waits is told, and logs it.
        """
        self._lanes.pop(lane.path, None)
        for waiting in self._drop(lane):
            waiting.done.errback(failure)

    async def _next(self, lane: _Lane) -> None:
        """
        Append what is first, or several.

        @raise MailboxError: the file could not be opened or locked.
        """
        first = lane.waiting[0]
        if first.content is None:
            await self._batch(lane, first.file)
        else:
            await self._large(lane, first, first.content)

    async def _batch(self, lane: _Lane, file: MboxFile) -> None:
        batch: list[_Waiting] = []

        def take() -> Sequence[bytes]:
            self._take(lane, file, batch)
            return [waiting.octets for waiting in batch]

        try:
            owner = Owner(file.uid, file.gid)
            errors = await self._thread(lane, owner, self._writer.deliver, file, take)
        except Exception as e:
            if not batch:
                raise
            errors = [e] * len(batch)
        for waiting, error in zip(batch, errors, strict=True):
            if error is None:
                waiting.done.callback(None)
            else:
                waiting.done.errback(error)

    def _take(self, lane: _Lane, file: MboxFile, batch: list[_Waiting]) -> None:
        """
        In a thread: what is to be appended together.
        """
        size = 0
        with self._lock:
            while lane.waiting and len(batch) < MAX_BATCH and size < MAX_BATCH_SIZE:
                first = lane.waiting[0]
                if first.content is not None or first.file != file:
                    return
                size += len(first.octets)
                batch.append(lane.waiting.popleft())

    async def _large(self, lane: _Lane, first: _Waiting, content: IContent) -> None:
        try:
            await self._streams.acquire().addTimeout(PATIENCE, self._context.clock)
        except TimeoutError as e:
            raise _no_answer() from e
        owner = Owner(first.file.uid, first.file.gid)
        try:
            appending = await self._thread(lane, owner, self._writer.begin, first.file)
            if lane.waiting and lane.waiting[0] is first:
                lane.waiting.popleft()
                await self._stream(lane, first, content, appending)
            else:  # given up meanwhile
                await self._thread(lane, owner, appending.close, False)
        finally:
            self._streams.release()

    async def _stream(
        self, lane: _Lane, first: _Waiting, content: IContent, appending: MboxAppending
    ) -> None:
        finished = False
        error: Exception | None = None
        owner = Owner(first.file.uid, first.file.gid)

        async def step(work: Callable[..., Any], *args: Any) -> None:
            await self._thread(lane, owner, work, *args)

        try:
            await step(appending.write, first.octets)
            lines = MboxLines()
            for offset in range(0, content.size, BLOCK):
                block = await read_block(content, offset, BLOCK)
                await step(appending.write, lines.feed(block))
            await step(appending.write, lines.finish())
            await step(appending.finish)
            finished = True
        except Exception as e:
            error = e
        await step(appending.close, finished)
        if error is None:
            first.done.callback(None)
        else:
            first.done.errback(error)

    async def _thread(
        self, lane: _Lane, owner: Owner, function: Callable[..., Any], *args: Any
    ) -> Any:
        """
        Run a step in a thread; when it does not come back, let others go.
        """
        patience = self._context.clock.callLater(PATIENCE, self._give_up, lane)
        try:
            context = self._context
            work = context.rights.doing(owner, function)
            return await context.in_thread(work, *args)
        finally:
            lane.stuck = False
            if patience.active():
                patience.cancel()

    def _give_up(self, lane: _Lane) -> None:
        lane.stuck = True
        self._fail(lane, _no_answer())

    def _fail(self, lane: _Lane, error: MailboxError) -> None:
        for waiting in self._drop(lane):
            waiting.done.errback(MailboxError(error.status, error.reason))

    def _drop(self, lane: _Lane) -> list[_Waiting]:
        with self._lock:
            dropped = list(lane.waiting)
            lane.waiting.clear()
        return dropped

    def _warn(self) -> None:
        while self._writer.warnings:
            text = self._writer.warnings.popleft()
            self._context.sink.emit(Warn(self._context.service, text))


def _no_answer() -> MailboxError:
    return MailboxError("4.2.0", f"no answer for {PATIENCE:g}s")
