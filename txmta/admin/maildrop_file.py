"""
A new file in maildrop: there for good, or not at all.

Owns: its name, which nobody can guess; the order of writing, syncing and making it
    count; that it is gone if it was not finished.
Knows nothing of: what is written.

Sources: Postfix C{global/mail_stream.c}; fsync(2); open(2).

Errors: C{OSError}; L{Refused<txmta.admin.sendmail_options.Refused>} without a
maildrop.
"""

from __future__ import annotations

import contextlib
import os
import signal

from txmta.admin.sendmail_options import EX_TEMPFAIL, Refused

#: Octets that are written at a time.
_BLOCK = 1 << 16

#: A complete file: its owner may do all, the mail system may read it.
COMPLETE = 0o740


class NewFile:
    """
    A file in maildrop, which is gone again unless it was finished.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path = os.path.join(folder, os.urandom(16).hex())
        self._finished = False
        self._signals: list[int] = []

    def __enter__(self) -> NewFile:
        self._catch_signals()
        try:
            fd = self._open()
        except BaseException:
            self._restore_signals()
            raise
        self._file = open(fd, "wb", _BLOCK)
        self.write = self._file.write
        return self

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(self._path, flags, 0o600)
        except FileNotFoundError as e:
            raise Refused(
                f"{self._folder} does not exist: start the server once, which makes "
                "it; or name another main.cf with -C",
                EX_TEMPFAIL,
            ) from e
        except OSError as e:
            # The name is for nobody's eyes while the file may be there.
            raise OSError(e.errno, e.strerror, self._folder) from e

    def finish(self, first_line: bytes) -> None:
        """
        Everything is written: make it last, then make it count.
        """
        self._file.flush()
        fd = self._file.fileno()
        os.pwrite(fd, first_line, 0)
        os.fsync(fd)
        if not os.fstat(fd).st_nlink:
            raise Refused("queue file: was removed", EX_TEMPFAIL)
        os.fchmod(fd, COMPLETE)
        # The mode; and with it, as file systems with a journal go, the name,
        # for who may not read the directory cannot sync it.
        os.fsync(fd)
        _sync_directory(self._folder)
        self._finished = True

    def __exit__(self, *_error: object) -> None:
        if not self._finished:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        self._restore_signals()
        try:
            self._file.close()
        except OSError:
            if self._finished:
                raise

    def _catch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _interrupted)
                self._signals.append(number)

    def _restore_signals(self) -> None:
        for number in self._signals:
            signal.signal(number, signal.SIG_DFL)


def _sync_directory(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _interrupted(_number: int, _frame: object) -> None:
    raise SystemExit(EX_TEMPFAIL)
