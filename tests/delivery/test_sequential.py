"""
Work, timers and descriptors of a process without reactor.
"""

from __future__ import annotations

import os
import socket
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import NOW, WatchedFileSystem
from txmta.delivery.directories import MaildirPath
from txmta.delivery.maildir import MaildirWriter
from txmta.delivery.maildirs import Maildirs
from txmta.delivery.pipes import ReadEnd, WriteEnd
from txmta.delivery.power import Power
from txmta.delivery.rights import OwnAccount, Owner
from txmta.delivery.sequential import Sequential
from txmta.delivery.stages import Together


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.loop = Sequential(lambda: self.now)
        self.seen: list[object] = []


class WorkTests(Case):
    def note(self, _: object, text: str) -> None:
        self.seen.append(text)

    def test_order(self) -> None:
        """
        One piece of work in each turn, in the order in which it was asked for.
        """
        for n in range(3):
            done = self.loop.in_thread(self.seen.append, n)
            done.addCallback(self.note, f"done {n}")
        self.assertEqual(self.seen, [])
        self.loop.turn(0)
        self.assertEqual(self.seen, [0, "done 0"])
        self.loop.turn(60)
        self.loop.turn(60)
        self.assertEqual(self.seen[2:], [1, "done 1", 2, "done 2"])

    def test_failure(self) -> None:
        self.failureResultOf(self.turned(self.loop.in_thread(int, "x")), ValueError)

    def turned(self, done: Deferred[Any]) -> Deferred[Any]:
        self.loop.turn(0)
        return done

    def test_run(self) -> None:
        async def work() -> int:
            first: int = await self.loop.in_thread(int, "1")
            second: int = await self.loop.in_thread(int, "2")
            return first + second

        async def bad() -> None:
            await self.loop.in_thread(int, "x")

        self.assertEqual(self.loop.run(work()), 3)
        self.assertRaises(ValueError, self.loop.run, bad())

    def test_batch(self) -> None:
        """
        What has come for one mailbox before the first is written is written
        with it: one change of rights, one sync of the directory.
        """
        became: list[Owner] = []
        power = Power(Owner(1, 1), (became.append, lambda: None))
        fs = WatchedFileSystem()
        base = Path(self.mktemp())
        base.mkdir()
        writer = MaildirWriter("mx", lambda: NOW, True, fs)
        boxes = Maildirs(writer, self.loop.in_thread, self.loop, power)
        owner = Owner(61001, 61001)
        path = MaildirPath(str(base), ("Maildir",), owner=owner)
        done = [boxes.put(path, b"x%d\n" % n) for n in range(10)]
        self.loop.turn(0)
        for each in done:
            self.successResultOf(each)
        self.assertEqual(became, [owner])
        self.assertEqual(fs.calls.count("rename"), 10)
        # When the directory was made, and with the ten.
        after = fs.calls[fs.calls.index("rename") :]
        self.assertEqual(after.count("fsync new"), 1)

    def test_side_by_side(self) -> None:
        """
        Several mailboxes: the files of all are synced, then all are renamed,
        then the directories of all are synced; only then is anything told.
        """
        fs = WatchedFileSystem()
        base = Path(self.mktemp())
        base.mkdir()
        writer = MaildirWriter("mx", lambda: NOW, True, fs)
        rights = OwnAccount()
        together = Together(self.loop.in_thread, rights, fs.fsync_all)
        boxes = Maildirs(writer, self.loop.in_thread, self.loop, rights, together)
        paths = [MaildirPath(str(base), (name,)) for name in "abc"]
        for _ in range(2):
            fs.calls.clear()
            done = [boxes.put(path, b"x\n") for path in paths for _ in range(2)]
            self.loop.turn(0)
            for each in done:
                self.successResultOf(each)
        calls = [each for each in fs.calls if not each.startswith(("open", "fstat"))]
        self.assertEqual(
            calls,
            [
                *["write file"] * 6,
                *["fsync file"] * 6,
                *["rename"] * 6,
                *["fsync new"] * 3,
            ],
        )
        self.assertEqual(boxes._busy, {})


