"""
Peers of a link that are in the hands of somebody else.

Real sockets, the real reactor, and a thread at the other end that does its
worst. Whatever it does, this process goes on, its other work gets its turn,
memory and CPU are bounded, and the link ends with one line in the log.
"""

from __future__ import annotations

import array
import contextlib
import os
import random
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.internet.task import Clock, LoopingCall
from twisted.trial.unittest import TestCase

from tests.master.socket_pairs import open_descriptors
from txmta.master.frames import MAX_FRAME, Record, encode
from txmta.master.link import HALF, MAX_WAITING, STALL, Link
from txmta.master.link_transport import adopt
from txmta.master.records import ListOf, Number, Schema, Text

reactor = cast(Any, _reactor)

SCHEMA = Schema({"id": Text(max=32), "n": Number(0, 2**31)})

GOOD: Record = {"t": "outcome", "id": "4Gabc", "n": 1}


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


class HostileCase(TestCase):
    timeout = 20

    #: Octets that the process may grow by, and seconds of CPU, whatever comes.
    memory = 40 << 20
    cpu = 1.5

    def setUp(self) -> None:
        self.lost: Deferred[str] = Deferred()
        self.warned: list[str] = []
        self.count = 0
        self.open = open_descriptors()
        self.ours, theirs = socket.socketpair()
        theirs.settimeout(10)
        self.theirs = theirs
        self.addCleanup(theirs.close)
        self.longest = 0.0
        self.ticks = LoopingCall(self._tick)
        self.ticks.clock = reactor

    def link(
        self,
        handler: Callable[[Record], None] | None = None,
        clock: IReactorTime | None = None,
        carriers: tuple[str, ...] = (),
    ) -> Link:
        link = Link(
            "smtp 1",
            {
                "outcome": (SCHEMA, handler or self._record),
                "ids": (Schema({"ids": ListOf(Text(max=32), 500)}), self._record),
            },
            clock or cast(IReactorTime, reactor),
            lost=self.lost.callback,
            warn=self.warned.append,
            carriers=carriers,
        )
        adopt(cast(IReactorFDSet, reactor), self.ours.detach(), link)
        return link

    def peer(self, worst: Callable[[socket.socket], object]) -> None:
        """
        Let a thread do its worst, and measure what that costs.
        """

        def run() -> None:
            with contextlib.suppress(OSError):
                worst(self.theirs)

        self.thread = Thread(target=run, daemon=True)
        self.addCleanup(self.thread.join, 10)
        # "5": forget the peak.
        Path("/proc/self/clear_refs").write_text("5")
        self.resident = of_status("VmHWM")
        self.started = time.thread_time()
        self._last = time.thread_time()
        self.ticks.start(0.01, now=False)
        self.thread.start()

    async def dropped(self, reason: str) -> None:
        """
        Wait for the end of the link.
        """
        self.assertRegex(await self.lost, reason)
        self.bounded()
        self.assertEqual(len(self.warned), 1)
        self.assertRegex(self.warned[0], f"^link to smtp 1 dropped: it {reason}$")
        await turns(3)
        left = {f: what for f, what in open_descriptors().items() if f not in self.open}
        left.pop(self.theirs.fileno(), None)
        self.assertEqual(left, {})

    def bounded(self) -> None:
        self.ticks.stop()
        self.assertLess(time.thread_time() - self.started, self.cpu)
        self.assertLess(of_status("VmHWM") - self.resident, self.memory)

    def _record(self, record: Record) -> None:
        self.count += 1

    def _tick(self) -> None:
        # CPU, not time: this machine may have other things to do.
        now = time.thread_time()
        self.longest = max(self.longest, now - self._last)
        self._last = now


def of_status(name: str) -> int:
    """
    @return: octets.
    """
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


async def turns(count: int) -> None:
    """
    Let the reactor turn.
    """
    for _ in range(count):
        fired: Deferred[None] = Deferred()
        reactor.callLater(0, fired.callback, None)
        await fired


