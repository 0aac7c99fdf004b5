"""
Brings messages to Maildirs in threads, several to one Maildir at once.

While one thread writes to a Maildir, what else comes for that Maildir waits,
and is then written together, with one sync of the directory: a busy mailbox
costs a third less. A mailbox on a dead disk holds one thread; what waits
behind it is deferred after L{PATIENCE}, so that other mail is not held up.

Owns: which messages are written together; patience.
Knows nothing of: addresses, outcomes; how a Maildir is written
    (L{txmta.delivery.maildir}).

Errors: L{MailboxError<txmta.delivery.filesystem.MailboxError>}.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from txmta.delivery.blocks import read_block
from txmta.delivery.copy import LineEnds
from txmta.delivery.directories import MaildirPath
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.maildir import MaildirStream, MaildirWriter
from txmta.delivery.rights import OwnAccount, Rights
from txmta.delivery.stages import Stages, Together
from txmta.interfaces import IContent

#: Messages, and octets, written together. Our own choice: most of the gain
#: is there with four, and nobody should wait for more than a few.
MAX_BATCH = 16
MAX_BATCH_SIZE = 1 << 20

#: Messages that may wait for one mailbox without counting for its concurrency:
#: the next batch can form while one is written, and one mailbox whose disk
#: hangs takes no more of a transport's deliveries.
MAX_JOINED = 2 * MAX_BATCH

#: Seconds that a message waits for a Maildir that does not answer.
PATIENCE = 30.0

#: Octets of a large message in memory at a time, and how many such messages:
#: 3 MB in all, with the copies that line ends and threads need.
BLOCK = 128 * 1024
MAX_STREAMS = 8


@dataclass(slots=True, eq=False)
class _Waiting:
    octets: bytes
    done: Deferred[None]


@dataclass(slots=True, eq=False)
class _Box:
    """
    @ivar waiting: shared with a thread, under C{Maildirs._lock}.
    @ivar patience: runs out when the thread does not come back.
    @ivar stuck: it did run out.
    """

    path: MaildirPath
    waiting: deque[_Waiting] = field(default_factory=deque)
    patience: IDelayedCall | None = None
    stuck: bool = False


_Results = tuple[Sequence[_Waiting], Sequence[Exception | None]]


class Maildirs:
    """
    All Maildirs of one delivery agent.
    """

    def __init__(
        self,
        writer: MaildirWriter,
        in_thread: Callable[..., Deferred[Any]],
        clock: IReactorTime,
        rights: Rights | None = None,
        together: Together | None = None,
    ) -> None:
        """
        @param rights: L{None}: our own account's.
        @param together: writes to several Maildirs side by side, where there is
            but one thread.
        """
        self._writer = writer
        self._in_thread = in_thread
        self._rights = rights or OwnAccount()
        self._together = together
        self._clock = clock
        self._lock = threading.Lock()
        self._busy: dict[MaildirPath, _Box] = {}
        self._streams = DeferredSemaphore(MAX_STREAMS)

    def put(
        self,
        path: MaildirPath,
        octets: bytes,
        joins: Callable[[], None] = lambda: None,
    ) -> Deferred[None]:
        """
        @param octets: a whole message, with LF.
        @param joins: called if it waits for others.
        @return: fires when it is safe on disk, or fails with MailboxError.
        """
        waiting = _Waiting(octets, Deferred())
        box = self._busy.get(path)
        if box is None:
            box = self._busy[path] = _Box(path, deque([waiting]))
            self._start(box)
        elif box.stuck:
            waiting.done.errback(_no_answer(path))
        else:
            with self._lock:
                box.waiting.append(waiting)
                count = len(box.waiting)
            if count <= MAX_JOINED:
                joins()
        return waiting.done

    async def stream(self, path: MaildirPath, head: bytes, content: IContent) -> None:
        """
        Bring a large message, block by block.

        @param head: header lines, with LF.
        @param content: in wire form; read, but not closed.
        """
        try:
            await self._streams.acquire().addTimeout(PATIENCE, self._clock)
        except TimeoutError as e:
            raise _no_answer(path) from e
        try:
            await self._stream(path, head, content)
        finally:
            self._streams.release()

    async def _stream(self, path: MaildirPath, head: bytes, content: IContent) -> None:
        def step(work: Callable[..., Any], *args: Any) -> Deferred[Any]:
            return self._in_thread(self._rights.doing(path.owner, work), *args)

        file: MaildirStream = await step(self._writer.begin, path)
        finished = False
        try:
            await step(file.write, head)
            lines = LineEnds()
            for offset in range(0, content.size, BLOCK):
                block = await read_block(content, offset, BLOCK)
                await step(file.write, lines.feed(block))
            await step(file.write, lines.finish())
            await step(file.finish)
            finished = True
        finally:
            await step(file.close, finished)

    def _start(self, box: _Box) -> None:
        box.patience = self._clock.callLater(PATIENCE, self._give_up, box)
        if self._together is None:
            write = self._rights.doing(box.path.owner, self._write)
            written = self._in_thread(write, box)
        else:
            written = self._together.do(box.path.owner, self._stages(box))
        written.addCallbacks(
            self._written, self._broken, callbackArgs=(box,), errbackArgs=(box,)
        )

    def _write(self, box: _Box) -> _Results:
        """
        In a thread: write the next batch.
        """
        batch = self._batch(box)
        if not batch:  # given up before the thread was free
            return [], []
        try:
            return batch, self._writer.deliver(box.path, [w.octets for w in batch])
        except Exception as e:
            return batch, [e] * len(batch)

    def _stages(self, box: _Box) -> Stages[_Results]:
        """
        As L{_write}, side by side with others.
        """
        batch = self._batch(box)
        if not batch:
            return [], []
        octets = [waiting.octets for waiting in batch]
        try:
            return batch, (yield from self._writer.stages(box.path, octets))
        except Exception as e:
            return batch, [e] * len(batch)

    def _batch(self, box: _Box) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        with self._lock:
            while box.waiting and len(batch) < MAX_BATCH and size < MAX_BATCH_SIZE:
                batch.append(box.waiting.popleft())
                size += len(batch[-1].octets)
        return batch

    def _written(self, results: _Results, box: _Box) -> None:
        self._calm(box)
        if box.waiting:
            self._start(box)
        else:
            del self._busy[box.path]
        for waiting, error in zip(*results, strict=True):
            if error is None:
                waiting.done.callback(None)
            else:
                waiting.done.errback(error)

    def _broken(self, failure: Failure, box: _Box) -> None:
        """
        There is no thread to be had: the service stops.
        """
        self._calm(box)
        del self._busy[box.path]
        for waiting in self._drop(box):
            waiting.done.errback(failure)

    def _calm(self, box: _Box) -> None:
        box.stuck = False
        if box.patience is not None and box.patience.active():
            box.patience.cancel()

    def _give_up(self, box: _Box) -> None:
        box.stuck = True
        for waiting in self._drop(box):
            waiting.done.errback(_no_answer(box.path))

    def _drop(self, box: _Box) -> list[_Waiting]:
        with self._lock:
            dropped = list(box.waiting)
            box.waiting.clear()
        return dropped


def _no_answer(path: MaildirPath) -> MailboxError:
    return MailboxError(
        "4.2.0", f"maildir delivery failed: {path}: no answer for {PATIENCE:g}s"
    )
