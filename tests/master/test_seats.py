"""
Tests of L{txmta.master.seats}, with real processes: locks are theirs.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from txmta.master.given import sealed
from txmta.master.seats import SPAN, SharedSeats


class Process:
    """
    One that takes seats when it is told to.
    """

    def __init__(self, seats: SharedSeats) -> None:
        self._end, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._end.settimeout(5)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._end.close()
                _serve(other, seats)
            finally:
                os._exit(0)
        other.close()

    def tell(self, what: str, seat: int | None = None) -> int | None:
        self._end.send(f"{what} {seat}".encode())
        answer = self._end.recv(100)
        return int(answer) if answer != b"None" else None

    def take(self, count: int = 1) -> Sequence[int | None]:
        return [self.tell("take") for _ in range(count)]

    def kill(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        self._end.close()


def _serve(end: socket.socket, seats: SharedSeats) -> None:
    while question := end.recv(100).decode():
        what, seat = question.split()
        if what == "take":
            end.send(str(seats.take()).encode())
        else:
            seats.give(int(seat))
            end.send(b"0")


class SeatTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = sealed(b"", "seats")
        self.addCleanup(os.close, self.file)

    def process(self, limit: int, n: int, service: str = "smtp") -> Process:
        made = Process(SharedSeats(self.file, service, limit, n))
        self.addCleanup(made.kill)
        return made

    def test_all(self) -> None:
        """
        Whoever takes them, there are so many; who gives one back makes room
        for anybody.
        """
        for limit in (1, 2, 7):
            one, other = (self.process(limit, n, str(limit)) for n in (1, 2))
            taken = [each for p in (one, other) * limit for each in p.take()]
            seats = [each for each in taken if each is not None]
            self.assertEqual(sorted(seats), [*range(limit)])
            self.assertEqual([*one.take(), *other.take()], [None, None])
            who = one if taken[0] == seats[0] else other
            who.tell("give", seats[0])
            self.assertEqual(other.take(2), [seats[0], None])

    def test_one_takes_all(self) -> None:
        """
        None is kept for a process that has no use for it.
        """
        one, other = self.process(50, 1), self.process(50, 2)
        self.assertEqual(sorted(map(str, one.take(50))), sorted(map(str, range(50))))
        self.assertEqual(other.take(), [None])

    def test_killed(self) -> None:
        """
        What a process had that was killed is free at once.
        """
        one, other = self.process(3, 1), self.process(3, 2)
        one.take(3)
        self.assertEqual(other.take(), [None])
        one.kill()
        self.assertNotIn(None, other.take(3))

    def test_services(self) -> None:
        """
        Each service has its own.
        """
        one, other = self.process(1, 1, "smtp"), self.process(1, 2, "2525")
        self.assertNotIn(None, [*one.take(), *other.take()])

    def test_fewer(self) -> None:
        """
        After a reload with a smaller maxproc, sessions of before count.
        """
        before = self.process(6, 1)
        seats = before.take(5)
        new, next_ = self.process(3, 2), self.process(3, 3)
        self.assertEqual([*new.take(), *next_.take()], [None, None])
        for seat in seats[:2]:
            before.tell("give", seat)
        self.assertEqual([*new.take(), *next_.take()], [None, None])
        before.tell("give", seats[2])
        self.assertNotIn(None, new.take())
        self.assertEqual([*new.take(), *next_.take()], [None, None])
        before.kill()
        self.assertNotIn(None, next_.take(2))
        self.assertEqual([*new.take(), *next_.take()], [None, None])

    def test_more(self) -> None:
        """
        And with a larger one.
        """
        before = self.process(2, 1)
        before.take(2)
        new = self.process(4, 2)
        self.assertEqual(len([s for s in new.take(4) if s is not None]), 2)

    def test_nothing_to_write(self) -> None:
        """
        The file cannot be written or grown by whoever has it.
        """
        self.assertRaises(OSError, os.write, self.file, b"x")
        self.assertRaises(OSError, os.ftruncate, self.file, SPAN)
