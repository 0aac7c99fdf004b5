"""
Two ends of links that are joined in memory, one record at a time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from txmta.master.frames import FrameReader, Record, encode
from txmta.master.link import Link


class _Transport:
    """
    One way of a pair.
    """

    def __init__(self) -> None:
        self.records: deque[tuple[Record, int | None]] = deque()
        self.ended = False
        self._reader = FrameReader()
        self._descriptor: int | None = None

    def sendFileDescriptor(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        for record in self._reader.feed(data):
            descriptor, self._descriptor = self._descriptor, None
            self.records.append((record, descriptor))

    def registerProducer(self, producer: object, streaming: bool) -> None:
        pass

    def unregisterProducer(self) -> None:
        pass

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        pass

    def loseConnection(self) -> None:
        self.ended = True

    abortConnection = loseConnection


class Pair:
    """
    @ivar passed: records that have passed, in order.
    """

    def __init__(self, clock: Clock, one: Link, other: Link) -> None:
        self._clock = clock
        self._links: list[Link | None] = [one, other]
        self._ways = [_Transport(), _Transport()]
        self.passed: list[Record] = []
        for link, way in zip((one, other), self._ways, strict=True):
            link.makeConnection(way)

    def step(self) -> bool:
        """
        Let one record pass, or an end be seen.

        @return: whether there was one.
        """
        for n in (0, 1):
            way, to = self._ways[n], self._links[1 - n]
            if way.records:
                record, descriptor = way.records.popleft()
                if to is None:
                    continue
                self.passed.append(record)
                if descriptor is not None:
                    to.fileDescriptorReceived(os.dup(descriptor))
                    os.close(descriptor)
                to.dataReceived(encode([record]))
                return True
            if way.ended and self._links[n] is not None:
                self.kill(n)
                return True
        return False

    def run(self) -> None:
        """
        Let all pass that is sent.
        """
        self._clock.advance(0)
        while self.step():
            self._clock.advance(0)

    def kill(self, n: int) -> None:
        """
        The process at one end is gone. What it has written is read.
        """
        self._links[n] = None
        other = self._links[1 - n]
        if other is None:
            return
        while self._ways[n].records and not self._ways[1 - n].ended:
            self.passed.append(self._ways[n].records[0][0])
            other.dataReceived(encode([self._ways[n].records.popleft()[0]]))
        self._links[1 - n] = None
        other.connectionLost(Failure(ConnectionDone()))

    def close(self) -> None:
        """
        The test is over.
        """

    def cut(self) -> None:
        """
        The link ends, and both ends live.
        """
        one, other = self._links
        self._links = [None, None]
        for link in (one, other):
            if link is not None:
                link.connectionLost(Failure(ConnectionDone()))


class Net:
    """
    Links between processes that have each a clock of their own.
    """

    def __init__(self) -> None:
        self.clocks: list[Clock] = []
        self.pairs: list[Pair] = []
        self.limit: int | None = None
        self.steps = 0

    def connect(self, one: Link, other: Link) -> Pair:
        pair = Pair(Clock(), one, other)
        self.pairs.append(pair)
        return pair

    def run(self) -> None:
        """
        Let all pass that is sent, or so many records as C{limit} says.
        """
        while True:
            for clock in self.clocks:
                clock.advance(0)
            moved = False
            for pair in self.pairs:
                if self.limit is not None and self.steps >= self.limit:
                    return
                if pair.step():
                    moved = True
                    self.steps += 1
            if not moved and not any(_due(clock) for clock in self.clocks):
                return

    def close(self) -> None:
        """
        The test is over.
        """

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """
        Let time pass in all processes.
        """
        while seconds > 0:
            for clock in self.clocks:
                clock.advance(min(step, seconds))
            self.run()
            seconds -= step


def _due(clock: Clock) -> bool:
    calls: Any = clock.getDelayedCalls()
    return any(call.getTime() <= clock.seconds() for call in calls)


def until(net: Net, seen: Callable[[], bool], seconds: float) -> None:
    """
    Let time pass until something is seen, at most so long.
    """
    for _ in range(int(seconds)):
        net.run()
        if seen():
            return
        net.pass_time(1)
