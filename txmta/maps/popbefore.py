"""
C{popbefore:/var/log/dovecot.log}, C{popbefore:/path/name.sock}: addresses of clients
that have logged in by IMAP or POP3 of late.

Asked for such an address it says C{OK}, so that it fits check_client_access as well
as mynetworks. It learns of logins from Dovecot's log, which it follows over rotation,
or from datagrams that have an address each, at a socket that it makes.

Owns: one file, or one socket; when to look.
Knows nothing of: what a login looks like (L{txmta.maps.login_lines}).

One process has the table for all, as for tables that ask a server: each login is
then known everywhere.

Sources: none of Postfix; pop-before-smtp was a program beside it.

Errors: L{ConfigError<txmta.errors.ConfigError>}: no such file or socket.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from typing import Any, cast
from weakref import ReferenceType

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.config.declare import to_time
from txmta.errors import ConfigError
from txmta.maps.context import TableContext
from txmta.maps.login_lines import Lines, Seen, login, plain
from txmta.tables import ITable, ITableType

#: Seconds for which a login counts, if popbefore_time_limit does not say.
LIFETIME = "30m"

#: Seconds between looks.
LOOK = 1.0

#: Octets that are read back at the start, and in one look.
BACK, MOST_OCTETS = 4 << 20, 1 << 20

#: Datagrams in one look, and octets of one.
MOST_DATAGRAMS, LONGEST = 1000, 64


class LogFeed:
    """
    A log file, followed.
    """

    def __init__(self, path: str, seen: Seen, warn: Callable[[str], None]) -> None:
        """
        @raise OSError: it cannot be read.
        """
        self._path = path
        self._seen = seen
        self._warn = warn
        self._complaint = ""
        self._lines = Lines()
        self._file = self._open()
        self._at = max(0, os.fstat(self._file.fileno()).st_size - BACK)
        if self._at:
            self._lines.skip()

    def _open(self) -> FileIO:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        descriptor = os.open(self._path, flags)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError("not a regular file")
        return FileIO(descriptor)

    def look(self, now: float) -> None:
        try:
            self._read(now)
            if self._is_another():
                self._read(now)
                new = self._open()
                self._file.close()
                self._file, self._at = new, 0
                self._lines.clear()
                self._read(now)
            self._complaint = ""
        except OSError as e:
            self._complain(e.strerror or str(e))

    def _is_another(self) -> bool:
        here, there = os.fstat(self._file.fileno()), os.stat(self._path)
        if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            return True
        if here.st_size < self._at:
            self._at = 0  # emptied, and written anew
            self._lines.clear()
        return False

    def _read(self, now: float) -> None:
        left = max(MOST_OCTETS, BACK)
        while left > 0 and (octets := self._next()):
            self._at += len(octets)
            left -= len(octets)
            for line in self._lines.feed(octets):
                found = login(line, now)
                if found is not None:
                    self._seen.add(found[1], found[0])

    def _next(self) -> bytes:
        return os.pread(self._file.fileno(), 65536, self._at)

    def _complain(self, reason: str) -> None:
        # Once for each reason: this runs every second.
        if reason != self._complaint:
            self._complaint = reason
            self._warn(
                f"popbefore:{self._path}: {reason}: new logins are not known: let "
                "mail_owner read it, after it was rotated, too"
            )

    def close(self) -> None:
        self._file.close()


class SocketFeed:
    """
    A datagram socket.
    """

    def __init__(self, path: str, seen: Seen) -> None:
        """
        @raise OSError: it cannot be made.
        """
        self._seen = seen
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise OSError("there is something else of that name")
            os.unlink(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        before = os.umask(0o117)  # its owner and group may write
        try:
            self._socket.bind(path)
        except OSError:
            self._socket.close()
            raise
        finally:
            os.umask(before)

    def look(self, now: float) -> None:
        for _ in range(MOST_DATAGRAMS):
            try:
                octets = self._socket.recv(LONGEST)
            except OSError:
                return
            address = plain(octets.decode("ascii", "replace").strip())
            if address is not None:
                self._seen.add(address, now)

    def close(self) -> None:
        self._socket.close()


@implementer(ITable)
class LoginTable:
    """
    Where there was a login of late.
    """

    def __init__(
        self,
        seen: Seen,
        feed: LogFeed | SocketFeed | None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        @param feed: L{None}: the table is only looked at.
        @param now: wall time, as it is in logs.
        """
        self._seen = seen
        self._feed = feed
        self._now = now

    def lookup(self, key: str) -> str | None:
        address = plain(key)
        if address is None:
            return None
        # Mail comes right after the login: the log of the last moment counts.
        self.look()
        return "OK" if self._seen.has(address, self._now()) else None

    def look(self) -> None:
        """
        Learn of new logins.
        """
        if self._feed is not None:
            self._feed.look(self._now())


def follow(reference: ReferenceType[LoginTable], reactor: Any) -> None:
    """
    Have a table look from time to time, as long as somebody has it: a socket
    that nobody reads is full soon.
    """
    table = reference()
    if table is not None:
        table.look()
        reactor.callLater(LOOK, follow, reference, reactor)


@implementer(IPlugin, ITableType)
class LoginType:
    prefix = "popbefore"
    remote = True

    def open(self, name: str, context: object) -> LoginTable:
        context = cast(TableContext, context)
        where = f"{context.parameter}: {context.spec}"
        if not name.startswith("/"):
            raise ConfigError(
                [
                    f"{where}: write the path of Dovecot's log, or of a socket to be "
                    "made, which ends in .sock"
                ]
            )
        text = context.ways.defined("popbefore_time_limit") or LIFETIME
        try:
            seen = Seen(to_time(text, "s"))
        except ValueError as e:
            raise ConfigError([f"popbefore_time_limit = {text}: {e}"]) from e
        reactor = context.ways.reactor
        try:
            feed = self._feed(name, seen, context, bool(reactor))
        except OSError as e:
            raise ConfigError([f"{where}: open {name}: {e.strerror or e}"]) from e
        table = LoginTable(seen, feed)
        if reactor is not None:
            follow(ReferenceType(table), reactor)
        return table

    def _feed(
        self, name: str, seen: Seen, context: TableContext, serving: bool
    ) -> LogFeed | SocketFeed | None:
        if not name.endswith(".sock"):
            return LogFeed(name, seen, context.warn)
        if not os.path.isdir(os.path.dirname(name)):
            raise OSError("there is no such directory")
        # Who only looks at the configuration takes no socket from the server.
        return SocketFeed(name, seen) if serving else None
