"""
L{txmta.delivery.syncs}
"""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.syncs import MAX_AT_ONCE, Numbers, Synced, Syncs

EVENT = struct.Struct("<QQqq")


class Kernel:
    """
    What a kernel might answer: to each call in turn, an error or a number.

    @ivar results: what became of syncs, in the order in which they end.
    """

    def __init__(self, *answers: int, results: dict[int, int] | None = None) -> None:
        self.answers = list(answers)
        self.results = results or {}
        self.calls: list[int] = []

    def __call__(self, number: int, *arguments: Any) -> int:
        self.calls.append(len(arguments))
        answer = self.answers.pop(0)
        if answer < 0:
            raise OSError(-answer, os.strerror(-answer))
        if len(arguments) == 5:
            events = b"".join(EVENT.pack(n, 0, r, 0) for n, r in self.results.items())
            arguments[3].raw = events.ljust(len(arguments[3].raw), b"\0")
        elif len(arguments) == 2:
            arguments[1]._obj.value = 4711
        return answer


#: Of a call, by how many arguments it has.
SETUP, SUBMIT, GETEVENTS = 2, 3, 5


class KernelTests(SynchronousTestCase):
    """
    With the kernel that is here.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.fsyncs: list[int] = []
        self.syncs = Syncs(self.fsync)

    def fsync(self, descriptor: int) -> None:
        self.fsyncs.append(descriptor)
        os.fsync(descriptor)

    def opened(self, name: str) -> int:
        descriptor = os.open(self.folder / name, os.O_CREAT | os.O_WRONLY)
        self.addCleanup(os.close, descriptor)
        os.write(descriptor, b"x")
        return descriptor

    def test_all(self) -> None:
        """
        Files and a directory, several times.
        """
        directory = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, directory)
        every = [*(self.opened(str(n)) for n in range(20)), directory]
        for _ in range(3):
            self.assertEqual(self.syncs.all(every), [None] * 21)

    def test_none(self) -> None:
        self.assertEqual(self.syncs.all([]), [])

    def test_error(self) -> None:
        """
        Each has its own; what comes after one that the kernel does not take is
        synced nevertheless.
        """
        first, last = self.opened("1"), self.opened("2")
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        one, two, three = self.syncs.all([first, read, last])
        self.assertEqual((one, three), (None, None))
        assert two is not None
        self.assertEqual(two.errno, errno.EINVAL)
        self.assertIn(last, self.fsyncs)

    def test_alone(self) -> None:
        """
        For one, the kernel is asked as ever.
        """
        descriptor = self.opened("1")
        self.assertEqual(self.syncs.all([descriptor]), [None])
        self.assertEqual(self.fsyncs, [descriptor])

    def test_many(self) -> None:
        """
        The kernel gets no more than it has room for.
        """
        descriptor = self.opened("1")
        count = 2 * MAX_AT_ONCE + 3
        self.assertEqual(self.syncs.all([descriptor] * count), [None] * count)


class AnswerTests(SynchronousTestCase):
    """
    With a kernel that has every answer.
    """

    def all(self, kernel: Kernel, count: int = 3) -> list[int | None]:
        """
        @return: error numbers.
        """
        self.fsyncs: list[int] = []
        self.syncs = Syncs(self.fsyncs.append, kernel, Numbers(1, 2, 3))
        return self.codes(self.syncs.all(range(100, 100 + count)))

    def codes(self, synced: Synced) -> list[int | None]:
        return [error.errno if error else None for error in synced]

    def test_no_such_call(self) -> None:
        """
        One after the other, where the kernel knows nothing better.
        """
        self.assertEqual(self.all(Kernel(-errno.ENOSYS)), [None] * 3)
        self.assertEqual(self.fsyncs, [100, 101, 102])

    def test_not_taken(self) -> None:
        kernel = Kernel(0, -errno.EINVAL)
        self.assertEqual(self.all(kernel), [None] * 3)
        self.assertEqual(self.fsyncs, [100, 101, 102])

    def test_errors(self) -> None:
        """
        In whatever order they end, and they are not tried again: an error of
        a disk is told only once.
        """
        results = {2: 0, 0: -errno.EIO, 1: -errno.ENOSPC}
        kernel = Kernel(0, 3, 3, results=results)
        self.assertEqual(self.all(kernel), [errno.EIO, errno.ENOSPC, None])
        self.assertEqual(self.fsyncs, [])

    def test_interrupted(self) -> None:
        kernel = Kernel(0, 3, -errno.EINTR, 3, results={0: 0, 1: 0, 2: 0})
        self.assertEqual(self.all(kernel), [None] * 3)

    def test_nothing_said(self) -> None:
        """
        Whatever became of them: not on disk, as far as we know. What has not
        been heard of is not mixed up with what is synced next.
        """
        kernel = Kernel(0, 3, -errno.EINVAL)
        self.assertEqual(self.all(kernel), [errno.EIO] * 3)
        self.assertEqual(self.fsyncs, [])
        kernel.answers = [0, 2, 2]
        kernel.results = {0: 0, 1: 0}
        self.assertEqual(self.syncs.all([1, 2]), [None, None])
        self.assertEqual(kernel.calls[3:], [SETUP, SUBMIT, GETEVENTS])

    def test_kept(self) -> None:
        """
        A queue is made once.
        """
        kernel = Kernel(0, 2, 2, 2, 2, results={0: 0, 1: 0})
        self.assertEqual(self.all(kernel, 2), [None] * 2)
        self.assertEqual(self.syncs.all([1, 2]), [None, None])
        self.assertEqual(kernel.calls.count(SETUP), 1)
