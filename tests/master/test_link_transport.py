"""
Tests for L{txmta.master.link_transport}: both ends of a link, on the reactor.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.trial.unittest import TestCase

from tests.master.socket_pairs import open_descriptors
from txmta.master.frames import Record, encode
from txmta.master.link import Link
from txmta.master.link_transport import adopt
from txmta.master.records import Number, Schema, Text

reactor = cast(Any, _reactor)

SCHEMA = Schema({"n": Number(0, 2**31), "x": Text(max=2**20)})


class End:
    """
    One end of a link, and all that it was told.

    @ivar got: numbers of records, with what their descriptors hold.
    """

    def __init__(self, carriers: tuple[str, ...] = ()) -> None:
        self.got: list[object] = []
        self.answer = False
        self.lost: Deferred[str] = Deferred()
        self._awaited: tuple[int, Deferred[None]] | None = None
        self.link = Link(
            "smtp 1",
            {"n": (SCHEMA, self._record), "deliver": (SCHEMA, self._deliver)},
            cast(IReactorTime, reactor),
            lost=self.lost.callback,
            warn=lambda text: None,
            carriers=carriers,
        )

    def count(self, count: int) -> Deferred[None]:
        """
        @return: fires when so many came.
        """
        self._awaited = (count, Deferred())
        return self._awaited[1]

    def _record(self, record: Record) -> None:
        self._add(record["n"])
        if self.answer:
            self.link.send(record)

    def _deliver(self, record: Record) -> None:
        descriptor = self.link.take_descriptor()
        self._add((record["n"], os.pread(descriptor, 100, 0)))
        os.close(descriptor)

    def _add(self, what: object) -> None:
        self.got.append(what)
        if self._awaited and len(self.got) == self._awaited[0]:
            self._awaited[1].callback(None)


class LinkTransportTests(TestCase):
    timeout = 10

    def setUp(self) -> None:
        self.before = open_descriptors()
        self.addCleanup(lambda: self.assertEqual(open_descriptors(), self.before))

    def pair(self, *carriers: str) -> tuple[End, End]:
        ends = End(carriers), End(carriers)
        for end, sock in zip(ends, socket.socketpair(), strict=True):
            adopt(cast(IReactorFDSet, reactor), sock.detach(), end.link)
        return ends

    async def finish(self, one: End, other: End) -> None:
        one.link.close()
        self.assertEqual(await other.lost, "the other end is gone")

    async def test_there_and_back(self) -> None:
        one, other = self.pair()
        other.answer = True
        for n in range(1000):
            one.link.send({"t": "n", "n": n, "x": ""})
        await one.count(1000)
        self.assertEqual(one.got, list(range(1000)))
        await self.finish(one, other)

    async def test_more_than_the_kernel_takes(self) -> None:
        """
        Large and many small records arrive whole and in order, both ways.
        """
        one, other = self.pair()
        other.answer = True
        for n in range(400):
            size = 300_000 if n % 40 == 0 else 100
            one.link.send({"t": "n", "n": n, "x": "x" * size})
        await one.count(400)
        self.assertEqual(one.got, list(range(400)))
        await self.finish(one, other)

    async def test_descriptors(self) -> None:
        """
        Each comes with its record, however much waits before it, and is closed
        at the sender when it is gone.
        """
        one, other = self.pair("deliver")
        for n in range(60):
            content = os.memfd_create("content")
            os.write(content, b"%d" % n)
            one.link.send({"t": "n", "n": n, "x": "x" * (200_000 if n == 20 else 9)})
            record: Record = {"t": "deliver", "n": n, "x": "x" * (90_000 * (n == 30))}
            one.link.send(record, content)
        await other.count(120)
        self.assertEqual(other.got[1::2], [(n, b"%d" % n) for n in range(60)])
        await self.finish(one, other)

    async def test_last_words(self) -> None:
        """
        What a process said before it died counts, also where writing to it
        fails first.
        """
        one, other = self.pair()
        one.link.send({"t": "n", "n": 7, "x": ""})
        one.link.close()
        await turn()
        await turn()
        other.link.send({"t": "n", "n": 8, "x": ""})
        self.assertEqual(await other.lost, "the other end is gone")
        self.assertEqual(other.got, [7])

    async def test_write_fails_first(self) -> None:
        ours, theirs = socket.socketpair()
        end = End()
        theirs.sendall(encode([{"t": "n", "n": n, "x": "x" * 90_000} for n in (1, 2)]))
        theirs.close()
        adopt(cast(IReactorFDSet, reactor), ours.detach(), end.link)
        for n in range(3):
            end.link.send({"t": "n", "n": n, "x": ""})
        self.assertEqual(await end.lost, "the other end is gone")
        self.assertEqual(end.got, [1, 2])

    async def test_unsent_descriptors_are_closed(self) -> None:
        """
        What could not be sent any more is closed at the end.
        """
        one, other = self.pair("deliver")
        one.link.send({"t": "n", "n": 1, "x": "x" * 1_000_000})
        for n in range(3):
            record: Record = {"t": "deliver", "n": n, "x": "x" * 90_000}
            one.link.send(record, os.memfd_create("content"))
        await turn()
        other.link.close()
        self.assertEqual(await one.lost, "the other end is gone")
        one.link.send({"t": "deliver", "n": 9, "x": ""}, os.memfd_create("content"))

    async def test_descriptor_that_is_about_to_go(self) -> None:
        """
        One for which the kernel had no room in time is closed, too.
        """
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        end = End()
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(b"x" * 9999)
        adopt(cast(IReactorFDSet, reactor), ours.detach(), end.link)
        content = os.memfd_create("content")
        end.link.send({"t": "deliver", "n": 1, "x": ""}, content)
        await turn()
        os.fstat(content)
        theirs.close()
        self.assertEqual(await end.lost, "the other end is gone")

    async def test_close_with_much_to_send(self) -> None:
        """
        What was sent goes out before the end, descriptors among it.
        """
        one, other = self.pair("deliver")
        for n in range(9):
            one.link.send({"t": "n", "n": n, "x": "x" * 90_000})
            record: Record = {"t": "deliver", "n": n, "x": "x" * 90_000}
            one.link.send(record, os.memfd_create("content"))
        one.link.close()
        self.assertEqual(await other.lost, "the other end is gone")
        self.assertEqual(len(other.got), 18)


def turn() -> Deferred[None]:
    """
    @return: fires in the next turn of the reactor.
    """
    fired: Deferred[None] = Deferred()
    reactor.callLater(0, fired.callback, None)
    return fired
