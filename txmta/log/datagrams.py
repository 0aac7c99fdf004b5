"""
Log lines on their way from the processes of the server to the one that writes.

Owns: the form of a datagram: lines, each with its end; what happens when the
    writer is slow.
Knows nothing of: events (L{txmta.log.maillog}), files (L{txmta.log.sinks}).

The other end is kept open by master, so what is sent while nobody writes the
log is there for the next one who does.

Errors: none; what finds no room is counted, and told when there is room
again. Mail goes on without a log.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Octets in one datagram; longer lines are cut.
MAX_DATAGRAM = 32768

#: Lines that may wait for the writer, beside what the kernel keeps (some 200 KB).
MAX_WAITING = 5000

#: Seconds until what the kernel had no room for is tried again.
RETRY = 0.1

_FLAGS = socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT
_FULL = (errno.EAGAIN, errno.ENOBUFS)


class DatagramTarget:
    """
    Where a child's L{MailLog<txmta.log.maillog.MailLog>} writes.
    """

    def __init__(
        self, end: socket.socket, host: bool, clock: IReactorTime | None = None
    ) -> None:
        """
        @param end: SOCK_SEQPACKET; ours from now on.
        @param host: lines carry the host name.
        @param clock: to try again what the writer had no room for; without
            it, that waits for the next lines.
        """
        end.setblocking(False)
        self.host = host
        self._end = end
        self._clock = clock
        self._waiting: list[str] = []
        self._lost = 0
        self._again: IDelayedCall | None = None

    def write(self, lines: Sequence[str]) -> None:
        """
        Never raises, never waits.
        """
        room = MAX_WAITING - len(self._waiting)
        self._waiting += lines[:room]
        self._lost += len(lines[room:])
        if self._again is None:
            self._send()

    def close(self) -> None:
        """
        Send what still goes, and end.
        """
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._clock = None
        self._send()
        self._end.close()

    def _send(self) -> None:
        self._again = None
        waiting, self._waiting = self._waiting, []
        for data, count in _packed(waiting):
            try:
                self._end.send(data, _FLAGS)
            except OSError as e:
                if e.errno not in _FULL:
                    self._lost += len(waiting)
                    return
                self._waiting = waiting
                if self._clock is not None:
                    self._again = self._clock.callLater(RETRY, self._send)
                return
            last, waiting = waiting[count - 1], waiting[count:]
            if self._lost:
                self._tell(last)

    def _tell(self, last: str) -> None:
        """
        @param last: a line that was sent, with time, process and program.
        """
        head, mark, _ = last.partition("]: ")
        told = f"{head}{mark}warning: {self._lost} lines of the log were lost\n"
        with contextlib.suppress(OSError):
            self._end.send(told.encode("utf-8", "replace"), _FLAGS)
            self._lost = 0


def _packed(lines: Sequence[str]) -> Iterator[tuple[bytes, int]]:
    """
    @return: datagrams, and how many lines are in each.
    """
    gathered, count = b"", 0
    for line in lines:
        data = line.encode("utf-8", "replace")
        if len(data) > MAX_DATAGRAM:
            data = data[: MAX_DATAGRAM - 1] + b"\n"
        if gathered and len(gathered) + len(data) > MAX_DATAGRAM:
            yield gathered, count
            gathered, count = b"", 0
        gathered += data
        count += 1
    if gathered:
        yield gathered, count


def lines_of(data: bytes) -> list[str]:
    """
    @param data: a datagram, from somebody who may be in the hands of others.
    @return: lines without control characters, each with its end.
    """
    text = data.decode("utf-8", "replace")
    return [
        f"{line if line.isprintable() else _cleaned(line)}\n"
        for line in text.split("\n")
        if line
    ]


def _cleaned(line: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in line)