class OctetTests(HostileCase):
    async def test_random_octets(self) -> None:
        octets = random.Random(1).randbytes(1 << 20)
        self.link()
        self.peer(lambda s: s.sendall(b"\xff" + octets))
        await self.dropped(r"sent a frame of \d+ octets")

    async def test_text(self) -> None:
        self.link()
        self.peer(lambda s: s.sendall(b"EHLO example.com\r\n" * 9999))
        await self.dropped("sent a frame of 1162366031 octets")

    async def test_random_json(self) -> None:
        """
        Frames of the right length, full of anything.
        """
        octets = random.Random(2).randbytes(MAX_FRAME)
        self.link()
        self.peer(lambda s: s.sendall(framed(octets) * 4))
        await self.dropped("sent a frame that is not JSON")

    async def test_large_frames(self) -> None:
        """
        The largest frames there can be, one after the other.
        """
        payload = encode([{**GOOD, "id": "x" * 32}])[5:-1]
        payload = b"[" + b",".join([payload] * 16_000) + b"]"
        self.link()

        def worst(s: socket.socket) -> None:
            for _ in range(5):
                s.sendall(framed(payload))
            s.sendall(b"\xff" * 4)

        self.peer(worst)
        await self.dropped("sent a frame of 4294967295 octets")
        self.assertGreaterEqual(self.count, 64_000)
        self.assertLess(self.longest, 0.5)

    cpu = 4.0

    async def test_tiny_records(self) -> None:
        """
        A frame of as many records as fit: refused before it is read.
        """
        payload = b"[" + b",".join([b'{"t":"a"}'] * 104_000) + b"]"
        self.link()
        self.peer(lambda s: s.sendall(framed(payload)))
        await self.dropped("sent a frame of more than 100000 values")
        self.assertLess(time.thread_time() - self.started, 0.6)

    async def test_tiny_frames(self) -> None:
        """
        Endless good records, each in a frame of its own: the others still get
        their turn.
        """
        data = encode([GOOD]) * 1000
        self.link()

        def worst(s: socket.socket) -> None:
            for _ in range(100):
                s.sendall(data)
            s.sendall(framed(b"[]"))

        self.peer(worst)
        await self.dropped("sent a frame of 2 octets")
        # What came with the last one is not looked at.
        self.assertGreater(self.count, 90_000)
        self.assertLess(self.longest, 0.5)

    async def test_deep(self) -> None:
        for payload in (b"[" * MAX_FRAME, b'[{"t":' * 20_000, b'{"t":' * 150_000):
            self.link()
            self.peer(lambda s, p=payload: s.sendall(framed(p)))  # type: ignore[misc]
            await self.dropped("sent a frame .*")
            self.setUp()
        self.ours.close()


