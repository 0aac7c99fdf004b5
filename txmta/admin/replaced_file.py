"""
A file that takes the place of another one.

Owns: that it is complete and on disk before it has the name; that two commands
    which change a file wait for each other; with whose rights root does so.
Knows nothing of: what is in it.

Errors: C{OSError}; the old file stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator

from txmta.maps.files import read_file


def rewrite(path: str, change: Callable[[str], str], as_owner: bool = True) -> None:
    """
    Put a changed text in the place of the old one; two that do so wait for each
    other.

    @param as_owner: root does so with the rights of the owner.
    """
    path = os.path.realpath(path)
    if as_owner and os.path.exists(path):
        become(os.stat(path))
    with _locked(path) as status:
        old = read_file(path)[1]
        new = change(old)
        if new == old:
            return
        with fresh(path, status.st_mode & 0o777) as descriptor:
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, status.st_uid, status.st_gid)
            octets = new.encode("utf-8", "surrogateescape")
            while octets:
                octets = octets[os.write(descriptor, octets) :]


@contextlib.contextmanager
def _locked(path: str) -> Iterator[os.stat_result]:
    """
    @return: owner and permissions of the file.
    """
    while True:
        descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            mine = os.fstat(descriptor)
            # Another one may have put a new file here while we waited.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(mine, os.stat(path)):
                    yield mine
                    return
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def fresh(path: str, mode: int) -> Iterator[int]:
    """
    @return: a file that takes the place of C{path} when it is complete and on
        disk.
    """
    temporary = f"{path}.{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        yield descriptor
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def become(status: os.stat_result) -> None:
    """
    As root, act as the owner of a file from here on.
    """
    if os.getuid() != 0:
        return
    if (status.st_uid, status.st_gid) == (0, os.getegid()):
        return
    os.setgroups([status.st_gid])
    os.setegid(status.st_gid)
    os.seteuid(status.st_uid)
