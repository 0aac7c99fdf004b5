"""
Runs delivery agents in a process without reactor and without threads, one
thing at a time.

What agents would do in threads is done here in the order in which it was asked
for, and whatever comes over descriptors is taken in between. So all deliveries
that wait get on step by step, side by side; and when the first of those to one
mailbox is written, the others are there to be written with it.

Owns: the order of work, timers, waiting for descriptors.
Knows nothing of: mail.

Sources: poll(2); L{IReactorTime}, L{IReactorFDSet}, as far as agents, links and
commands use them.

Errors: what a call raises is printed, and the next one comes: as in a reactor.
"""

from __future__ import annotations

import heapq
import select
import time
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar

from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorFDSet,
    IReactorTime,
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

T = TypeVar("T")

#: Cancelled timers that are kept until it is worth to sort them out.
_MAX_CANCELLED = 1000

#: How often it is looked for more that has come, before work goes on.
_MAX_ROUNDS = 100

_ENDED = select.POLLHUP | select.POLLERR | select.POLLNVAL


@implementer(IReactorTime, IReactorFDSet)
class Sequential:
    """
    What agents see of a reactor, and of its threads.
    """

    def __init__(
        self,
        seconds: Callable[[], float] = time.monotonic,
        rests: Callable[[], object] | None = None,
    ) -> None:
        """
        @param seconds: a monotonic clock.
        @param rests: called before it waits for something to do.
        """
        self.seconds = seconds
        self._rests = rests
        self._work: deque[tuple[Deferred[Any], Callable[[], Any]]] = deque()
        self._timers: list[tuple[float, int, DelayedCall]] = []
        self._numbers = count()
        self._cancelled = 0
        self._poll = select.poll()
        self._readers: dict[int, Any] = {}
        self._writers: dict[int, Any] = {}
        # An object that is closed does not know its number any more.
        self._fds: dict[object, int] = {}

    # What runs it.

    def turn(self, longest: float) -> None:
        """
        Do what is due, take what has come, do one piece of work.

        @param longest: seconds to wait if there is nothing to do.
        """
        self._expire()
        wait = 0.0 if self._work else max(0.0, min(longest, self._left()))
        if wait > 0 and self._rests is not None:
            self._rests()
        for _ in range(_MAX_ROUNDS):
            events = self._poll.poll(wait * 1000)
            if not events:
                break
            for fd, event in events:
                self._happened(fd, event)
            wait = 0.0
        if self._work:
            self._next()

    def run(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        """
        Until this is done.
        """
        results: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(results.append)
        while not results:
            self.turn(3600)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: T = results[0]
        return result

    # What agents use in place of threads.

    def in_thread(
        self, work: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Deferred[Any]:
        """
        Do it soon, after what was asked for before.
        """
        done: Deferred[Any] = Deferred()
        self._work.append((done, lambda: work(*args, **kwargs)))
        return done

    def _next(self) -> None:
        done, work = self._work.popleft()
        try:
            result = work()
        except Exception:
            done.errback(Failure())
        else:
            done.callback(result)

    # IReactorTime.

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kw: object
    ) -> IDelayedCall:
        call = DelayedCall(
            self.seconds() + delay,
            callable,
            args,
            kw,
            self._cancel,
            self._add,
            self.seconds,
        )
        self._add(call)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return [call for _, _, call in self._timers if call.active()]

    def _add(self, call: DelayedCall) -> None:
        heapq.heappush(self._timers, (call.time, next(self._numbers), call))

    def _cancel(self, call: DelayedCall) -> None:
        self._cancelled += 1
        if self._cancelled > max(_MAX_CANCELLED, len(self._timers) // 2):
            self._timers = [each for each in self._timers if not each[2].cancelled]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def _left(self) -> float:
        return self._timers[0][0] - self.seconds() if self._timers else 3600.0

    def _expire(self) -> None:
        now = self.seconds()
        # Not those that are added meanwhile: others get their turn.
        due = []
        while self._timers and self._timers[0][0] <= now:
            due.append(heapq.heappop(self._timers))
        for when, _, call in due:
            if call.cancelled:
                self._cancelled = max(0, self._cancelled - 1)
            elif call.called or call.time < when:
                pass  # set to an earlier time, which has come
            elif call.delayed_time > 0:
                call.activate_delay()
                self._add(call)
            else:
                call.called = 1
                self._safely(call.func, *call.args, **call.kw)

    # IReactorFDSet.

    def addReader(self, reader: IReadDescriptor) -> None:
        self._fds[reader] = fd = reader.fileno()
        self._readers[fd] = reader
        self._watch(fd)

    def addWriter(self, writer: IWriteDescriptor) -> None:
        self._fds[writer] = fd = writer.fileno()
        self._writers[fd] = writer
        self._watch(fd)

    def removeReader(self, reader: IReadDescriptor) -> None:
        self._remove(self._readers, reader)

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        self._remove(self._writers, writer)

    def removeAll(self) -> list[IReadDescriptor | IWriteDescriptor]:
        found = [*self._readers.values(), *self._writers.values()]
        for fd in (*self._readers, *self._writers):
            self._readers.pop(fd, None)
            self._writers.pop(fd, None)
            self._watch(fd)
        self._fds.clear()
        return list(dict.fromkeys(found))

    def getReaders(self) -> list[IReadDescriptor]:
        return list(self._readers.values())

    def getWriters(self) -> list[IWriteDescriptor]:
        return list(self._writers.values())

    def _remove(self, which: dict[int, Any], selectable: object) -> None:
        fd = self._fds.get(selectable, -1)
        if which.get(fd) is not selectable:
            return
        del which[fd]
        others = self._writers if which is self._readers else self._readers
        if others.get(fd) is not selectable:
            del self._fds[selectable]
        self._watch(fd)

    def _watch(self, fd: int) -> None:
        events = select.POLLIN if fd in self._readers else 0
        events |= select.POLLOUT if fd in self._writers else 0
        if events:
            self._poll.register(fd, events)
        else:
            with suppress(KeyError):
                self._poll.unregister(fd)

    def _happened(self, fd: int, event: int) -> None:
        reader = self._readers.get(fd)
        if reader is not None and event & (select.POLLIN | _ENDED):
            self._do(reader, reader.doRead)
        # Whoever was told something may have gone away with it.
        writer = self._writers.get(fd)
        if writer is not None and event & (select.POLLOUT | _ENDED):
            self._do(writer, writer.doWrite)

    def _do(self, selectable: Any, act: Callable[[], Any]) -> None:
        why = self._safely(act)
        if why is not None:
            self.removeReader(selectable)
            self.removeWriter(selectable)
            self._safely(selectable.connectionLost, Failure(why))

    def _safely(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except Exception as e:
            traceback.print_exc()
            return e
