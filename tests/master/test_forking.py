"""
A fork server that does not answer.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.error import ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txmta.master.channel import receive, send
from txmta.master.fork_server import CHANNEL
from txmta.master.forking import INTERVAL, MISSED, START_LIMIT, Forking


class Reactor(Clock):
    """
    Has one process, which does nothing of itself.
    """

    pid = 1 << 22

    def spawnProcess(self, protocol: Any, *_: Any, childFDs: Any, **__: Any) -> Any:
        self.end = socket.socket(fileno=os.dup(childFDs[CHANNEL]))
        self.killed: list[str] = []
        return self

    def signalProcess(self, name: str) -> None:
        self.killed.append(name)

    def addReader(self, reader: Any) -> None:
        self.reader = reader

    def removeReader(self, reader: Any) -> None: ...

    def addWriter(self, writer: Any) -> None: ...

    def removeWriter(self, writer: Any) -> None: ...


class Child:
    role = "smtpd"
    pid = 0
    orphan = False

    def __init__(self, n: int) -> None:
        self.n = n

    def has_started(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        os.close(pidfd)

    def has_ended(self, status: int | None, why: str = "") -> None: ...

    def is_orphan(self) -> None:
        self.orphan = True


class HangingTests(SynchronousTestCase):
    def setUp(self) -> None:
        reactor: Any = Reactor()
        self.reactor = reactor
        self.forking = Forking(reactor, "module:entry", [])
        self.addCleanup(reactor.end.close)
        self.addCleanup(self.forking.hang_up)
        self.lost: list[str] = []
        self.forking.lost = self.lost.append

    def tell(self, kind: str) -> None:
        send(self.reactor.end, {"t": kind})
        self.reactor.reader.doRead()

    def asked(self) -> None:
        record, _ = receive(self.reactor.end)
        self.assertEqual(record, {"t": "beat"})

    def gone(self, child: Child) -> None:
        """
        It was killed, and with it all that it has forked, so that another can
        fork them.
        """
        self.assertEqual(self.reactor.killed, ["KILL"])
        self.forking.processEnded(Failure(ProcessTerminated(signal=9)))
        self.assertTrue(child.orphan)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def fork(self) -> Child:
        child = Child(1)
        self.forking.fork(child, {"settings": 0})
        _, descriptors = receive(self.reactor.end, 1)
        os.close(*descriptors)
        return child

    def test_hangs(self) -> None:
        """
        One that leaves some beats unanswered is killed.
        """
        self.tell("ready")
        self.asked()
        child = self.fork()
        for _ in range(10):
            self.tell("beat")
            self.reactor.advance(INTERVAL)
            self.asked()
        for _ in range(MISSED - 1):
            self.reactor.advance(INTERVAL)
        self.assertEqual(self.reactor.killed, [])
        self.reactor.advance(INTERVAL)
        self.gone(child)
        self.assertEqual(self.lost, ["has not answered for 15 seconds"])

    def test_never_ready(self) -> None:
        child = self.fork()
        self.reactor.advance(START_LIMIT)
        self.gone(child)
        self.assertEqual(self.lost, ["not ready after 120 seconds"])

    def test_hung_up(self) -> None:
        """
        Nobody waits for one that is to end.
        """
        self.tell("ready")
        self.forking.hang_up()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
