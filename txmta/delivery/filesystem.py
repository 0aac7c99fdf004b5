"""
The system calls of mailbox delivery, and what their errors mean for mail.

Owns: the list of calls, so that a test can watch and break each; status codes.
Knows nothing of: Maildirs, recipients.

Sources: Postfix C{global/mbox_open.c} (mbox_dsn).

Errors: L{MailboxError}.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence

from txmta.delivery.syncs import Synced, Syncs, sync

_SYNCS = Syncs()


class FileSystem:
    """
    As in L{os}.
    """

    open = staticmethod(os.open)
    close = staticmethod(os.close)
    write = staticmethod(os.write)
    fsync = staticmethod(os.fsync)
    fstat = staticmethod(os.fstat)
    stat = staticmethod(os.stat)
    lstat = staticmethod(os.lstat)
    pread = staticmethod(os.pread)
    ftruncate = staticmethod(os.ftruncate)
    flock = staticmethod(fcntl.flock)
    mkdir = staticmethod(os.mkdir)
    rename = staticmethod(os.rename)
    unlink = staticmethod(os.unlink)
    geteuid = staticmethod(os.geteuid)
    getpid = staticmethod(os.getpid)

    def fsync_all(self, descriptors: Sequence[int]) -> Synced:
        """
        @return: what became of each.
        """
        if len(descriptors) == 1:
            return [sync(self.fsync, descriptors[0])]
        return _SYNCS.all(descriptors)

    @staticmethod
    def record_lock(descriptor: int, command: int, lock: bytes) -> None:
        """
        @param command: such as C{F_SETLK}.
        @param lock: a C{struct flock}.
        """
        fcntl.fcntl(descriptor, command, lock)


class MailboxError(Exception):
    """
    The message is not in the mailbox.

    @ivar status: RFC 3463 code: 5.2.2 when the mailbox is full, else 4.x.x.
    @ivar reason: one line.
    @ivar diagnostic: as in L{Outcome<txmta.model.Outcome>}, or C{""}.
    """

    def __init__(self, status: str, reason: str, diagnostic: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.diagnostic = diagnostic


#: EFBIG: over mailbox_size_limit, virtual_mailbox_limit or RLIMIT_FSIZE.
_STATUS = {
    errno.ENOSPC: "4.3.0",
    errno.EDQUOT: "5.2.2",
    errno.EFBIG: "5.2.2",
}


def status_of(error: OSError, default: str = "4.2.0") -> str:
    """
    @return: the RFC 3463 code of a failed call.
    """
    return _STATUS.get(error.errno or 0, default)


def words_of(error: OSError) -> str:
    """
    @return: what C{%m} is in Postfix.
    """
    return os.strerror(error.errno) if error.errno else str(error)


def write_all(fs: FileSystem, descriptor: int, octets: bytes) -> None:
    """
    @raise OSError: not all of it could be written.
    """
    written = fs.write(descriptor, octets)
    if written < len(octets):  # a signal, a full disk, or over 2 GB
        rest = memoryview(octets)[written:]
        while rest:
            rest = rest[fs.write(descriptor, rest) :]


def failure(action: str, error: OSError) -> MailboxError:
    """
    Say why a Maildir did not get a message.

    Only a quota is the mailbox's own: bounced, as Postfix does. Postfix also
    bounces what its local(8) finds wrong with a Maildir; we defer, for it is
    more often a file system that is not mounted than a user's choice.

    @param action: what was tried.
    """
    return MailboxError(
        status_of(error), f"maildir delivery failed: {action}: {words_of(error)}"
    )


def refusal(what: str) -> MailboxError:
    """
    A mailbox that we do not trust: deferred, until somebody mends it.
    """
    return MailboxError("4.2.0", f"maildir delivery failed: {what}")
