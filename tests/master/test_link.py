"""
Tests for L{txmta.master.link}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from txmta.master.frames import FrameReader, Record, encode
from txmta.master.link import TURN, Link
from txmta.master.records import Number, Schema


class Transport(StringTransport):
    """
    Remembers how it was ended.
    """

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class LinkCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.transport = Transport()
        self.got: list[object] = []
        self.lost: list[str] = []
        self.warned: list[str] = []
        self.link = self.make(lambda r: self.got.append(r["n"]))
        self.link.makeConnection(self.transport)

    def make(self, handler: Callable[[Record], None]) -> Link:
        return Link(
            "smtpd 3",
            {"n": (Schema({"n": Number(0, 2**31)}), handler)},
            self.clock,
            lost=self.lost.append,
            warn=self.warned.append,
        )

    def sent(self) -> list[Record]:
        sent = FrameReader().feed(self.transport.value())
        self.transport.clear()
        return sent


class PoliteTests(LinkCase):
    def test_one_write_a_turn(self) -> None:
        """
        What is sent in one turn of the reactor is one frame.
        """
        records: list[Record] = [{"t": "n", "n": n} for n in range(3)]
        for each in records:
            self.link.send(each)
        self.assertEqual(self.transport.value(), b"")
        self.clock.advance(0)
        self.assertEqual(self.transport.value(), encode(records))

    def test_received(self) -> None:
        self.link.dataReceived(encode([{"t": "n", "n": n} for n in range(3)]))
        self.assertEqual(self.got, [0, 1, 2])

    def test_lost(self) -> None:
        """
        The owner is told once that the other end is gone.
        """
        self.link.connectionLost()
        self.link.send({"t": "n", "n": 1})
        self.clock.advance(60)
        self.assertEqual(self.lost, ["the other end is gone"])
        self.assertEqual(self.warned, [])

    def test_close(self) -> None:
        """
        What was sent goes out, and the owner, who knows, is not told.
        """
        self.link.send({"t": "n", "n": 1})
        self.link.close()
        self.assertEqual(self.sent(), [{"t": "n", "n": 1}])
        self.assertTrue(self.transport.disconnecting)
        self.link.connectionLost()
        self.assertEqual(self.lost, [])


class TurnTests(LinkCase):
    def test_others_get_their_turn(self) -> None:
        """
        Many records at once are handled a part at a time, and nothing is
        read meanwhile.
        """
        many = 2 * TURN + 1
        self.link.dataReceived(encode([{"t": "n", "n": n} for n in range(many)]))
        self.assertEqual(len(self.got), TURN)
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(self.got, list(range(many)))
        self.assertEqual(self.transport.producerState, "producing")


class BadPeerTests(LinkCase):
    def dropped(self, reason: str) -> None:
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.lost, [reason])
        self.assertEqual(self.warned, [f"link to smtpd 3 dropped: it {reason}"])

    def test_unknown_type(self) -> None:
        self.link.dataReceived(encode([{"t": "x"}, {"t": "n", "n": 1}]))
        self.dropped("sent a bad record of a type that is not its: 'x'")
        self.assertEqual(self.got, [])

    def test_bad_field(self) -> None:
        self.link.dataReceived(encode([{"t": "n", "n": -1}]))
        self.dropped("sent a bad record n: n should be a number from 0 to 2147483648")

    def test_not_our_form(self) -> None:
        self.link.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.dropped("sent a frame of 1195725856 octets")
