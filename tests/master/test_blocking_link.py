"""
Tests for L{txmta.master.blocking_link}.
"""

from __future__ import annotations

import array
import os
import socket
import time

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.master.socket_pairs import Pair, open_descriptors
from txmta.master.blocking_link import BlockingLink, LinkLost
from txmta.master.descriptors import send
from txmta.master.frames import FrameReader, Record, encode
from txmta.master.records import Number, Schema

N = Schema({"n": Number(0, 2**31)})


def many(count: int, kind: str = "n") -> list[Record]:
    return [{"t": kind, "n": n} for n in range(count)]


class BlockingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = Pair(self)
        self.theirs = self.pair.theirs
        self.link = BlockingLink(
            self.pair.ours, "qmgr", {"n": N, "deliver": N}, time.monotonic, ["deliver"]
        )
        self.addCleanup(self.link.close)

    def lost(self, reason: str) -> None:
        e = self.assertRaises(LinkLost, self.link.receive, 0)
        self.assertEqual(str(e), reason)


class ReceiveTests(BlockingCase):
    def test_everything_that_waits(self) -> None:
        self.theirs.sendall(encode(many(3)))
        self.theirs.sendall(encode(many(2)))
        got = self.link.receive(0)
        self.assertEqual(got, [(record, None) for record in (*many(3), *many(2))])

    def test_timeout(self) -> None:
        self.assertEqual(self.link.receive(0), [])
        self.assertEqual(self.link.receive(0.01), [])

    def test_half(self) -> None:
        """
        Half a frame is nothing yet.
        """
        data = encode(many(1))
        self.theirs.sendall(data[:9])
        self.assertEqual(self.link.receive(0), [])
        self.theirs.sendall(data[9:])
        self.assertEqual(self.link.receive(0), [(*many(1), None)])

    def test_last_words(self) -> None:
        """
        What was sent before the end of the stream counts.
        """
        self.theirs.sendall(encode(many(2)))
        self.theirs.close()
        self.assertEqual(len(self.link.receive(0)), 2)
        self.lost("the other end is gone")

    def test_descriptors(self) -> None:
        """
        Each carrier comes with the descriptor that was sent with it, also
        behind other records and when its frame comes in pieces.
        """
        for n in range(3):
            content = os.memfd_create("content")
            os.write(content, b"%d" % n)
            data = encode([{"t": "deliver", "n": n}])
            self.theirs.sendall(encode(many(2)))
            send(self.theirs, data[:3], content)
            self.theirs.sendall(data[3:])
            os.close(content)
        got = self.link.receive(0)
        self.assertEqual(len(got), 9)
        for n, (record, descriptor) in enumerate(got[2::3]):
            self.assertEqual(record, {"t": "deliver", "n": n})
            assert descriptor is not None
            self.assertEqual(os.pread(descriptor, 9, 0), b"%d" % n)
            os.close(descriptor)

    def test_a_bounded_part(self) -> None:
        """
        A flood is given out in parts.
        """
        data = encode(many(900))
        self.link.close()
        pair = Pair(self)
        pair.ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        pair.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        link = BlockingLink(pair.ours, "qmgr", {"n": N}, time.monotonic)
        for _ in range(5):
            pair.theirs.sendall(data)
        sizes = []
        while got := link.receive(0):
            sizes.append(len(got))
        self.assertEqual(sum(sizes), 4500)
        self.assertGreater(len(sizes), 1)


class SendTests(BlockingCase):
    def test_sent(self) -> None:
        self.link.send(many(3))
        self.assertEqual(FrameReader().feed(self.theirs.recv(9999)), many(3))

    def test_peer_that_does_not_read(self) -> None:
        """
        Sending ends after a time, whatever the peer does.
        """
        clock = Clock()
        pair = Pair(self)

        def seconds() -> float:
            clock.advance(4)
            return clock.seconds()

        link = BlockingLink(pair.ours, "qmgr", {}, seconds)
        self.patch(link, "_wait", lambda event, timeout: True)
        e = self.assertRaises(LinkLost, link.send, [{"t": "n", "x": "x" * 900_000}])
        self.assertEqual(str(e), "it does not read for 10 seconds")

    def test_peer_that_is_gone(self) -> None:
        self.theirs.close()
        e = self.assertRaises(LinkLost, self.link.send, many(1))
        self.assertEqual(str(e), "cannot write: Broken pipe")


class BadPeerTests(BlockingCase):
    """
    A peer that does what it must not is told apart, and costs no descriptor.
    """

    def setUp(self) -> None:
        super().setUp()
        self.file = self.pair.file()
        self.before = open_descriptors()

    def rights(self, data: bytes, count: int) -> None:
        rights = array.array("i", [self.file] * count)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        self.theirs.sendmsg([data], ancillary)

    def nothing_left(self) -> None:
        left = dict(self.before)
        left.pop(self.link.fileno())
        self.link.close()
        self.assertEqual(open_descriptors(), left)

    def test_garbage(self) -> None:
        self.theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        self.lost("it sent a frame of 1195725856 octets")

    def test_unknown_type(self) -> None:
        self.theirs.sendall(encode(many(1, "x")))
        self.lost("it sent a bad record of a type that is not its: 'x'")

    def test_bad_field(self) -> None:
        self.theirs.sendall(encode([{"t": "n", "n": True}]))
        self.lost("it sent a bad record n: n should be a number from 0 to 2147483648")

    def test_without_descriptor(self) -> None:
        """
        A carrier whose descriptor is missing is refused, and those before it
        are closed.
        """
        data = encode(many(1, "deliver"))
        self.rights(data, 1)
        self.theirs.sendall(data)
        self.lost("it sent a bad record deliver: without its descriptor")
        self.nothing_left()

    def test_descriptor_for_another_record(self) -> None:
        self.rights(encode(many(1)), 1)
        self.lost("it sent a bad record descriptors that belong to no record")
        self.nothing_left()

    def test_many_descriptors(self) -> None:
        self.rights(encode(many(1, "deliver")), 253)
        self.lost("it sent descriptors that nobody asked for")
        self.nothing_left()

    def test_descriptor_octet_by_octet(self) -> None:
        """
        A frame has room for one descriptor, not for one an octet.
        """
        data = encode(many(1, "deliver"))
        for n in range(9):
            self.rights(data[n : n + 1], 1)
        self.lost("it sent a bad record descriptors that belong to no record")
        self.nothing_left()

    def test_no_carriers(self) -> None:
        """
        Where no record carries one, none gets in.
        """
        link = BlockingLink(
            self.pair.ours.dup(),
            "qmgr",
            {"n": N},
            time.monotonic,  # as above
        )
        self.rights(encode(many(1)), 1)
        e = self.assertRaises(LinkLost, link.receive, 0)
        self.assertEqual(str(e), "it sent descriptors that nobody asked for")
        link.close()
        self.nothing_left()
