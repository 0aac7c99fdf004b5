"""
Open and lock a mailbox file without being led elsewhere.

What is looked at is what has been opened, by its descriptor; a name that is
a symbolic link counts only where nobody but root can have made it.

Owns: what a mailbox file may be, and whose; its locks; that its name is on
    disk.
Knows nothing of: messages. Everything here blocks: it runs in a thread.

Sources: Postfix C{global/mbox_open.c}, C{util/safe_open.c}, C{local/mailbox.c},
C{local/file.c}.

Errors: L{MailboxError<txmta.delivery.filesystem.MailboxError>}, with
Postfix's words; where Postfix bounces because of what the file is, we defer,
as with Maildirs. L{Busy<txmta.delivery.mailbox_lock.Busy>} when it is locked.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from txmta.delivery.directories import Entries
from txmta.delivery.filesystem import FileSystem, MailboxError, status_of, words_of
from txmta.delivery.mailbox_lock import (
    dot_lock_reason,
    kernel_lock_reason,
    lock_descriptor,
    lock_file,
    unlock_file,
)

_APPEND = os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH

#: Warnings that are kept until somebody logs them.
_MAX_WARNINGS = 100


@dataclass(frozen=True, slots=True)
class MboxFile:
    """
    Where messages are appended.

    @ivar path: absolute.
    @ivar uid: whose it is. The caller sees to it that we have this user's
        rights.
    @ivar gid: in which group; not always the file's.
    @ivar limit: octets that the file may have; 0 for no limit.
    @ivar strict_owner: strict_mailbox_ownership.
    @ivar spool: it is a mailbox, and must be a regular file. Else it is the
        C{/file/name} of an alias or .forward file: it may be a character
        device, such as /dev/null; must not be executable; and is written even
        if no lock file can be made. A missing file is made in both cases.
    @ivar locks: mailbox_delivery_lock or virtual_mailbox_lock.
    """

    path: str
    uid: int
    gid: int
    limit: int
    strict_owner: bool
    spool: bool
    locks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenMbox:
    """
    A file that is open, locked and to be trusted.

    @ivar regular: it is a file, not a device.
    @ivar size: octets in it; 0 for a device.
    """

    descriptor: int
    regular: bool
    size: int


class MboxOpener:
    """
    Any number of threads may call at the same time.

    @ivar warnings: for the log; taken by the caller.
    """

    def __init__(self, fs: FileSystem, now: Callable[[], float], stale: float) -> None:
        """
        @param now: wall time.
        @param stale: stale_lock_time, seconds.
        """
        self.warnings: deque[str] = deque(maxlen=_MAX_WARNINGS)
        self._fs = fs
        self._now = now
        self._stale = stale
        self._entries = Entries(fs)

    def open(self, file: MboxFile, stack: ExitStack) -> OpenMbox:
        """
        @param stack: gives locks and descriptors back.
        @raise MailboxError: it cannot be opened, or is not to be trusted.
        """
        exists = self._look(file)
        if exists is None or stat.S_ISREG(exists.st_mode):
            self._dot_lock(file, stack)
        device = exists is not None and not stat.S_ISREG(exists.st_mode)
        descriptor, made = self._descriptor(file.path, device)
        stack.callback(self._close, descriptor)
        try:
            status = self._fs.fstat(descriptor)
            linked = self._check_name(file.path, status)
            if stat.S_ISREG(status.st_mode):
                status = self._lock(file, descriptor)
        except OSError as e:
            reason = f"cannot get file status: {words_of(e)}"
            raise MailboxError(status_of(e), reason) from e
        self._check_kind(file, status)
        if not stat.S_ISREG(status.st_mode):
            return OpenMbox(descriptor, False, 0)
        if not linked:
            self._sync_entry(file.path, descriptor, made)
        return OpenMbox(descriptor, True, status.st_size)

    def _close(self, descriptor: int) -> None:
        with suppress(OSError):
            self._fs.close(descriptor)

    def _look(self, file: MboxFile) -> os.stat_result | None:
        try:
            return self._fs.stat(file.path)
        except OSError:  # missing, or said better by open
            return None

    def _dot_lock(self, file: MboxFile, stack: ExitStack) -> None:
        if "dotlock" not in file.locks:
            return
        try:
            lock_file(self._fs, file.path, self._now(), self._stale)
        except OSError as e:
            reason = dot_lock_reason(file.path, e)
            if file.spool:
                raise MailboxError(status_of(e), reason) from e
            self.warnings.append(reason)
        else:
            stack.callback(unlock_file, self._fs, file.path)

    def _descriptor(self, path: str, device: bool) -> tuple[int, bool]:
        """
        @return: and whether we have made the file.
        """
        try:
            if not device:
                # To look at its end; what we may not read we can still write.
                with suppress(PermissionError):
                    return self._fs.open(path, _APPEND | os.O_RDWR), False
            return self._fs.open(path, _APPEND | os.O_WRONLY), False
        except FileNotFoundError:
            return self._make(path), True
        except OSError as e:
            reason = f"cannot open file: {words_of(e)}"
            raise MailboxError(status_of(e), reason) from e

    def _make(self, path: str) -> int:
        flags = _APPEND | os.O_RDWR | os.O_CREAT | os.O_EXCL
        try:
            return self._fs.open(path, flags, 0o600)
        except FileExistsError as e:  # a dangling link, or somebody was quicker
            reason = "cannot open file: No such file or directory"
            raise MailboxError("4.2.0", reason) from e
        except OSError as e:
            reason = f"cannot create file exclusively: {words_of(e)}"
            raise MailboxError(status_of(e), reason) from e

    def _check_name(self, path: str, status: os.stat_result) -> bool:
        """
        @return: whether the name is a symbolic link that we trust.
        """
        if stat.S_ISREG(status.st_mode) and status.st_nlink != 1:
            raise MailboxError("4.2.0", f"file has {status.st_nlink} hard links")
        name = self._fs.lstat(path)
        if stat.S_ISLNK(name.st_mode):
            parent = self._fs.stat(os.path.dirname(path))
            if name.st_uid or parent.st_uid or parent.st_mode & _WRITABLE:
                raise MailboxError("4.2.0", "file is a symbolic link")
            return True
        if (status.st_dev, status.st_ino) != (name.st_dev, name.st_ino):
            raise MailboxError("4.2.0", "file status changed unexpectedly")
        return False

    def _lock(self, file: MboxFile, descriptor: int) -> os.stat_result:
        try:
            lock_descriptor(self._fs, descriptor, file.locks)
        except OSError as e:
            raise MailboxError(status_of(e), kernel_lock_reason(e)) from e
        status = self._fs.fstat(descriptor)
        if status.st_nlink != 1:  # a POP server has put another one in its place
            reason = "target file status changed unexpectedly"
            self.warnings.append(f"{file.path}: {reason}")
            raise MailboxError("4.2.0", reason)
        return status

    def _check_kind(self, file: MboxFile, status: os.stat_result) -> None:
        regular = stat.S_ISREG(status.st_mode)
        if not regular and (file.spool or not stat.S_ISCHR(status.st_mode)):
            raise MailboxError(
                "4.2.0", f"destination {file.path} is not a regular file"
            )
        if not file.spool:
            if regular and status.st_mode & _EXECUTABLE:
                raise MailboxError("5.7.1", "file is executable")
        elif file.strict_owner and status.st_uid != file.uid:
            self.warnings.append(
                'specify "strict_mailbox_ownership = no" to ignore mailbox '
                "ownership mismatch"
            )
            raise MailboxError(
                "4.2.0", f"destination {file.path} is not owned by recipient"
            )

    def _sync_entry(self, path: str, descriptor: int, made: bool) -> None:
        """
        The file's name is on disk when this returns.
        """
        try:
            if self._entries.known(descriptor) and not made:
                return
            try:
                parent = self._fs.open(os.path.dirname(path), _DIRECTORY)
            except PermissionError:  # not ours to list: others made what is there
                return
            try:
                self._entries.sync(parent, descriptor, made)
            finally:
                self._close(parent)
        except OSError as e:
            raise write_error(e) from e


def write_error(error: OSError) -> MailboxError:
    """
    @return: the message did not get into the file, in Postfix's words.
    """
    reason = f"error writing message: {words_of(error)}"
    return MailboxError(status_of(error, "4.3.0"), reason)