class RecordTests(HostileCase):
    """
    Well-formed frames with what this peer may not say.
    """

    async def test_each(self) -> None:
        for payload, reason in (
            (b'[{"t":"deliver","key":1}]', "sent a bad record of a type .*'deliver'"),
            (
                b'[{"t":"%b"}]' % (b"x" * 900_000),
                "sent a bad record of a type .*'x{40}'",
            ),
            (b'[{"t":"a\\nb"}]', r"sent a bad record of a type .*'a\\nb'"),
            (b'[{"t":"outcome","n":1}]', "sent a bad record outcome: id is missing"),
            (b'[{"t":"outcome","id":1,"n":1}]', ".*outcome: id should be text .*"),
            (b'[{"t":"outcome","id":"a","n":"1"}]', ".*n should be a number .*"),
            (b'[{"t":"outcome","id":"a","n":true}]', ".*n should be a number .*"),
            (b'[{"t":"outcome","id":"a","n":1.0}]', ".*n should be a number .*"),
            (b'[{"t":"outcome","id":"a","n":-1}]', ".*n should be a number .*"),
            (b'[{"t":"outcome","id":"a","n":[[]]}]', ".*n should be a number .*"),
            (b'[{"t":"outcome","id":"a","n":1,"x":1}]', ".*a field .* not known"),
            (b'[{"t":"outcome","id":"a","n":1e999}]', ".*n should be a number .*"),
            (b'[{"t":"outcome","id":"a","n":%b}]' % (b"9" * 900_000), ".*digits"),
            (b'[{"t":"outcome","id":"a","n":NaN}]', "sent the number NaN"),
            (b'[{"t":"outcome","id":"a","n":1,"n":2}]', ".*the same field twice"),
            (b'[{"t":"outcome","id":"\\ud800","n":1}]', ".*half a character"),
            (b'[{"t":"ids","ids":[%b1]}]' % (b'"a",' * 90_000), ".*a list of 0 to 500"),
            (b'[{"t":"ids","ids":["a",["b"]]}]', ".*ids should be a list of .*"),
        ):
            self.link()
            data = encode([GOOD]) + framed(payload) + encode([GOOD])
            self.peer(lambda s, d=data: s.sendall(d))  # type: ignore[misc]
            await self.dropped(reason)
            self.assertLessEqual(self.count, 1)
            self.setUp()
        self.ours.close()

    async def test_handler_that_fails(self) -> None:
        """
        What a handler did not expect ends the link, not the process.
        """

        def handler(record: Record) -> None:
            raise KeyError(record["n"])

        self.link(handler)
        self.peer(lambda s: s.sendall(encode([GOOD, GOOD])))
        await self.dropped("sent a record outcome that could not be handled")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class SilenceTests(HostileCase):
    """
    The clock of the link is turned by hand.
    """

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()

    async def until(self, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + 5
        while not reached() and time.monotonic() < end:
            self.clock.advance(0)
            await turns(1)
        self.assertTrue(reached())

    async def test_half_a_frame(self) -> None:
        """
        Half a frame, then silence; also with an octet now and then.
        """
        data = encode([{**GOOD, "id": "x" * 32}])
        for slowly in (False, True):
            link = self.link(clock=self.clock)
            self.peer(lambda s: s.sendall(encode([GOOD]) + data[:9]))
            await self.until(lambda: self.count == 1)
            await self.until(lambda: link._intake.waiting > 0)  # noqa: B023
            for n in range(9, 9 + int(HALF)):
                if slowly:
                    self.theirs.sendall(data[n : n + 1])
                    await turns(2)
                self.clock.advance(0.99)
            self.assertEqual(self.warned, [])
            self.clock.advance(1)
            await self.dropped("did not end a frame for 30 seconds")
            self.setUp()
        self.ours.close()

    async def test_does_not_read(self) -> None:
        """
        A peer that has the kernel's buffers full for 10 seconds.
        """
        link = self.link(clock=self.clock)
        self.peer(lambda s: None)
        link.send({"t": "x", "text": "x" * 900_000})
        self.clock.advance(0)
        self.clock.advance(STALL - 1)
        self.assertEqual(self.warned, [])
        self.clock.advance(1)
        await self.dropped("does not read for 10 seconds")

    async def test_reads_slowly(self) -> None:
        """
        One that reads some of it in time is kept.
        """
        link = self.link(clock=self.clock)
        self.peer(lambda s: None)
        link.send({"t": "x", "text": "x" * 1_000_000})
        self.clock.advance(0)
        left = 1_000_000
        while left > 0:
            self.clock.advance(STALL - 1)
            left -= len(self.theirs.recv(400_000))
            await turns(3)
        self.assertEqual(self.warned, [])
        self.ticks.stop()
        link.close()
        await turns(3)

    async def test_reads_no_more(self) -> None:
        """
        One that shuts its reading side only, and goes on talking.
        """
        link = self.link(clock=self.clock)

        def worst(s: socket.socket) -> None:
            s.shutdown(socket.SHUT_RD)
            s.sendall(encode([GOOD]))

        self.peer(worst)
        await self.until(lambda: self.count == 1)
        link.send({"t": "x"})
        self.clock.advance(0)
        await turns(3)
        self.clock.advance(STALL)
        await self.dropped("does not read for 10 seconds")

    async def test_close_is_bounded(self) -> None:
        """
        Nor does it keep a socket open that we want to close.
        """
        link = self.link(clock=self.clock)
        self.peer(lambda s: None)
        link.send({"t": "x", "text": "x" * 900_000})
        link.close()
        await turns(3)
        transport: Any = link.transport
        self.assertTrue(transport.connected)
        self.clock.advance(STALL)
        await turns(3)
        self.assertFalse(transport.connected)
        self.bounded()
        self.assertEqual(self.warned, [])

    async def test_answers_unread(self) -> None:
        """
        A peer that asks and asks, and reads no answer: what waits is bounded.
        """

        def handler(record: Record) -> None:
            link.send({"t": "answer", "text": "x" * 4000})

        link = self.link(handler)

        def worst(s: socket.socket) -> None:
            while True:
                s.sendall(encode([GOOD] * 100))

        self.peer(worst)
        await self.dropped(r"does not read: \d+ octets wait")
        waiting = int(re.findall(r"(\d+) octets", self.warned[0])[0])
        self.assertLess(waiting, MAX_WAITING + 250 * 4100)


class DescriptorTests(HostileCase):
    def rights(self, data: bytes, count: int) -> None:
        rights = array.array("i", [self.null] * count)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        self.theirs.sendmsg([data], ancillary)

    def setUp(self) -> None:
        self.null = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, self.null)
        super().setUp()

    async def test_unwanted(self) -> None:
        """
        Descriptors that nobody asked for do not get in, however many.
        """
        self.link()

        def worst(s: socket.socket) -> None:
            while True:
                self.rights(encode([GOOD]), 253)

        self.peer(worst)
        await self.dropped("sent descriptors that nobody asked for")

    async def test_too_many(self) -> None:
        """
        Where one is expected, two are one too many.
        """
        for count in (2, 3, 253):
            self.link(carriers=("outcome",))
            self.peer(lambda s, n=count: self.rights(encode([GOOD]), n))  # type: ignore[misc]
            await self.dropped("sent descriptors that nobody asked for")
            HostileCase.setUp(self)
        self.ours.close()

    async def test_with_the_wrong_record(self) -> None:
        self.link(carriers=("outcome",))
        self.peer(lambda s: self.rights(encode([{"t": "ids", "ids": []}]), 1))
        await self.dropped("sent a bad record descriptors that belong to no record")

    async def test_missing(self) -> None:
        self.link(carriers=("outcome",))
        self.peer(lambda s: s.sendall(encode([GOOD])))
        await self.dropped("sent a bad record outcome: without its descriptor")

    async def test_ahead_of_its_frame(self) -> None:
        """
        One an octet, so that more and more wait for a frame.
        """
        self.link(carriers=("outcome",))
        data = encode([GOOD])

        def worst(s: socket.socket) -> None:
            for n in range(20):
                self.rights(data[n : n + 1], 1)

        self.peer(worst)
        await self.dropped("sent a bad record descriptors that belong to no record")

    async def test_not_taken(self) -> None:
        """
        What a handler leaves is closed.
        """
        self.link(carriers=("outcome",))

        def worst(s: socket.socket) -> None:
            self.rights(encode([GOOD]), 1)
            s.sendall(b"\xff" * 4)

        self.peer(worst)
        await self.dropped("sent a frame of 4294967295 octets")
        self.assertEqual(self.count, 1)
