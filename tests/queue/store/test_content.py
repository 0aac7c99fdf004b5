"""
Content in files, and the file that is kept for a full disk.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txmta.errors import StoreUnavailable
from txmta.queue.store import content, ids
from txmta.queue.store.content import (
    FileContent,
    MemoryContent,
    Reserve,
    Spool,
    descriptor_of,
    unavailable,
)


class DirectoryCase(SynchronousTestCase):
    def setUp(self) -> None:
        # A real disk, as a file system in memory may count its room otherwise.
        directory = tempfile.TemporaryDirectory(dir=".")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name).absolute()


class SpoolTests(DirectoryCase):
    number = 1_700_000_000_000_000 << 8

    def setUp(self) -> None:
        super().setUp()
        self.spool = Spool(self.directory)
        self.path = self.directory / ids.encode(self.number)

    def test_never_over_another(self) -> None:
        """
        A file that is there is never written again.
        """
        self.path.write_bytes(b"mail")
        with self.assertRaises(FileExistsError):
            self.spool.create(self.number)
        self.assertEqual(self.path.read_bytes(), b"mail")

    def test_no_links(self) -> None:
        """
        A link is not content of ours, whatever it names.
        """
        secret = self.directory / "secret"
        secret.write_bytes(b"x")
        self.path.symlink_to(secret)
        with self.assertRaises(OSError):
            self.spool.open(self.number)

    def test_short_writes(self) -> None:
        """
        What the kernel did not take is written again.
        """
        write = os.write
        with mock.patch("os.write", lambda fd, data: write(fd, data[:3])):
            file = self.spool.create(self.number)
            file.write(b"0123456789")
            file.finish()
        self.assertEqual(self.path.read_bytes(), b"0123456789")

    def test_copy(self) -> None:
        """
        A copy is synced as well, with its name; one that fails leaves nothing.
        """
        file = self.spool.create(self.number)
        file.write(b"body")
        file.finish()
        synced: list[str] = []

        def fsync(fd: int) -> None:
            synced.append(os.readlink(f"/proc/self/fd/{fd}"))

        with mock.patch("os.fsync", fsync):
            self.spool.copy(self.number, self.number + 256, b"head ")
        copy = self.directory / ids.encode(self.number + 256)
        self.assertEqual(copy.read_bytes(), b"head body")
        self.assertEqual(synced, [str(copy), str(self.directory)])
        full = mock.Mock(side_effect=OSError(errno.EIO, "error"))
        with mock.patch("os.fsync", full), self.assertRaises(OSError):
            self.spool.copy(self.number, self.number + 512, b"")
        self.assertEqual(sorted(self.spool.names()), [self.path.name, copy.name])

    def test_what_errors_mean(self) -> None:
        """
        A full disk and a full quota are 452, all else is 451.
        """
        for number, code in (
            (errno.ENOSPC, 452),
            (errno.EDQUOT, 452),
            (errno.EIO, 451),
            (errno.EACCES, 451),
        ):
            self.assertEqual(unavailable(OSError(number, "x")).code, code)
        self.assertEqual(unavailable(ValueError("x")).code, 451)


class FileContentTests(DirectoryCase):
    def setUp(self) -> None:
        super().setUp()
        path = self.directory / "file"
        path.write_bytes(b"0123456789")
        self.fd = os.open(path, os.O_RDONLY)
        self.patch(content, "cached", lambda fd, offset, length: b"")
        self.reads: list[Deferred[Any]] = []
        self.content = FileContent(self.fd, 10, self.in_thread)

    def in_thread(self, *call: Any) -> Deferred[Any]:
        read: Deferred[Any] = Deferred()
        self.reads.append(read)
        return read

    def read(self, offset: int) -> Deferred[bytes]:
        read = self.content.read(offset, 5)
        assert isinstance(read, Deferred)
        return read

    def is_open(self) -> bool:
        try:
            os.fstat(self.fd)
        except OSError:
            return False
        return True

    def test_closed_while_reading(self) -> None:
        """
        The descriptor is closed when the last thread has read: before, it
        might be somebody else's file by the time it reads.
        """
        first, second = self.read(0), self.read(5)
        self.content.close()
        self.content.close()
        self.assertTrue(self.is_open())
        self.reads[0].callback(b"01234")
        self.assertTrue(self.is_open())
        self.reads[1].callback(b"56789")
        self.assertFalse(self.is_open())
        self.assertEqual(self.successResultOf(first), b"01234")
        self.assertEqual(self.successResultOf(second), b"56789")
        self.failureResultOf(self.read(0), StoreUnavailable)

    def test_error(self) -> None:
        """
        A disk that cannot be read is trouble that may pass, and the descriptor
        is closed all the same.
        """
        read = self.read(0)
        self.content.close()
        self.reads[0].errback(OSError(errno.EIO, "error"))
        self.failureResultOf(read, StoreUnavailable)
        self.assertFalse(self.is_open())


class CachedTests(DirectoryCase):
    def read(self, data: bytes, size: int, threads: list[str]) -> Any:
        path = self.directory / "content"
        path.write_bytes(data)

        def in_thread(*call: Any) -> Deferred[Any]:
            threads.append("thread")
            return Deferred()

        file = FileContent(os.open(path, os.O_RDONLY), size, in_thread)
        self.addCleanup(os.close, file._fd)
        return file.read(1, 4)

    def test_at_hand(self) -> None:
        """
        What has just been written needs no thread.
        """
        threads: list[str] = []
        self.assertEqual(self.read(b"012345", 6, threads), b"1234")
        self.assertEqual(threads, [])

    def test_short(self) -> None:
        """
        What cannot all be had at once is asked for in a thread, which waits.
        """
        threads: list[str] = []
        self.assertIsInstance(self.read(b"012", 6, threads), Deferred)
        self.assertEqual(threads, ["thread"])

    def test_failure(self) -> None:
        """
        A system that cannot say is asked again in a thread.
        """

        def fail(*args: object) -> int:
            raise OSError(errno.EOPNOTSUPP, "not supported")

        self.patch(os, "preadv", fail)
        threads: list[str] = []
        self.assertIsInstance(self.read(b"012345", 6, threads), Deferred)
        self.assertEqual(threads, ["thread"])


class DescriptorTests(DirectoryCase):
    """
    Content for a process that may not open the queue.
    """

    def test_in_memory(self) -> None:
        """
        What was handed over cannot be changed any more, by nobody.
        """
        fd = descriptor_of(MemoryContent(b"Subject: x\r\n\r\n"))
        self.addCleanup(os.close, fd)
        self.assertEqual(os.read(fd, 100), b"Subject: x\r\n\r\n")
        for change in (
            lambda: os.pwrite(fd, b"X", 0),
            lambda: os.ftruncate(fd, 0),
            lambda: os.pwrite(fd, b"X", 100),
        ):
            with self.assertRaises(PermissionError):
                change()

    def test_in_a_file(self) -> None:
        """
        It is read only, and each has a position of its own.
        """
        spool = Spool(self.directory)
        number = 1_700_000_000_000_000 << 8
        file = spool.create(number)
        file.write(b"x" * 70000)
        file.finish()
        fds = [
            descriptor_of(FileContent(spool.open(number), 70000, mock.Mock()))
            for _ in range(2)
        ]
        for fd in fds:
            self.addCleanup(os.close, fd)
            self.assertEqual(os.read(fd, 100000), b"x" * 70000)
            with self.assertRaises(OSError):
                os.write(fd, b"X")


class ReserveTests(DirectoryCase):
    size = 1 << 20

    def setUp(self) -> None:
        super().setUp()
        self.path = self.directory / "queue.reserve"
        self.reserve = Reserve(self.path, self.size)

    def test_real_room(self) -> None:
        """
        It takes real blocks of the disk, or giving it up would give nothing.
        """
        self.assertTrue(self.reserve.make())
        status = self.path.stat()
        self.assertEqual(status.st_size, self.size)
        self.assertGreaterEqual(status.st_blocks * 512, self.size)
        self.assertEqual(status.st_mode & 0o777, 0o600)

    def test_other_size(self) -> None:
        """
        One that was cut off is completed.
        """
        self.path.write_bytes(b"short")
        self.assertTrue(self.reserve.make())
        self.assertGreaterEqual(self.path.stat().st_blocks * 512, self.size)

    def test_as_much_again(self) -> None:
        """
        Where there is room for the reserve alone, mail would fill the disk at
        once: it is not kept.
        """
        for free, made in ((self.size - 1, False), (self.size, True)):
            with mock.patch.object(content, "free_space", lambda d, f=free: f):
                self.assertEqual(self.reserve.make(), made)
            self.assertEqual(self.path.exists(), made)

    def test_no_room(self) -> None:
        """
        A reserve that cannot be made leaves nothing half made.
        """
        full = mock.Mock(side_effect=OSError(errno.ENOSPC, "full"))
        with mock.patch("os.posix_fallocate", full):
            self.assertFalse(self.reserve.make())
        self.assertFalse(self.path.exists())
