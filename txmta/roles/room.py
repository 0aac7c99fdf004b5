"""
Accept no more clients than there are descriptors for.

Twisted accepts and closes all who wait when a process is out of descriptors,
also those whom another process could serve. So it must not come to that: before
it does, the listening sockets are left alone until sessions end. Who connects
meanwhile waits for that, or for another process that has the same sockets.

Owns: how many connections there may be on all listening sockets of a process.
Knows nothing of: sessions; other limits, after which clients are told to come
    again (L{txmta.smtp.factory}).

Sources: accept(2), EMFILE; twisted.internet.tcp.Port, C{numberAccepts}.

Errors: none; a line in the log when nobody is accepted any more.
"""

from __future__ import annotations

import resource
from typing import Any

from twisted.internet.interfaces import IReactorTime

from txmta.events import Warn
from txmta.interfaces import IEventSink

#: Seconds between two lines of the log about it.
QUIET = 60.0

#: One in so many must have gone before others come: else each end of a session
#: would open and close the doors.
STEP = 20


class Room:
    """
    That for the connections of one process.
    """

    def __init__(self, clock: IReactorTime, limit: int, sink: IEventSink) -> None:
        """
        @param limit: connections at a time; 0: no limit.
        """
        self._clock = clock
        self._limit = limit
        self._sink = sink
        self._ports: list[Any] = []
        self._count = 0
        self._open = False
        self._full = False
        self._told = float("-inf")

    @property
    def limit(self) -> int:
        """
        Connections at a time; 0: any number.
        """
        return self._limit

    def used(self) -> int:
        """
        @return: how many there are.
        """
        return self._count

    def add(self, port: Any) -> None:
        """
        @param port: listening; it accepts only while we are open.
        """
        self._ports.append(port)
        accept = port.doRead

        def no_more_than_fit() -> None:
            if self._limit:
                left = max(1, self._limit - self._count)
                port.numberAccepts = min(port.numberAccepts, left)
            accept()

        # It would accept a hundred before it looks whether it should.
        port.doRead = no_more_than_fit
        if not self._open or self._full:
            port.pauseProducing()

    def open(self) -> None:
        """
        Let clients in.
        """
        self._open = True
        self._resume()

    def close(self) -> None:
        """
        The ports are about to stop.
        """
        self._open = False

    def count(self, more: int) -> None:
        """
        @param more: connections than before; less than 0, when some are gone.
        """
        self._count += more
        if not self._limit:
            return
        if not self._full and self._count >= self._limit:
            self._full = True
            for port in self._ports if self._open else ():
                port.pauseProducing()
            self._tell()
        elif self._full and self._count < self._limit - self._limit // STEP:
            self._full = False
            self._resume()

    def _resume(self) -> None:
        if self._open and not self._full:
            for port in self._ports:
                port.resumeProducing()

    def _tell(self) -> None:
        now = self._clock.seconds()
        if now - self._told >= QUIET:
            self._told = now
            self._sink.emit(
                Warn(
                    "smtpd",
                    f"{self._count} connections: no more are accepted here until some "
                    "end: let the server have more open files (ulimit -n, LimitNOFILE)",
                )
            )


def most_connections() -> int:
    """
    @return: so many that half of the descriptors are left for files,
        deliveries and DNS; 0: as many as come.
    """
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(10, soft // 2) if soft != resource.RLIM_INFINITY else 0
