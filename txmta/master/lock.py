"""
One server per queue.

Owns: the lock file.

Sources: flock(2). A flock outlives the fork by which twistd becomes a
    daemon, a lock by fcntl(2) does not. Postfix: C{master/master.c},
    C{pid/master.pid}.

Errors: L{ConfigError<txmta.errors.ConfigError>} that says who holds it.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat

from txmta.errors import ConfigError

#: In the queue directory.
NAME = "master.lock"


class QueueLock:
    """
    Held until C{release}, or the end of the process.
    """

    def __init__(self, directory: str) -> None:
        """
        @param directory: queue_directory, which exists.
        @raise ConfigError: another server has it, or it cannot be had.
        """
        self._path = os.path.join(directory, NAME)
        try:
            self._fd = os.open(
                self._path,
                os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK,
                0o600,
            )
        except OSError as e:
            raise self._failure(f"cannot be opened: {e.strerror}") from e
        try:
            self._take()
        except BaseException:
            os.close(self._fd)
            raise

    def _take(self) -> None:
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise self._failure("is no plain file with one name: remove it")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise self._failure(
                f"another server has this queue ({self._holder()}): stop it first, or "
                "set another queue_directory"
            ) from e
        except OSError as e:
            raise self._failure(f"cannot be locked: {e.strerror}") from e
        self.write_pid()

    def write_pid(self) -> None:
        """
        Say who holds it; once more after a fork, if the child goes on.
        """
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError as e:
            raise self._failure(f"cannot be written: {e.strerror}") from e

    def give(self, uid: int, gid: int) -> None:
        """
        Let the mail owner open it at the next start.
        """
        os.fchown(self._fd, uid, gid)

    def release(self) -> None:
        """
        Let another server have the queue. The file stays: to remove it would
        let two servers lock two files of the same name.
        """
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _holder(self) -> str:
        text = os.pread(self._fd, 20, 0).strip()
        known = re.fullmatch(rb"\d+", text)
        return f"process {text.decode('ascii')}" if known else "process unknown"

    def _failure(self, what: str) -> ConfigError:
        return ConfigError([f"{self._path}: {what}"])