class TimerTests(Case):
    def test_timers(self) -> None:
        """
        In order of time; not those that were cancelled; later, if they were
        put off.
        """
        for delay in (3, 1, 2):
            self.loop.callLater(delay, self.seen.append, delay)
        gone = self.loop.callLater(1, self.seen.append, "gone")
        gone.cancel()
        late = self.loop.callLater(1, self.seen.append, "late")
        late.reset(5)
        early = self.loop.callLater(9, self.seen.append, "early")
        early.reset(1.5)
        for self.now in (1, 2, 3, 4.9, 5, 9):
            self.loop.turn(0)
        self.assertEqual(self.seen, [1, "early", 2, 3, "late"])
        self.assertEqual(self.loop.getDelayedCalls(), [])

    def test_added_meanwhile(self) -> None:
        """
        Who calls himself again and again holds up nobody.
        """

        def again() -> None:
            self.seen.append("again")
            self.loop.callLater(0, again)

        again()
        self.loop.in_thread(self.seen.append, "work")
        self.loop.turn(0)
        self.assertEqual(self.seen, ["again", "again", "work"])

    def test_cancelled(self) -> None:
        """
        Timers that were cancelled are not kept for ever.
        """
        for _ in range(10_000):
            self.loop.callLater(30, self.seen.append, 1).cancel()
        self.assertLess(len(self.loop._timers), 2500)
        self.loop.callLater(1, self.seen.append, 2)
        self.now = 31
        self.loop.turn(0)
        self.assertEqual(self.seen, [2])

    def test_waits(self) -> None:
        """
        It rests only when there is nothing to do, and says so before.
        """
        loop = Sequential(lambda: self.now, lambda: self.seen.append("rests"))
        loop.in_thread(self.seen.append, "work")
        loop.turn(0.01)
        self.assertEqual(self.seen, ["work"])
        loop.turn(0.01)
        self.assertEqual(self.seen, ["work", "rests"])

    def test_error(self) -> None:
        """
        What a timer raises is printed, and the next one comes.
        """
        printed = StringIO()
        self.patch(sys, "stderr", printed)
        self.loop.callLater(0, int, "x")
        self.loop.callLater(0, self.seen.append, 1)
        self.loop.turn(0)
        self.assertEqual(self.seen, [1])
        self.assertIn("ValueError", printed.getvalue())


class DescriptorTests(Case):
    def test_all_that_came(self) -> None:
        """
        All that has come is taken before the next piece of work.
        """
        reading, writing = os.pipe()
        end = ReadEnd(self.loop, reading, lambda: self.seen.append(os.read(reading, 1)))
        end.resume()
        os.write(writing, b"abc")
        self.loop.in_thread(self.seen.append, "work")
        self.loop.turn(0)
        self.assertEqual(self.seen, [b"a", b"b", b"c", "work"])
        end.close()
        self.assertEqual(self.loop.getReaders(), [])
        os.close(writing)

    def test_end(self) -> None:
        """
        The end of a pipe is read, not turned around.
        """
        reading, writing = os.pipe()

        def read() -> None:
            self.seen.append(os.read(reading, 9))
            end.close()

        end = ReadEnd(self.loop, reading, read)
        end.resume()
        os.close(writing)
        self.loop.turn(0)
        self.assertEqual(self.seen, [b""])

    def test_write(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        end = WriteEnd(self.loop, writing)
        taken = end.write(b"x" * 200_000)
        assert isinstance(taken, Deferred)
        self.loop.turn(0)
        self.assertNoResult(taken)
        got = 0
        while got < 200_000:
            got += len(os.read(reading, 200_000))
            self.loop.turn(0)
        self.assertTrue(self.successResultOf(taken))
        self.assertEqual(self.loop.getWriters(), [])
        end.close()
        os.close(reading)

    def test_remove_all(self) -> None:
        one, other = socket.socketpair()
        self.addCleanup(other.close)
        end = ReadEnd(self.loop, one.detach(), lambda: self.seen.append(1))
        end.resume()
        self.assertEqual(self.loop.removeAll(), [end])
        other.send(b"x")
        self.loop.turn(0)
        self.assertEqual(self.seen, [])
        end.close()
