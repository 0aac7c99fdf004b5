"""
Message content: in memory, and in files of its own above 64 KiB.

Owns: the files in C{content/}: made while content arrives, synced with their
    directory before the row that names them is committed, swept when nobody
    can be writing them.
Knows nothing of: rows. A file without a row is rubbish, a row without its
    file is damage; both are for others to judge.

Sources: open(2), fsync(2); Postfix C{global/mail_stream.c} for the order of
things before 250.

Errors: C{OSError}, turned into L{StoreUnavailable} by L{unavailable}.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.errors import StoreUnavailable
from txmta.interfaces import IContent
from txmta.queue.store import ids

#: Content up to this many octets lives in a row: there both ways cost the
#: same (measured), below it the row wins, above it the file.
INLINE = 65536

#: Octets gathered before a write to a content file.
BLOCK = 262144

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_SEALS |= fcntl.F_SEAL_WRITE

InThread = Callable[..., "Deferred[Any]"]

FULL = "Insufficient system storage"


def unavailable(error: BaseException) -> StoreUnavailable:
    """
    @return: what an operating system error means to the client.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return StoreUnavailable(FULL, 452, "4.3.1")
    return StoreUnavailable(f"Error: queue file write error: {error}")


def sync_directory(path: Path) -> None:
    """
    Make the names in a directory survive a power cut.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@implementer(IContent)
class MemoryContent:
    """
    Content that is at hand.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def close(self) -> None:
        pass


@implementer(IContent)
class FileContent:
    """
    Content in a file of its own. The name may go while we read.
    """

    def __init__(self, fd: int, size: int, in_thread: InThread) -> None:
        self._fd = fd
        self._in_thread = in_thread
        self._reading = 0
        self._closed = False
        self.size = size

    async def _read(self, offset: int, length: int) -> bytes:
        if self._closed:
            raise StoreUnavailable("content is closed")
        self._reading += 1
        try:
            data: bytes = await self._in_thread(os.pread, self._fd, length, offset)
        except OSError as e:
            raise StoreUnavailable(f"cannot read content: {e}") from e
        finally:
            self._reading -= 1
            self._close_if_idle()
        return data

    def read(self, offset: int, length: int) -> bytes | Deferred[bytes]:
        # What the system has in memory, as of a message that has just come,
        # is not worth a way to a thread and back.
        if not self._closed:
            data = cached(self._fd, offset, length)
            if len(data) == max(0, min(length, self.size - offset)):
                return data
        return Deferred.fromCoroutine(self._read(offset, length))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._close_if_idle()

    def detach(self) -> int:
        """
        @return: the descriptor, which is the caller's; nothing has been read.
        """
        self._closed = True
        fd, self._fd = self._fd, -1
        return fd

    def _close_if_idle(self) -> None:
        # A descriptor closed under a reading thread may be somebody else's
        # file by the time it reads.
        if self._closed and not self._reading and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def descriptor_of(content: IContent) -> int:
    """
    @param content: of a store here; is used up.
    @return: a descriptor, for a process that may not open the queue; what it
        leads to cannot be changed by way of it.
    """
    if isinstance(content, FileContent):
        return content.detach()
    if not isinstance(content, MemoryContent):
        raise StoreUnavailable("content without a descriptor")
    fd = os.memfd_create("content", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content.data)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def cached(fd: int, offset: int, length: int) -> bytes:
    """
    @return: what can be read without waiting for the disk; perhaps nothing.
    """
    buffer = bytearray(length)
    try:
        size = os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)
    except OSError:  # not there, not supported, or damage: the thread will see
        return b""
    return bytes(memoryview(buffer)[:size])


class Spool:
    """
    The directory C{content/}.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, number: int) -> Path:
        """
        @param number: of the message.
        """
        return self.directory / ids.encode(number)

    def create(self, number: int) -> SpoolFile:
        """
        @raise OSError: as open(2).
        """
        path = self.path(number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return SpoolFile(path, os.open(path, flags, 0o600))

    def open(self, number: int) -> int:
        """
        @return: a descriptor for reading.
        @raise OSError: above all C{FileNotFoundError}.
        """
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self.path(number), flags)

    def remove(self, number: int) -> None:
        """
        Remove a file whose message is gone; one that is gone is fine.
        """
        self.path(number).unlink(missing_ok=True)

    def names(self) -> list[str]:
        return os.listdir(self.directory)

    def copy(self, source: int | None, target: int, head: bytes) -> tuple[int, int]:
        """
        Write a new file, C{head} and then the content of another message, if
        any, and make it last.

        @return: size and crc32 of it.
        """
        file = self.create(target)
        try:
            file.write(head)
            if source is not None:
                self._append(file, source)
            file.finish()
        except BaseException:
            file.abort()
            raise
        return file.size, file.crc

    def _append(self, file: SpoolFile, source: int) -> None:
        fd = self.open(source)
        try:
            while block := os.read(fd, BLOCK):
                file.write(block)
        finally:
            os.close(fd)


class SpoolFile:
    """
    A content file while it is written.

    @ivar size: octets so far.
    @ivar crc: crc32 of them.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd
        self.size = 0
        self.crc = 0

    def write(self, block: bytes) -> None:
        """
        @raise OSError: as write(2); the file must then be aborted.
        """
        self.size += len(block)
        self.crc = crc32(block, self.crc)
        view = memoryview(block)
        while view:
            view = view[os.write(self._fd, view) :]

    def finish(self) -> None:
        """
        Bring content and name to disk. Blocks: belongs in a helper thread.
        """
        os.fsync(self._fd)
        sync_directory(self._path.parent)
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def abort(self) -> None:
        """
        Remove it; harmless after C{finish} has failed or worked.
        """
        self.close()
        self._path.unlink(missing_ok=True)


class Reserve:
    """
    A file that is given up when the disk is full, so that what is done with
    can be recorded and deleted: deletes and checkpoints need room, too.
    """

    #: Twice the size of the write-ahead log at which it is checkpointed.
    SIZE = 32 * 1024 * 1024

    def __init__(self, path: Path, size: int = SIZE) -> None:
        self._path = path
        self.size = size

    def make(self) -> bool:
        """
        @return: the reserve is there, and as much again is free.
        """
        try:
            if self._path.exists() and self._path.stat().st_size == self.size:
                return True
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, self.size)
            finally:
                os.close(fd)
            if free_space(self._path.parent) >= self.size:
                return True
        except OSError:
            pass
        self.give_up()
        return False

    def give_up(self) -> None:
        self._path.unlink(missing_ok=True)


def free_space(directory: Path) -> int:
    """
    @return: octets that an unprivileged process can still write.
    """
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize
