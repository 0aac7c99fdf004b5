"""
L{txmta.delivery.maildirs}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import NOW, Content
from txmta.delivery.copy import to_lines
from txmta.delivery.directories import MaildirPath
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.maildir import MaildirWriter
from txmta.delivery.maildirs import (
    BLOCK,
    MAX_BATCH,
    MAX_JOINED,
    MAX_STREAMS,
    PATIENCE,
    Maildirs,
)
from txmta.errors import StoreUnavailable

ONE = MaildirPath("/one", ("m",))
TWO = MaildirPath("/two", ("m",))


class Threads:
    """
    Threads that do their work when they are told to.
    """

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()

        def work() -> None:
            execute(function, *args).chainDeferred(result)

        self.waiting.append(work)
        return result

    def run(self, n: int = 0) -> None:
        self.waiting.pop(n)()


class Writer(MaildirWriter):
    """
    Notes what it is to write, and fails messages that say so.
    """

    def __init__(self) -> None:
        super().__init__("mx", lambda: NOW)
        self.batches: list[tuple[MaildirPath, list[bytes]]] = []
        self.broken = False

    def deliver(
        self, path: MaildirPath, messages: Sequence[bytes]
    ) -> list[MailboxError | None]:
        self.batches.append((path, list(messages)))
        if self.broken:
            raise ZeroDivisionError
        bad = MailboxError("4.2.0", "bad")
        return [bad if message == b"bad" else None for message in messages]


class BatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.threads = Threads()
        self.writer = Writer()
        self.maildirs = Maildirs(self.writer, self.threads, self.clock)

    def tearDown(self) -> None:
        """
        Nothing is left behind when all is done.
        """
        if not self.threads.waiting:
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertEqual(self.maildirs._busy, {})

    def test_alone(self) -> None:
        first = self.maildirs.put(ONE, b"1")
        self.assertNoResult(first)
        self.threads.run()
        self.successResultOf(first)
        self.assertEqual(self.writer.batches, [(ONE, [b"1"])])

    def test_together(self) -> None:
        """
        One thread at a time for a Maildir; what comes meanwhile is written
        together. Other Maildirs have threads of their own.
        """
        done = [self.maildirs.put(ONE, b"%d" % n) for n in range(3)]
        other = self.maildirs.put(TWO, b"x")
        self.assertEqual(len(self.threads.waiting), 2)
        self.threads.run(1)
        self.successResultOf(other)
        self.threads.run()
        for deferred in done:
            self.successResultOf(deferred)
        self.assertEqual(
            self.writer.batches, [(TWO, [b"x"]), (ONE, [b"0", b"1", b"2"])]
        )

    def test_joins(self) -> None:
        """
        What waits for others says so; but not all that may come.
        """
        joined: list[None] = []
        for _ in range(MAX_JOINED + 5):
            self.maildirs.put(ONE, b"1", lambda: joined.append(None))
        # The first is what the others wait for.
        self.assertEqual(len(joined), MAX_JOINED - 1)
        while self.threads.waiting:
            self.threads.run()

    def test_each_its_own_result(self) -> None:
        results = [self.maildirs.put(ONE, m) for m in (b"good", b"bad", b"good")]
        self.threads.run()
        self.successResultOf(results[0])
        self.failureResultOf(results[1], MailboxError)
        self.successResultOf(results[2])

    def test_batches_are_bounded(self) -> None:
        """
        In number and in octets; the rest is next.
        """
        for size, expected in ((1, MAX_BATCH), (400_000, 3)):
            self.setUp()
            for _ in range(MAX_BATCH + 4):
                self.maildirs.put(ONE, b"x" * size)
            self.threads.run()
            self.assertEqual(len(self.writer.batches[0][1]), expected)
            while self.threads.waiting:
                self.threads.run()
            written = sum(len(messages) for _, messages in self.writer.batches)
            self.assertEqual(written, MAX_BATCH + 4)

    def test_patience(self) -> None:
        """
        A Maildir that does not answer: what has not been begun is deferred,
        and so is what comes next, until it answers.
        """
        stuck = self.maildirs.put(ONE, b"1")
        self.threads.waiting, (answer,) = [], self.threads.waiting
        original = self.writer.deliver
        late: list[Deferred[None]] = []

        def hang(path: MaildirPath, messages: Sequence[bytes]) -> Any:
            late.append(self.maildirs.put(ONE, b"2"))
            self.clock.advance(PATIENCE)
            late.append(self.maildirs.put(ONE, b"3"))
            return original(path, messages)

        self.patch(self.writer, "deliver", hang)
        answer()
        self.successResultOf(stuck)
        for deferred in late:
            error = self.failureResultOf(deferred, MailboxError).value
            self.assertEqual(error.status, "4.2.0")
            self.assertIn("/one/m/: no answer for 30s", error.reason)
        self.patch(self.writer, "deliver", original)
        again = self.maildirs.put(ONE, b"4")
        self.threads.run()
        self.successResultOf(again)

    def test_no_thread_free(self) -> None:
        """
        A message that no thread took in time is deferred, and not written by
        the thread that comes at last: it would be there twice.
        """
        waiting = self.maildirs.put(ONE, b"1")
        self.clock.advance(PATIENCE)
        self.failureResultOf(waiting, MailboxError)
        self.threads.run()
        self.assertEqual(self.writer.batches, [])

    def test_bug(self) -> None:
        """
        A bug is not a fault of the mailbox; the next message is not held up.
        """
        self.writer.broken = True
        result = self.maildirs.put(ONE, b"1")
        self.threads.run()
        self.failureResultOf(result, ZeroDivisionError)
        self.writer.broken = False
        result = self.maildirs.put(ONE, b"1")
        self.threads.run()
        self.successResultOf(result)

    def test_stopped(self) -> None:
        """
        No more threads: all that waits fails.
        """
        pool: list[Deferred[Any]] = []

        def in_thread(*args: object) -> Deferred[Any]:
            pool.append(Deferred())
            return pool[-1]

        maildirs = Maildirs(self.writer, in_thread, self.clock)
        results = [maildirs.put(ONE, b"1"), maildirs.put(ONE, b"2")]
        pool[0].errback(RuntimeError("stopped"))
        for result in results:
            self.failureResultOf(result, RuntimeError)


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        base = Path(self.mktemp()).absolute()
        base.mkdir(mode=0o700, parents=True)
        self.path = MaildirPath(str(base), ("m",))
        self.new = base / "m" / "new"
        self.tmp = base / "m" / "tmp"
        self.clock = Clock()
        writer = MaildirWriter("mx", lambda: NOW)
        self.maildirs = Maildirs(writer, execute, self.clock)

    def stream(self, content: Content) -> Deferred[None]:
        return Deferred.fromCoroutine(
            self.maildirs.stream(self.path, b"H: x\n", content)
        )

    def test_large(self) -> None:
        """
        Block by block, with the same octets as in one piece.
        """
        octets = b"Subject: x\r\n\r\n" + b"line\r\n" * 200_001 + b"no end"
        content = Content(octets)
        self.successResultOf(self.stream(content))
        (path,) = self.new.iterdir()
        self.assertEqual(path.read_bytes(), b"H: x\n" + to_lines(octets))
        self.assertEqual(content.largest, BLOCK)

    def test_cut_short(self) -> None:
        """
        Content that ends early is never taken for the whole message.
        """
        self.failureResultOf(
            self.stream(Content(b"x" * 300_000, size=400_000)), StoreUnavailable
        )
        self.assertEqual(list(self.new.iterdir()), [])
        self.assertEqual(list(self.tmp.iterdir()), [])

    def test_bounded(self) -> None:
        """
        So many large messages at a time, and the next waits, but not for ever.
        """
        blocked = Threads()
        self.maildirs = Maildirs(MaildirWriter("mx", lambda: NOW), blocked, self.clock)
        running = [self.stream(Content(b"x" * 100)) for _ in range(MAX_STREAMS)]
        self.assertEqual(len(blocked.waiting), MAX_STREAMS)
        waiting = self.stream(Content(b"x" * 100))
        self.assertEqual(len(blocked.waiting), MAX_STREAMS)
        self.clock.advance(PATIENCE)
        self.failureResultOf(waiting, MailboxError)
        while blocked.waiting:
            blocked.run()
        for deferred in running:
            self.successResultOf(deferred)
        last = self.stream(Content(b"x" * 100))
        while blocked.waiting:
            blocked.run()
        self.successResultOf(last)
        self.assertEqual(self.clock.getDelayedCalls(), [])
