"""
L{txmta.delivery.mboxes}
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import (
    NOW,
    Content,
    Setting,
    WatchedFileSystem,
    request,
)
from tests.delivery.test_maildirs import Threads
from txmta.delivery.copy import Stamp
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.maildirs import BLOCK, MAX_BATCH, PATIENCE
from txmta.delivery.mbox_open import MboxFile
from txmta.delivery.mboxes import Mboxes
from txmta.delivery.message import Message
from txmta.errors import StoreUnavailable
from txmta.model import DeliveryRequest

LARGE = b"a: b\r\n\r\n" + b"From x\r\n" * 50_000


class MboxesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.path = self.base / "mbox"
        self.lock = self.base / "mbox.lock"
        self.fs = WatchedFileSystem()
        self.threads = Threads()
        self.configure()

    def configure(self, **settings: str) -> None:
        self.setting = Setting(None, "local", **settings)
        self.setting.threads = self.threads
        self.mboxes = Mboxes(self.setting.context, self.fs)

    def tearDown(self) -> None:
        """
        Nothing is left behind when all is done.
        """
        if not self.threads.waiting:
            self.assertEqual(self.setting.clock.getDelayedCalls(), [])
            self.assertEqual(self.mboxes._lanes, {})
            self.assertFalse(self.lock.exists())

    def file(self, name: str = "mbox", limit: int = 0) -> MboxFile:
        locks = ("fcntl", "dotlock")
        path = str(self.base / name)
        return MboxFile(path, os.getuid(), 0, limit, True, True, locks)

    def put(
        self, content: bytes | Content, file: MboxFile | None = None
    ) -> Deferred[None]:
        what: DeliveryRequest = request("a@here.test", content=content)
        message = self.successResultOf(Deferred.fromCoroutine(Message.open(what)))
        stamp = Stamp("s@else.test", "", "")
        return Deferred.fromCoroutine(
            self.mboxes.deliver(message, file or self.file(), stamp)
        )

    def run_all(self) -> None:
        while self.threads.waiting:
            self.threads.run()

    def bodies(self, name: str = "mbox") -> list[bytes]:
        """
        @return: of each message in the file, its content.
        """
        octets = (self.base / name).read_bytes()
        messages = (b"\n" + octets).split(b"\nFrom s@else.test  ")
        self.assertEqual(messages.pop(0), b"")
        bodies = [m.partition(b"<s@else.test>\n")[2] + b"\n" for m in messages]
        return [*bodies[:-1], bodies[-1][:-1]]


class BatchTests(MboxesCase):
    def test_together(self) -> None:
        """
        What comes while a thread waits is written by it: one lock, one sync.
        Other files have threads of their own.
        """
        done = [self.put(b"%d" % n) for n in range(3)]
        other = self.put(b"x", self.file("other"))
        self.assertEqual(len(self.threads.waiting), 2)
        self.threads.run(1)
        self.successResultOf(other)
        self.threads.run()
        for deferred in done:
            self.successResultOf(deferred)
        self.assertEqual(self.bodies(), [b"0\n\n", b"1\n\n", b"2\n\n"])
        self.assertEqual(self.fs.calls.count("fsync mbox"), 1)
        self.assertEqual(self.fs.calls.count("open mbox.lock"), 1)

    def test_joins(self) -> None:
        """
        What waits for others says so, if it is all of its request.
        """
        joined: list[str] = []
        for name, addresses in (("1", 1), ("2", 1), ("3", 2)):
            what = replace(
                request(*["a@here.test"] * addresses),
                joins=partial(joined.append, name),
            )
            message = self.successResultOf(Deferred.fromCoroutine(Message.open(what)))
            stamp = Stamp("s@else.test", "", "")
            done = self.mboxes.deliver(message, self.file(), stamp)
            Deferred.fromCoroutine(done)
        self.assertEqual(joined, ["2"])
        self.run_all()

    def test_one_thread_at_a_time(self) -> None:
        """
        What comes while a thread writes has to wait for it.
        """
        late: list[Deferred[None]] = []
        real = self.fs.write

        def write(descriptor: int, octets: bytes) -> int:
            if not late:
                late.append(self.put(b"2"))
                self.assertEqual(self.threads.waiting, [])
            return real(descriptor, octets)

        self.patch(self.fs, "write", write)
        first = self.put(b"1")
        self.threads.run()
        self.successResultOf(first)
        self.assertNoResult(late[0])
        self.threads.run()
        self.successResultOf(late[0])
        self.assertEqual(self.bodies(), [b"1\n\n", b"2\n\n"])

    def test_each_its_own_result(self) -> None:
        """
        A message that does not fit fails alone.
        """
        file = self.file(limit=300)
        done = [self.put(b"1", file), self.put(b"x" * 300, file), self.put(b"3", file)]
        self.run_all()
        self.successResultOf(done[0])
        error = self.failureResultOf(done[1], MailboxError).value
        self.assertEqual(error.status, "5.2.2")
        self.successResultOf(done[2])
        self.assertEqual(self.bodies(), [b"1\n\n", b"3\n\n"])

    def test_batches_are_bounded(self) -> None:
        done = [self.put(b"%d" % n) for n in range(MAX_BATCH + 4)]
        self.threads.run()
        self.assertEqual(len(self.bodies()), MAX_BATCH)
        self.run_all()
        for deferred in done:
            self.successResultOf(deferred)
        self.assertEqual(len(self.bodies()), MAX_BATCH + 4)

    def test_refused(self) -> None:
        """
        All that waits for a file that is no mailbox fails.
        """
        self.path.mkdir()
        done = [self.put(b"1"), self.put(LARGE)]
        self.run_all()
        for deferred in done:
            error = self.failureResultOf(deferred, MailboxError).value
            self.assertEqual(error.reason, "cannot open file: Is a directory")
        self.path.rmdir()
        self.put(b"2")
        self.run_all()
        self.assertEqual(self.bodies(), [b"2\n\n"])

    def test_bug(self) -> None:
        """
        It reaches whoever waits, and holds up nobody later.
        """
        self.patch(self.fs, "fsync", lambda descriptor: 1 // 0)
        done = [self.put(b"1"), self.put(b"2")]
        self.run_all()
        for deferred in done:
            self.failureResultOf(deferred, ZeroDivisionError)
        self.assertEqual(self.path.read_bytes(), b"")

    def test_date(self) -> None:
        """
        Local time, as C{asctime} writes it.
        """
        self.put(b"1")
        self.run_all()
        self.assertRegex(
            self.path.read_bytes().split(b"\n")[0].decode(),
            r"\AFrom s@else\.test  \w{3} \w{3} [ 123]\d \d\d:\d\d:\d\d 2023\Z",
        )
        self.assertEqual(NOW, 1_700_000_000.25)

    def test_warnings(self) -> None:
        """
        They are logged, in the reactor's thread.
        """
        self.path.write_bytes(b"")
        stranger = MboxFile(str(self.path), os.getuid() + 1, 0, 0, True, True, ())
        done = self.put(b"1", stranger)
        self.threads.run()
        self.failureResultOf(done, MailboxError)
        (warning,) = self.setting.sink.warnings
        self.assertIn("strict_mailbox_ownership", warning)


class LockTests(MboxesCase):
    def test_tried_again(self) -> None:
        """
        After deliver_lock_delay, without a thread meanwhile.
        """
        self.configure(deliver_lock_delay="3s")
        self.lock.write_bytes(b"")
        done = self.put(b"1")
        self.threads.run()
        self.assertEqual(self.threads.waiting, [])
        self.setting.clock.advance(2.9)
        self.assertEqual(self.threads.waiting, [])
        also = self.put(b"2")
        self.lock.unlink()
        self.setting.clock.advance(0.1)
        self.threads.run()
        self.successResultOf(done)
        self.successResultOf(also)
        self.assertEqual(self.fs.calls.count("fsync mbox"), 1)

    def test_attempts(self) -> None:
        """
        deliver_lock_attempts, then all that waits is deferred.
        """
        self.configure(deliver_lock_attempts="3")
        self.lock.write_bytes(b"")
        done = [self.put(b"1"), self.put(LARGE)]
        for _ in range(2):
            self.threads.run()
            self.assertNoResult(done[0])
            self.setting.clock.advance(1)
        self.threads.run()
        for deferred in done:
            error = self.failureResultOf(deferred, MailboxError).value
            self.assertEqual(error.status, "4.2.0")
            self.assertEqual(
                error.reason, f"unable to create lock file {self.lock}: File exists"
            )
        self.assertEqual(self.fs.calls.count("open mbox.lock"), 3)
        self.lock.unlink()


class PatienceTests(MboxesCase):
    def test_no_answer(self) -> None:
        """
        A file that does not answer: what has not been begun is deferred, and
        so is what comes next, until it answers.
        """
        stuck = self.put(b"1")
        real = self.fs.write
        late: list[Deferred[None]] = []

        def hang(descriptor: int, octets: bytes) -> int:
            if not late:
                late.append(self.put(b"2"))
                self.setting.clock.advance(PATIENCE)
                late.append(self.put(b"3"))
            return real(descriptor, octets)

        self.patch(self.fs, "write", hang)
        self.threads.run()
        self.successResultOf(stuck)
        for deferred in late:
            error = self.failureResultOf(deferred, MailboxError).value
            self.assertEqual(
                (error.status, error.reason), ("4.2.0", "no answer for 30s")
            )
        self.assertEqual(self.bodies(), [b"1\n\n"])
        self.put(b"4")
        self.run_all()
        self.assertEqual(self.bodies(), [b"1\n\n", b"4\n\n"])

    def test_nothing_is_written_after_giving_up(self) -> None:
        """
        The thread, or the lock, comes too late: the message would be there
        twice.
        """
        for content in (b"1", LARGE):
            done = self.put(content)
            self.setting.clock.advance(PATIENCE)
            self.failureResultOf(done, MailboxError)
            self.run_all()
            self.assertEqual(self.path.read_bytes(), b"")


class LargeTests(MboxesCase):
    def setUp(self) -> None:
        super().setUp()
        self.setting.threads = execute

    def test_blocks(self) -> None:
        """
        Block by block, quoted across their ends.
        """
        content = Content(LARGE)
        self.successResultOf(self.put(content))
        expected = LARGE.replace(b"\r\n", b"\n").replace(b"\nFrom", b"\n>From")
        self.assertEqual(self.bodies(), [expected + b"\n"])
        self.assertLessEqual(content.largest, BLOCK)
        self.assertEqual(self.fs.calls.count("fsync mbox"), 1)

    def test_in_order(self) -> None:
        """
        Small and large ones do not overlap.
        """
        self.setting.threads = self.threads
        done = [self.put(b"1"), self.put(LARGE), self.put(b"3"), self.put(b"4")]
        self.run_all()
        for deferred in done:
            self.successResultOf(deferred)
        first, large, *last = self.bodies()
        self.assertEqual((first, last), (b"1\n\n", [b"3\n\n", b"4\n\n"]))
        self.assertGreater(len(large), 300_000)

    def test_limit(self) -> None:
        """
        Cut off again when it turns out to be too large.
        """
        self.successResultOf(self.put(b"1"))
        before = self.path.read_bytes()
        done = self.put(LARGE, self.file(limit=300_000))
        error = self.failureResultOf(done, MailboxError).value
        self.assertEqual(error.status, "5.2.2")
        self.assertEqual(self.path.read_bytes(), before)

    def test_damaged(self) -> None:
        """
        Content that cannot be read to its end leaves nothing.
        """
        self.successResultOf(self.put(b"1"))
        before = self.path.read_bytes()
        done = self.put(Content(LARGE, len(LARGE) + 1))
        self.failureResultOf(done, StoreUnavailable)
        self.assertEqual(self.path.read_bytes(), before)

    def test_every_call(self) -> None:
        """
        An error in any call: nothing is left of it.
        """
        self.successResultOf(self.put(LARGE))
        silent: list[str] = []
        for number in range(1, len(self.fs.calls) + 1):
            self.path.unlink()
            self.fs = WatchedFileSystem()
            self.mboxes = Mboxes(self.setting.context, self.fs)
            self.fs.fail = {number: 5}
            result: list[Any] = []
            self.put(LARGE).addBoth(result.append)
            if result == [None]:
                silent.append(self.fs.calls[number - 1])
                continue
            left = self.path.read_bytes() if self.path.exists() else b""
            self.assertEqual(left, b"", self.fs.calls[number - 1])
            self.path.touch()
        self.lock.unlink()
        self.assertEqual(silent, ["stat mbox", "unlink"])
