"""
Text files that tables are made of, read with a bound.

Owns: how a file is read; which contents are kept for a process that could not
    read them itself.
Knows nothing of: what a file holds, when it is read.

What only root may read is read while the configuration is checked, by root,
and given to those who have no such rights: a table of passwords needs not be
readable for C{mail_owner}.

Sources: open(2).

Errors: C{OSError}.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Protocol

#: Octets of one file. About a million entries; more belong in a database.
MAX_SIZE = 64 * 1024 * 1024

#: Octets of all files that are kept for others.
MAX_KEPT = 128 * 1024 * 1024

#: Tells one version of a file from another.
Signature = tuple[int, int, int, int]

#: Reads a file. Without a signature the content is for good: it was given to
#: this process, which cannot look at the file again.
Reader = Callable[[str], tuple[Signature | None, str]]


class Kept(Protocol):
    """
    Contents by path.
    """

    def get(self, path: str) -> bytes | None: ...


def read_file(path: str) -> tuple[Signature, str]:
    """
    @raise OSError: it cannot be read, is no regular file, or is too large.
    """
    signature, octets = _read(path)
    return signature, _text(octets)


def signature_of(path: str) -> Signature:
    """
    @raise OSError: nothing can be found out.
    """
    return _signature(os.stat(path))


def reader_of(kept: Kept) -> Reader:
    """
    @return: gives what was kept, and reads other files.
    """

    def read(path: str) -> tuple[Signature | None, str]:
        octets = kept.get(path)
        return read_file(path) if octets is None else (None, _text(octets))

    return read


class Keeper:
    """
    Reads files, and keeps the contents of those that others cannot read.

    @ivar files: contents by path.
    """

    def __init__(self, hidden: Callable[[str], bool], compiling: bool = False) -> None:
        """
        @param hidden: whether the others cannot read a file.
        @param compiling: what others can read may be compiled for them.
        """
        self._compiling = compiling
        self.files: dict[str, bytes] = {}
        self._hidden = hidden

    def compiles(self, path: str) -> bool:
        """
        @return: a large text may be compiled for the others.
        """
        return self._compiling and not self._hidden(path)

    def read(self, path: str) -> tuple[Signature, str]:
        """
        A L{Reader}.
        """
        signature, octets = _read(path)
        if self._hidden(path):
            others = sum(len(f) for name, f in self.files.items() if name != path)
            if others + len(octets) > MAX_KEPT:
                raise OSError(
                    f"with others that only root can read larger than {MAX_KEPT} bytes"
                )
            self.files[path] = octets
        return signature, _text(octets)


def _read(path: str) -> tuple[Signature, bytes]:
    # O_NONBLOCK: the open of a FIFO must not hang the mail system.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        # It does not own the descriptor: of a directory it would not close it.
        with open(descriptor, "rb", closefd=False) as file:
            octets = file.read(MAX_SIZE + 1)
    finally:
        os.close(descriptor)
    if len(octets) > MAX_SIZE:
        raise OSError(f"larger than {MAX_SIZE} bytes")
    return _signature(status), octets


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _signature(status: os.stat_result) -> Signature:
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)
