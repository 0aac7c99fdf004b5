"""
Records and descriptors between master and children: also from a hostile end.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from txmta.master.channel import (
    MAX_WAITING,
    Channel,
    ChannelBroken,
    channel_pair,
    receive,
    send,
)
from txmta.master.frames import Record, encode
from txmta.master.records import Number, Schema, Text


class Reactor:
    """
    Remembers who waits.
    """

    def __init__(self) -> None:
        self.readers: list[object] = []
        self.writers: list[object] = []

    def addReader(self, reader: object) -> None:
        self.readers.append(reader)

    def addWriter(self, writer: object) -> None:
        self.writers.append(writer)

    def removeReader(self, reader: object) -> None:
        self.readers = [r for r in self.readers if r is not reader]

    def removeWriter(self, writer: object) -> None:
        self.writers = [w for w in self.writers if w is not writer]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class ChannelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        ours, self.other = channel_pair()
        self.addCleanup(self.other.close)
        self.got: list[tuple[Record, Sequence[int]]] = []
        self.lost: list[str] = []
        self.channel = Channel(
            ours,
            cast(Any, self.reactor),
            {
                "say": (Schema({"n": Number(0, 9)}), self.say),
                "text": (Schema({"text": Text(50)}), self.say),
            },
            self.lost.append,
        )
        self.addCleanup(self.channel.close)

    def say(self, record: Record, descriptors: Sequence[int]) -> None:
        self.got.append((record, descriptors))

    def test_both_ways(self) -> None:
        """
        A record is what it was.
        """
        send(self.other, {"t": "say", "n": 3})
        self.channel.doRead()
        self.assertEqual(self.got, [({"t": "say", "n": 3}, [])])
        self.channel.send({"t": "answer"})
        self.assertEqual(receive(self.other), ({"t": "answer"}, []))

    def test_descriptor(self) -> None:
        """
        A descriptor comes along, to be closed on exec; the sender may close
        its own at once.
        """
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.channel.send({"t": "take"}, [writing])
        os.close(writing)
        _record, (came,) = receive(self.other, 1)
        self.assertFalse(os.get_inheritable(came))
        os.write(came, b"x")
        os.close(came)
        self.assertEqual(os.read(reading, 2), b"x")

    def test_unwanted_descriptors(self) -> None:
        """
        Descriptors that nobody asked for never get in.
        """
        before = open_descriptors()
        send(self.other, {"t": "say", "n": 1}, [0, 0, 0])
        self.channel.doRead()
        self.assertLessEqual(open_descriptors(), before)
        self.assertEqual(self.lost, ["sent more than it may"])
        self.assertEqual(self.got, [])

    def test_one_more(self) -> None:
        """
        Not one more either, for which the kernel would have room.
        """
        ours, other = channel_pair()
        self.addCleanup(ours.close)
        self.addCleanup(other.close)
        before = open_descriptors()
        send(other, {"t": "say", "n": 1}, [0, 0])
        self.assertRaises(ChannelBroken, receive, ours, 1)
        self.assertEqual(open_descriptors(), before)

    def test_nonsense(self) -> None:
        """
        What is not one record of a type that the peer may send, and fits, ends
        the channel, with a word why.
        """
        for data, told in (
            (b"hello", "sent "),
            (b"\0\0\0\x05[[[[[", "sent a frame that is not JSON"),
            (encode([{"t": "say", "n": 1}, {"t": "say", "n": 1}]), "not one record"),
            (encode([{"t": "say", "n": 1}])[:-1], "not one record"),
            (encode([{"t": "say", "n": 10}]), "sent a bad record say"),
            (encode([{"t": "say"}]), "sent a bad record say"),
            (encode([{"t": "fork", "n": 1}]), "a type that is not its: 'fork'"),
            (encode([{"t": "text", "text": "x" * 100_000}]), "more than it may"),
            (b"", "the other end is gone"),
        ):
            self.channel.close()
            self.other.close()
            self.setUp()
            self.other.send(data)
            self.channel.doRead()
            self.channel.doRead()
            self.assertEqual(len(self.lost), 1, told)
            self.assertIn(told, self.lost[0])
            self.assertEqual(self.got, [])
            self.assertEqual(self.reactor.readers, [])

    def test_flood(self) -> None:
        """
        One that talks without end gets its turn, and no more.
        """
        self.other.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while True:
                send(self.other, {"t": "say", "n": 1})
        self.channel.doRead()
        self.assertEqual(len(self.got), 50)
        self.assertEqual(self.lost, [])

    def test_deaf(self) -> None:
        """
        One that does not read costs so much memory and no more, and no
        descriptors.
        """
        before = open_descriptors()
        for _ in range(100_000):
            self.channel.send({"t": "beat"}, [0])
            if self.lost:
                break
        self.assertEqual(self.lost, ["does not read"])
        self.assertLess(open_descriptors(), before + 1)

    def test_slow(self) -> None:
        """
        What did not fit goes when there is room, in order.
        """
        count = 0
        while not self.reactor.writers:
            self.channel.send({"t": "n", "n": count})
            count += 1
        for _ in range(MAX_WAITING // 2):
            self.channel.send({"t": "n", "n": count})
            count += 1
        for n in range(count):
            self.assertEqual(receive(self.other)[0]["n"], n)
            self.channel.doWrite()
        self.assertEqual(self.reactor.writers, [])

    def test_end(self) -> None:
        """
        The end of the other is told once; also if it has not read all.
        """
        self.channel.send({"t": "beat"})
        self.other.close()
        self.channel.doRead()
        self.channel.doRead()
        self.assertEqual(self.lost, ["the other end is gone"])

    def test_close(self) -> None:
        """
        After a close nothing is told, and what is sent goes nowhere.
        """
        self.channel.close()
        self.channel.send({"t": "beat"})
        self.channel.doRead()
        self.assertEqual(self.lost, [])
        self.assertEqual(self.other.recv(10), b"")

    def test_blocking(self) -> None:
        """
        Without a reactor: what there is, or an error.
        """
        here, there = channel_pair()
        self.addCleanup(here.close)
        self.assertRaises(BlockingIOError, receive, here, 0, socket.MSG_DONTWAIT)
        there.close()
        self.assertRaises(ChannelBroken, receive, here)
        self.assertRaises(ChannelBroken, send, here, {"t": "beat"})
