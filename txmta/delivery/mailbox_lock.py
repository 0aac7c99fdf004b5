"""
Locks on mailbox files: mailbox_delivery_lock.

Each function tries once and does not wait: who waits, and how often, is
L{txmta.delivery.mboxes}'.

Kernel locks are those of an open file, not of the process, where the system
has such (F_OFD_SETLK: Linux): the usual fcntl locks of a process are all lost
when it closes any descriptor of the file, and never keep out its own threads.
The two kinds keep each other out.

Owns: how a lock is taken and given back; stale lock files.
Knows nothing of: mail.

Sources: Postfix C{global/dot_lockfile.c}, C{global/deliver_flock.c}; fcntl(2).

Errors: L{Busy}; C{OSError} for what does not go away by waiting.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress

from txmta.delivery.filesystem import FileSystem, MailboxError, words_of

_LOCK_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC

#: C{struct flock}: all of the file, to its end, wherever that will be.
_WHOLE = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_SET_LOCK: int = getattr(fcntl, "F_OFD_SETLK", fcntl.F_SETLK)

_HELD = (errno.EAGAIN, errno.EACCES)


class Busy(MailboxError):
    """
    Somebody else has the lock; worth another try.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("4.2.0", reason)


def lock_file(fs: FileSystem, path: str, now: float, stale: float) -> None:
    """
    Make C{path.lock}; remove it if nobody has touched it for long.

    @param now: wall time.
    @param stale: stale_lock_time, seconds.
    @raise Busy: it is there.
    @raise OSError: it cannot be made.
    """
    name = f"{path}.lock"
    for last in (False, True):
        try:
            fs.close(fs.open(name, _LOCK_FILE, 0))
        except FileExistsError as e:
            if last or not _is_stale(fs, name, now, stale):
                raise Busy(dot_lock_reason(path, e)) from e
            with suppress(FileNotFoundError):
                fs.unlink(name)
        else:
            return


def _is_stale(fs: FileSystem, name: str, now: float, stale: float) -> bool:
    try:
        return now > fs.lstat(name).st_ctime + stale
    except FileNotFoundError:  # just given back
        return True


def unlock_file(fs: FileSystem, path: str) -> None:
    """
    Remove C{path.lock}. If that fails it is stale some day.
    """
    with suppress(OSError):
        fs.unlink(f"{path}.lock")


def dot_lock_reason(path: str, error: OSError) -> str:
    """
    @return: Postfix's words.
    """
    return f"unable to create lock file {path}.lock: {words_of(error)}"


def lock_descriptor(fs: FileSystem, descriptor: int, styles: tuple[str, ...]) -> None:
    """
    Lock an open file; closing it gives the lock back.

    @param styles: mailbox_delivery_lock; C{dotlock} is not done here. The
        order is Postfix's, whatever it says.
    @raise Busy: another one has it.
    @raise OSError: the file system has no locks.
    """
    try:
        if "flock" in styles:
            fs.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if "fcntl" in styles:
            fs.record_lock(descriptor, _SET_LOCK, _WHOLE)
    except OSError as e:
        if e.errno in _HELD:
            raise Busy(kernel_lock_reason(e)) from e
        raise


def kernel_lock_reason(error: OSError) -> str:
    """
    @return: Postfix's words.
    """
    return f"unable to lock for exclusive access: {words_of(error)}"
