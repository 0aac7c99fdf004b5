"""
Where log lines go: a file, standard output, or syslog.

Owns: descriptors, rotation, what happens when the target is not there.
Knows nothing of: events, what a line says.

Errors: a target that cannot be opened at start is a
L{ConfigError<txmta.errors.ConfigError>}; trouble later is counted and told
in the log as soon as it can be written again. Mail goes on without a log.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable, Sequence

from txmta.errors import ConfigError

#: Severities (RFC 3164 section 4.1.1).
_INFO, _WARNING, _CRITICAL = 6, 4, 2

#: Facilities by their names in syslog.conf(5), in the order of their numbers.
_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp"),
    *("cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock"),
    *(f"local{n}" for n in range(8)),
)


def open_log(path: str) -> int:
    """
    @return: a descriptor for appending; the file is made if need be.
    @raise OSError: it cannot be had, or is a symbolic link.
    """
    if path == "/dev/stdout":
        # Opening it anew fails for a socket, and after privileges went.
        return os.dup(1)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    # O_NONBLOCK: the open of a FIFO must not hang the mail system.
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o640)
    os.set_blocking(descriptor, True)
    return descriptor


class FileTarget:
    """
    maillog_file: a regular file, reopened when it was renamed or removed
    (logrotate), or a device such as /dev/stdout.

    @ivar astray: what is written is not found under the name any more: the
        file, or its directory, is gone, and we may not make another.
    """

    #: A file's lines carry their host name; syslog adds its own.
    host = True

    def __init__(self, path: str, opener: Callable[[str], int] = open_log) -> None:
        """
        @param opener: opens it, now and when it was renamed or removed.
        @raise ConfigError: it cannot be opened.
        """
        self._path = path
        self._lost = 0
        self._torn = False
        self._opener = opener
        self._known = False
        self.astray = False
        try:
            self._descriptor = opener(path)
        except OSError as e:
            raise ConfigError(
                [
                    f"maillog_file = {path}: cannot be opened: {e.strerror}; "
                    "or name a file in a directory that the server can write to, or "
                    "/dev/stdout"
                ]
            ) from e
        self._regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)

    def write(self, lines: Sequence[str]) -> None:
        """
        Never raises.
        """
        if self._regular:
            self._follow_rotation()
        if not lines:
            return
        told = [_lines_lost(self._lost, lines[0])] if self._lost else []
        text = "".join(("\n" if self._torn else "", *told, *lines))
        data = text.encode("utf-8", "replace")
        left = self._append(data)
        if len(left) < len(data):
            self._torn = not data[: len(data) - len(left)].endswith(b"\n")
        # Nobody to tell but the log itself, later: a full disk stops the log,
        # not the mail (Postfix's postlogd does the same).
        unwritten = left.count(b"\n")
        if unwritten > len(lines):
            self._lost += len(lines)
        else:
            self._lost = unwritten

    def close(self) -> None:
        os.close(self._descriptor)

    def _append(self, data: bytes) -> bytes:
        """
        @return: what finds no place.
        """
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._descriptor, data) :]
        return data

    def _follow_rotation(self) -> None:
        try:
            now = os.stat(self._path)
            old = os.fstat(self._descriptor)
            if (now.st_ino, now.st_dev) == (old.st_ino, old.st_dev):
                self._known, self.astray = True, False
                return
        except OSError:
            pass
        # Where we never could look there is nothing to miss.
        self.astray = self._known
        with contextlib.suppress(OSError):
            new = self._opener(self._path)
            if not stat.S_ISREG(os.fstat(new).st_mode):
                os.close(new)
                return
            os.close(self._descriptor)
            self._descriptor = new
            self.astray = False


def _lines_lost(count: int, line: str) -> str:
    """
    @param line: whose time, process and program are taken.
    """
    head, mark, _ = line.partition("]: ")
    return f"{head}{mark}warning: {count} lines of the log were lost\n"


class SyslogTarget:
    """
    The local syslog socket.
    """

    host = False

    def __init__(self, facility: str = "mail", path: str = "/dev/log") -> None:
        """
        @param facility: syslog_facility; an unknown one counts as C{mail}.
        """
        number = 2
        for n, name in enumerate(_FACILITIES):
            if name in (facility, {"security": "auth"}.get(facility)):
                number = n
        self._base = number * 8
        self._path = path
        self._socket: socket.socket | None = None

    def write(self, lines: Sequence[str]) -> None:
        """
        Never raises, never waits: what syslog does not take is lost, as with
        syslog(3).
        """
        for line in lines:
            self._send(
                f"<{self._base + _severity(line)}>{line}".rstrip("\n").encode(
                    "utf-8", "replace"
                )
            )

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, datagram: bytes) -> None:
        for _ in range(2):
            try:
                if self._socket is None:
                    self._socket = self._connect()
                self._socket.send(datagram)
                return
            except BlockingIOError:
                return
            except OSError:
                # syslogd was restarted: its socket is another one now.
                self.close()

    def _connect(self) -> socket.socket:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        s.setblocking(False)
        try:
            s.connect(self._path)
        except OSError:
            s.close()
            raise
        return s


def _severity(line: str) -> int:
    """
    @return: as Postfix's msg_syslog_print(): C{LOG_CRIT} is for C{fatal:}.
    """
    text = line.partition(": ")[2]
    if text.startswith("fatal: "):
        return _CRITICAL
    return _WARNING if text.startswith("warning: ") else _INFO
