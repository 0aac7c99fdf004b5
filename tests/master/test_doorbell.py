"""
Tests for L{txmta.master.doorbell}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.master.pairs import Pair
from txmta.master.doorbell import MOST, Button, Doorbell
from txmta.master.frames import Record
from txmta.master.link import Link


class DoorbellTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.heard: list[list[str]] = []
        self.warned: list[str] = []
        self.button = Button(self.clock, self.warned.append)
        self.doorbell = Doorbell(
            lambda ids: self.heard.append(list(ids)), self.clock, self.warned.append
        )

    def connect(self) -> Pair:
        return Pair(
            self.clock, self.button.link("qmgr.1"), self.doorbell.link("smtpd.2")
        )

    def test_rings(self) -> None:
        """
        What is rung is heard; many ids are cut into several records.
        """
        pair = self.connect()
        many = [f"4cQzBn0dLYz{n}" for n in range(MOST + 1)]
        self.button.ring(["4cQzBn0dLYz1s"])
        self.button.ring(many)
        pair.run()
        self.assertEqual(self.heard, [["4cQzBn0dLYz1s"], many[:MOST], many[MOST:]])

    def test_nobody_there(self) -> None:
        """
        A ring that nobody hears is forgotten, also while the link is lost.
        """
        self.button.ring(["4cQzBn0dLYz1s"])
        pair = self.connect()
        pair.run()
        self.assertEqual(self.heard, [])
        pair.cut()
        self.button.ring(["4cQzBn0dLYz1s"])
        self.assertEqual(self.heard, [[]])

    def test_lost(self) -> None:
        """
        Whoever loses a link looks for mail that nobody told of.
        """
        pair = self.connect()
        pair.cut()
        self.assertEqual(self.heard, [[]])

    def test_next_queue_manager(self) -> None:
        """
        The newest link is the one to ring at.
        """
        self.connect()
        other = Doorbell(
            lambda ids: self.heard.append([*ids, "other"]),
            self.clock,
            self.warned.append,
        )
        pair = Pair(self.clock, self.button.link("qmgr.3"), other.link("smtpd.2"))
        self.button.ring(["A"])
        pair.run()
        self.assertEqual(self.heard[-1], ["A", "other"])

    def test_lies(self) -> None:
        """
        Only lists of queue ids are taken, and nothing else.
        """
        bad: list[Record] = [
            {"t": "arrived", "ids": []},
            {"t": "arrived", "ids": ["../x"]},
            {"t": "arrived", "ids": ["A" * 41]},
            {"t": "arrived", "ids": ["A\n"]},
            {"t": "arrived", "ids": [1]},
            {"t": "arrived", "ids": ["A"] * (MOST + 1)},
            {"t": "arrived"},
            {"t": "deliver"},
        ]
        for record in bad:
            self.heard.clear()
            liar = Link("qmgr.1", {}, self.clock, lost=lambda reason: None)
            pair = Pair(self.clock, liar, self.doorbell.link("smtpd.2"))
            liar.send(record)
            pair.run()
            self.assertEqual(self.heard, [[]])
            self.assertIn("smtpd.2", self.warned.pop())

    def test_no_answer(self) -> None:
        """
        A queue manager has nothing to say here.
        """
        liar = Link("smtpd.2", {}, self.clock, lost=lambda reason: None)
        pair = Pair(self.clock, self.button.link("qmgr.1"), liar)
        liar.send({"t": "arrived", "ids": ["A"]})
        pair.run()
        self.assertIn("qmgr.1", self.warned.pop())

    def test_stop(self) -> None:
        pair = self.connect()
        self.doorbell.stop()
        self.button.ring(["A"])
        pair.run()
        self.assertEqual(self.heard, [])
