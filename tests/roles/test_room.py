"""
A process that stops to accept before it is out of descriptors.
"""

from __future__ import annotations

import resource
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txmta.events import Event
from txmta.roles.room import QUIET, Room, most_connections


class Port:
    """
    One with many who wait.
    """

    numberAccepts = 100

    def __init__(self) -> None:
        self.accepts = True
        self.accepted = 0

    def pauseProducing(self) -> None:
        self.accepts = False

    def resumeProducing(self) -> None:
        self.accepts = True

    def doRead(self) -> None:
        self.accepted += self.numberAccepts


class RoomTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        self.ports = [Port(), Port()]

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def room(self, limit: int) -> Room:
        sink: Any = self
        room = Room(self.clock, limit, sink)
        for port in self.ports:
            room.add(port)
        return room

    def accepting(self) -> list[bool]:
        return [port.accepts for port in self.ports]

    def test_closed(self) -> None:
        """
        Nobody is accepted before it is open, nor after it was closed.
        """
        room = self.room(10)
        self.assertEqual(self.accepting(), [False, False])
        room.open()
        self.assertEqual(self.accepting(), [True, True])
        room.count(10)
        room.close()
        room.count(-10)
        self.assertEqual(self.accepting(), [False, False])

    def test_full(self) -> None:
        """
        All ports together have so much room; when it is used up none accepts,
        until several are gone.
        """
        room = self.room(100)
        room.open()
        room.count(99)
        self.assertEqual(self.accepting(), [True, True])
        room.count(1)
        self.assertEqual(self.accepting(), [False, False])
        for _ in range(5):
            room.count(-1)
            self.assertEqual(self.accepting(), [False, False])
        room.count(-1)
        self.assertEqual(self.accepting(), [True, True])

    def test_burst(self) -> None:
        """
        No port takes more at a stretch than there is room for.
        """
        room = self.room(120)
        room.open()
        first, second = self.ports
        first.doRead()
        self.assertEqual(first.accepted, 100)
        room.count(100)
        second.doRead()
        self.assertEqual(second.accepted, 20)

    def test_told(self) -> None:
        """
        The log says so, and is not filled with it.
        """
        room = self.room(2)
        room.open()
        for _ in range(3):
            room.count(2)
            room.count(-2)
        (warning,) = self.events
        self.assertIn("2 connections: no more are accepted here until", str(warning))
        self.clock.advance(QUIET)
        room.count(2)
        self.assertEqual(len(self.events), 2)

    def test_no_limit(self) -> None:
        room = self.room(0)
        room.open()
        room.count(1_000_000)
        self.assertEqual(self.accepting(), [True, True])
        self.ports[0].doRead()
        self.assertEqual(self.ports[0].accepted, 100)

    def test_descriptors(self) -> None:
        """
        Half of the descriptors are for something else.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        self.assertEqual(most_connections(), 100)
