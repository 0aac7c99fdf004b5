"""
The log of several processes: nobody waits for whoever writes it, what found
no room is counted, and nobody can forge more than the text of a line.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txmta.log import datagrams
from txmta.log.collector import Collector
from txmta.log.datagrams import MAX_DATAGRAM, RETRY, DatagramTarget, lines_of


def line(n: int) -> str:
    return f"Nov 24 10:00:00 mail postfix/smtpd[42]: line {n}\n"


class Lines:
    """
    A target that keeps what is written.
    """

    host = True

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.closed = False

    def write(self, lines: Sequence[str]) -> None:
        self.lines += lines

    def close(self) -> None:
        self.closed = True


class Readers:
    """
    The reactor's part.
    """

    def __init__(self) -> None:
        self.readers: list[object] = []

    def addReader(self, reader: object) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: object) -> None:
        self.readers.remove(reader)


class DatagramCase(SynchronousTestCase):
    def setUp(self) -> None:
        here, self.there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(self.there.close)
        self.addCleanup(here.close)
        self.clock = Clock()
        self.target = DatagramTarget(here, True, self.clock)

    def received(self) -> list[str]:
        """
        @return: all that is there.
        """
        lines: list[str] = []
        while True:
            try:
                data = self.there.recv(MAX_DATAGRAM + 1, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return lines
            if not data:
                return lines
            lines += lines_of(data)


class TargetTests(DatagramCase):
    def test_lines(self) -> None:
        """
        They arrive as they were, in order, many in one datagram.
        """
        lines = [line(n) for n in range(1000)]
        self.target.write(lines)
        self.assertLessEqual(len(self.there.recv(1 << 20, socket.MSG_PEEK)), 32768)
        self.assertEqual(self.received(), lines)

    def test_slow_writer(self) -> None:
        """
        What the kernel has no room for waits, and goes when there is room,
        whether there are new lines or not.
        """
        lines = [line(n) for n in range(5000)]
        self.target.write(lines)
        first = self.received()
        self.assertLess(len(first), len(lines))
        self.clock.advance(RETRY)
        rest = self.received()
        while (more := self.clock.getDelayedCalls()) and len(rest) < 5000:
            self.clock.advance(RETRY)
            rest += self.received()
        self.assertEqual(more, [])
        self.assertEqual(first + rest, lines)

    def test_bound(self) -> None:
        """
        What comes on top is lost, counted, and told of once, in the name of
        the last one that spoke.
        """
        self.patch(datagrams, "MAX_WAITING", 50)
        big = "Nov 24 10:00:00 mail postfix/smtpd[42]: " + "x" * 30000 + "\n"
        for _ in range(120):
            self.target.write([big])
        lines = self.received()
        for _ in range(20):
            self.clock.advance(RETRY)
            lines += self.received()
        told = [each for each in lines if "were lost" in each]
        sent = lines.count(big)
        self.assertEqual(
            told,
            [
                "Nov 24 10:00:00 mail postfix/smtpd[42]: warning: "
                f"{120 - sent} lines of the log were lost\n"
            ],
        )
        self.assertGreater(sent, 50)

    def test_nobody_there(self) -> None:
        """
        Mail goes on without a log.
        """
        self.there.close()
        self.target.write([line(0)])
        self.target.write([line(1)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_long_line(self) -> None:
        self.target.write(["x" * (2 * MAX_DATAGRAM), line(1)])
        first, second = self.received()
        self.assertEqual((len(first), second), (MAX_DATAGRAM, line(1)))

    def test_close(self) -> None:
        self.target.write([line(0)])
        self.target.close()
        self.assertEqual(self.received(), [line(0)])


class CollectorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lines, self.reactor = Lines(), Readers()
        self.collector = Collector(self.lines, self.reactor)  # type: ignore[arg-type]
        self.here, self.there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(self.here.close)
        self.addCleanup(self.there.close)
        self.collector.add("smtpd.1", self.there.dup().detach())

    def read(self) -> None:
        (reader,) = self.reactor.readers
        reader.doRead()  # type: ignore[attr-defined]

    def test_control_characters(self) -> None:
        """
        A sender makes lines, and nothing that a terminal or a reader of logs
        would take for something else.
        """
        self.here.send(b"one\x1b[31m\r\ntwo\0\xc2\x85\n\n")
        self.read()
        self.assertEqual(self.lines.lines, ["one?[31m?\n", "two??\n"])

    def test_blocking_by_others(self) -> None:
        """
        Whoever else has the socket may make it block: we do not wait.
        """
        before = signal.signal(signal.SIGALRM, self.too_long)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 5)
        self.there.setblocking(True)
        self.here.send(b"one\n")
        self.read()
        self.read()
        self.assertEqual(self.lines.lines, ["one\n"])

    def too_long(self, _number: int, _frame: object) -> None:
        raise AssertionError("it waits")

    def test_end(self) -> None:
        """
        A sender that is gone is forgotten.
        """
        self.here.send(b"one\n")
        self.here.close()
        self.read()
        self.assertEqual((self.lines.lines, self.reactor.readers), (["one\n"], []))

    def test_close(self) -> None:
        """
        Everything that was sent is written before we end.
        """
        for n in range(100):
            self.here.send(line(n).encode())
        self.collector.close()
        self.assertEqual(self.lines.lines, [line(n) for n in range(100)])
        self.assertTrue(self.lines.closed)

    def test_descriptors(self) -> None:
        """
        Nobody fills us up with descriptors.
        """
        socket.send_fds(self.here, [b"one\n"], [0, 1])
        self.read()
        self.assertEqual(self.lines.lines, ["one\n"])
