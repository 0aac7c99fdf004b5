"""
Who does not answer.
"""

from __future__ import annotations

import signal
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txmta.master.beat import Beat
from txmta.master.children import State


class Answering:
    """
    A child that answers, or not.
    """

    def __init__(self, n: int, answers: bool = True) -> None:
        self.n = n
        self.state = State.READY
        self.beat = 0
        self.answers = answers
        self.killed: list[int] = []

    def send_beat(self, n: int) -> None:
        if self.answers:
            self.beat = n

    def kill(self, why: str, number: int = signal.SIGKILL) -> None:
        self.killed.append(number)


class BeatTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.children: list[Answering] = []
        self.beat = Beat(self.clock, lambda: cast(Any, self.children), 5.0)
        self.beat.start()

    def test_alive(self) -> None:
        """
        Who answers lives on, whenever it was born.
        """
        self.clock.pump([5.0] * 10)
        self.children.append(Answering(1))
        self.clock.pump([5.0] * 10)
        self.assertEqual(self.children[0].killed, [])
        self.assertTrue(self.beat.fresh)

    def test_hanging(self) -> None:
        """
        After three beats without an answer it is told to abort, two seconds
        later it is killed; the service manager hears nothing good meanwhile.
        """
        child = Answering(1)
        other = Answering(2)
        self.children += [child, other]
        self.clock.pump([5.0] * 4)
        child.answers = False
        self.clock.pump([5.0] * 3)
        self.assertEqual(child.killed, [])
        self.assertFalse(self.beat.fresh)
        self.clock.advance(5.0)
        self.assertEqual(child.killed, [signal.SIGABRT])
        self.clock.advance(2.0)
        self.assertEqual(child.killed, [signal.SIGABRT, signal.SIGKILL])
        self.assertEqual(other.killed, [])
        self.children.remove(child)
        self.clock.advance(5.0)
        self.assertTrue(self.beat.fresh)

    def test_late(self) -> None:
        """
        A late answer is one.
        """
        child = Answering(1, answers=False)
        self.children.append(child)
        self.clock.pump([5.0] * 2)
        child.answers = True
        self.clock.pump([5.0] * 10)
        self.assertEqual(child.killed, [])

    def test_starting(self) -> None:
        """
        Who has not begun is not asked.
        """
        child = Answering(1, answers=False)
        child.state = State.STARTING
        self.children.append(child)
        self.clock.pump([5.0] * 10)
        self.assertEqual(child.killed, [])

    def test_stop(self) -> None:
        self.beat.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
