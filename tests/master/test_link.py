"""
Tests for L{txmta.master.link}.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.master.socket_pairs import open_descriptors
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
        self.got: list[object] = []
        self.lost: list[str] = []
        self.warned: list[str] = []
        self.connect(lambda r: self.got.append(r["n"]))

    def connect(
        self, handler: Callable[[Record], None], carriers: tuple[str, ...] = ()
    ) -> None:
        schema = Schema({"n": Number(0, 2**31)})
        self.transport = Transport()
        self.link = Link(
            "smtpd 3",
            {"n": (schema, handler), "m": (schema, handler)},
            self.clock,
            lost=self.lost.append,
            warn=self.warned.append,
            carriers=carriers,
        )
        self.link.makeConnection(self.transport)

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

    def test_last_words(self) -> None:
        """
        What came before the other end was gone counts, however much it is.
        """
        many = 2 * TURN + 1
        self.link.dataReceived(encode([{"t": "n", "n": n} for n in range(many)]))
        self.link.connectionLost()
        self.assertEqual(self.got, list(range(many)))
        self.assertEqual(self.lost, ["the other end is gone"])

    def test_closed_by_a_handler(self) -> None:
        """
        Then nothing more is handled.
        """

        def handler(record: Record) -> None:
            self.got.append(record["n"])
            self.link.close()

        self.connect(handler)
        self.link.dataReceived(encode([{"t": "n", "n": n} for n in range(3)]))
        self.assertEqual(self.got, [0])
        self.assertTrue(self.transport.disconnecting)

    def test_no_record(self) -> None:
        """
        What cannot be sent is told at once, and the rest goes on.
        """
        self.link.send({"t": "n", "n": 1})
        self.assertRaises(ValueError, self.link.send, {"t": "n", "n": float("nan")})
        self.clock.advance(0)
        self.assertEqual(self.sent(), [{"t": "n", "n": 1}])


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


class DescriptorTests(LinkCase):
    """
    With a transport that passes on whatever comes, as Twisted's does.
    """

    def setUp(self) -> None:
        super().setUp()
        self.before = open_descriptors()

    def test_unwanted(self) -> None:
        self.link.fileDescriptorReceived(os.open(os.devnull, os.O_RDONLY))
        self.assertEqual(self.lost, ["sent descriptors that nobody asked for"])
        self.link.fileDescriptorReceived(os.open(os.devnull, os.O_RDONLY))
        self.assertEqual(open_descriptors(), self.before)

    def test_not_handled(self) -> None:
        """
        Those of records whose turn has not come are closed at the end, whoever
        ends it.
        """
        for bad in (False, True):
            self.connect(lambda r: None, ("m",))
            many = [Record(t="n", n=n) for n in range(TURN + 1)]
            self.link.dataReceived(encode(many))
            self.link.fileDescriptorReceived(os.open(os.devnull, os.O_RDONLY))
            self.link.dataReceived(encode([{"t": "m", "n": 1}]))
            self.assertNotEqual(open_descriptors(), self.before)
            if bad:
                self.link.dataReceived(b"\xff" * 4)
            else:
                self.link.close()
            self.assertEqual(open_descriptors(), self.before)
