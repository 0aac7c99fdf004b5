"""
The maildrop directory as pickup sees it: files of strangers.

Owns: what is opened and what is not, reading a message block by block, removing
    it, putting aside what is none.
Knows nothing of: where messages go, when to look.

Any user of the machine may put anything here, and change what is his own at any
time. A file is taken if it is a regular one with a single name, was made in this
directory (it has its group, which nobody can give to a file of another; or as an
ordinary user, it is our own), and is complete (C{u+x}). It is opened without
following links and without waiting. What has been read counts: nothing is read
twice, and no more than the file said in its first line.

Sources: Postfix C{pickup/pickup.c}, C{global/mail_open_ok.c},
C{util/safe_open.c}; open(2), inode(7).

Errors: L{NotNow}, L{Strange}, L{Bad}; C{OSError} for trouble of ours.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from itertools import islice

from txmta.queue import maildrop
from txmta.queue.maildrop import FIRST, Layout, Malformed, OtherVersion, Submitted

#: Names of one look into the directory; the next one goes on from there, so that
#: nobody's files hide those of others.
MAX_NAMES = 1000

#: Octets that are read at a time.
BLOCK = 1 << 16

#: Seconds after which a file that is not complete will never be.
DEAD = 86_400.0

#: Files put aside that are kept; the next ones are removed.
MAX_BAD = 100

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class NotNow(Exception):
    """
    Nothing to take: it is gone, or not complete.
    """


class Strange(Exception):
    """
    This can be no message, and nobody misses it: remove it.
    """


class Bad(Exception):
    """
    This says that it is a message, and is none: put it aside.
    """


class HandedIn:
    """
    One file that was opened. Close it.

    @ivar uid: whose it is.
    @ivar arrival: wall time when it became complete, as its owner cannot set it.
    @ivar size: octets of content, as they are in the file.
    """

    def __init__(self, fd: int, status: os.stat_result) -> None:
        self._fd = fd
        self.inode = status.st_ino
        self.uid = status.st_uid
        self.arrival = status.st_ctime
        self._total = status.st_size
        self.submitted: Submitted
        self.size = 0

    def read_envelope(self) -> None:
        """
        @raise Bad: it is malformed.
        @raise OSError: it is of another version, or cannot be read.
        """
        try:
            layout = maildrop.read_first(self._read(0, FIRST))
            self.submitted = self._envelope(layout)
        except OtherVersion as e:
            raise OSError(errno.EPROTONOSUPPORT, str(e)) from e
        except Malformed as e:
            raise Bad(str(e)) from e
        self.size = self.submitted.size

    def _envelope(self, layout: Layout) -> Submitted:
        room = maildrop.head_room(layout, self._total)
        if not 0 < room <= maildrop.MAX_FIELDS:
            raise Malformed("is not as long as it says, or has too many fields")
        start = self._read(FIRST, room)
        end = self._read(self._total - layout.rest, layout.rest)
        return maildrop.read_message(layout, self._total, start, end)

    def blocks(self, limit: int | None = None) -> Iterator[bytes]:
        """
        @param limit: octets to read, if not all.
        @return: the content in wire form.
        @raise Bad: it became shorter.
        """
        submitted = self.submitted
        at, left = submitted.start, submitted.size
        left = left if limit is None else min(left, limit)
        last = b"\n"
        while left:
            block = self._read(at, min(BLOCK, left))
            if not block:
                raise Bad("has changed while it was read")
            at, left = at + len(block), left - len(block)
            last = block[-1:]
            yield block if submitted.crlf else block.replace(b"\n", b"\r\n")
        if last != b"\n" and limit is None:
            yield b"\r\n"

    def _read(self, offset: int, length: int) -> bytes:
        """
        @return: fewer octets only at the end.
        """
        parts: list[bytes] = []
        while length > 0:
            part = os.pread(self._fd, length, offset)
            if not part:
                break
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return b"".join(parts)

    def close(self) -> None:
        os.close(self._fd)


class Maildrop:
    """
    The directory.
    """

    def __init__(self, queue_directory: str) -> None:
        """
        @raise OSError: it cannot be opened.
        """
        self.path = os.path.join(queue_directory, "maildrop")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.ExitStack() as opened:
            self._fd = os.open(self.path, flags)
            opened.callback(os.close, self._fd)
            self._bad = os.open(os.path.join(queue_directory, "bad"), flags)
            opened.pop_all()
        self._entries: Iterator[os.DirEntry[str]] | None = None
        status = os.fstat(self._fd)
        # Set-gid: open to all, and what is made in it gets its group.
        self._group = status.st_gid if status.st_mode & stat.S_ISGID else None

    def close(self) -> None:
        self._entries = None
        os.close(self._fd)
        os.close(self._bad)

    def names(self) -> list[str]:
        """
        @return: the next L{MAX_NAMES} that are there, in no order; fewer when all
            have been told, and it starts anew.
        """
        if self._entries is None:
            self._entries = os.scandir(self._fd)
        names = [entry.name for entry in islice(self._entries, MAX_NAMES)]
        if len(names) < MAX_NAMES:
            self._entries = None
        return names

    def open(self, name: str, now: float) -> HandedIn:
        """
        @param name: one of this directory.
        @param now: wall time.
        @raise NotNow: there is nothing to take.
        @raise Strange: it can be no message.
        @raise Bad: it is malformed.
        @raise OSError: it cannot be opened or read.
        """
        try:
            seen = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
            self._judge(seen, now)
            fd = os.open(name, _FLAGS, dir_fd=self._fd)
        except FileNotFoundError as e:
            raise NotNow("is gone") from e
        try:
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) != (seen.st_dev, seen.st_ino):
                raise Strange(f"uid={seen.st_uid}: was exchanged while it was opened")
            self._judge(status, now)
            file = HandedIn(fd, status)
            file.read_envelope()
        except BaseException:
            os.close(fd)
            raise
        return file

    def _judge(self, status: os.stat_result, now: float) -> None:
        uid = status.st_uid
        if not stat.S_ISREG(status.st_mode):
            raise Strange(f"uid={uid}: not a regular file")
        if self._group is None:
            made_here = uid == os.geteuid()
        else:
            made_here = status.st_gid == self._group
        if not made_here:
            raise Strange(f"uid={uid} gid={status.st_gid}: was not made in maildrop")
        if status.st_nlink != 1:
            raise Strange(f"uid={uid}: has {status.st_nlink} names")
        if not status.st_mode & stat.S_IXUSR:
            if now - max(status.st_mtime, status.st_ctime) > DEAD:
                raise Strange(f"uid={uid}: was never completed")
            raise NotNow("is not complete")

    def remove(self, name: str) -> None:
        """
        For good; not an error if it is gone.

        @raise OSError: it cannot be removed.
        """
        with contextlib.suppress(FileNotFoundError):
            try:
                os.unlink(name, dir_fd=self._fd)
            except IsADirectoryError:
                os.rmdir(name, dir_fd=self._fd)

    def put_aside(self, name: str) -> str:
        """
        @return: what was done with it.
        @raise OSError: nothing could be done.
        """
        if len(os.listdir(self._bad)) >= MAX_BAD:
            self.remove(name)
            return "removed"
        os.rename(name, name, src_dir_fd=self._fd, dst_dir_fd=self._bad)
        return f"moved to bad/{name}"
