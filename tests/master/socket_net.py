"""
Links over real sockets, one record at a time.

Between the two ends of a link is a relay, so that a test can end either after
any record.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.selectreactor import SelectReactor

from tests.master.pairs import Net, Pair
from txmta.master.frames import FrameReader, Record, encode
from txmta.master.link import Link
from txmta.master.link_transport import adopt


class SocketPair(Pair):
    """
    See L{Pair}.
    """

    def __init__(self, reactor: Any, one: Link, other: Link) -> None:
        self._reactor = reactor
        self._links: list[Link | None] = [one, other]
        self._relays: list[socket.socket] = []
        self._readers = [FrameReader(), FrameReader()]
        self._waiting: list[deque[Record]] = [deque(), deque()]
        self.passed = []
        for link in (one, other):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            self._relays.append(ours)
            adopt(reactor, theirs.detach(), link)

    def step(self) -> bool:
        for n in (0, 1):
            if not self._pump(n) and not self._waiting[n]:
                self._close(1 - n)
        for n in (0, 1):
            if self._waiting[n]:
                self._pass_on(n)
                return True
        return False

    def kill(self, n: int) -> None:
        link, self._links[n] = self._links[n], None
        if link is None:
            return
        transport: Any = link.transport
        transport.protocol = Protocol()  # nobody is there to hear of it
        transport.abortConnection()
        self._turn()
        self._pump(n)
        while self._waiting[n]:
            self._pass_on(n)
        self._close(1 - n)

    def close(self) -> None:
        for n in (0, 1):
            self._close(n)

    def _pass_on(self, n: int) -> None:
        record = self._waiting[n].popleft()
        self.passed.append(record)
        with contextlib.suppress(OSError):  # a reader that is gone
            self._relays[1 - n].sendall(encode([record]))
        self._turn()

    def _pump(self, n: int) -> bool:
        """
        @return: whether the end is still there.
        """
        self._turn()
        while True:
            try:
                data = self._relays[n].recv(65536)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            self._waiting[n] += self._readers[n].feed(data)

    def _close(self, n: int) -> None:
        self._relays[n].close()
        self._turn()

    def _turn(self) -> None:
        for _ in (0, 1):
            self._reactor.runUntilCurrent()
            self._reactor.doIteration(0)


class SocketNet(Net):
    """
    See L{Net}; to be closed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reactor: Any = SelectReactor()

    def connect(self, one: Link, other: Link) -> Pair:
        pair = SocketPair(self._reactor, one, other)
        self.pairs.append(pair)
        return pair

    def close(self) -> None:
        for pair in self.pairs:
            pair.close()
        for each in self._reactor.removeAll():
            each.connectionLost(None)
        self._reactor.waker.connectionLost(None)
