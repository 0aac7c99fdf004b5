"""
Count the sessions of a service over all processes, those of earlier
configurations too.

A seat is one octet of a file that has none, and is taken by locking it. So the
kernel counts, nobody has to be asked, and a process that dies gives all of its
seats back. Whoever plays foul can keep seats, and no more.

Owns: which octets belong to a service; never more than its limit.
Knows nothing of: sessions; how the file gets to a process.

Sources: fcntl(2), advisory record locking: such locks belong to a process, and
go when it closes B{any} descriptor of the file. Fields of C{struct flock} for
64 bits.

Errors: none; where the kernel has no locks left there is no seat.
"""

from __future__ import annotations

import fcntl
import hashlib
import struct

#: Octets for each service, and so the most that maxproc can say.
SPAN = 1 << 20

#: Type, whence, start, length, process.
_FLOCK = struct.Struct("@hhqqi4x")


class SharedSeats:
    """
    Those of one service, as one process sees them.
    """

    def __init__(self, descriptor: int, service: str, limit: int, first: int) -> None:
        """
        @param descriptor: the same file in all processes, the only one of it
            in this one; stays the caller's.
        @param service: its name: the same in all configurations.
        @param limit: of them.
        @param first: number of this process: where it looks first, so that
            seats of one are beside each other.
        """
        digest = hashlib.sha256(service.encode("utf-8", "surrogateescape")).digest()
        self._base = int.from_bytes(digest[:4], "big") * SPAN
        self._descriptor = descriptor
        self._limit = min(limit, SPAN)
        self._first = first * 0x9E3779B1 % (1 << 32) * self._limit >> 32
        self._own: set[int] = set()

    def take(self) -> int | None:
        if len(self._own) >= self._limit:
            return None
        seat = self._find(self._first, self._limit)
        if seat is None:
            seat = self._find(0, self._first)
        if seat is not None and self._too_many():
            self.give(seat)
            return None
        return seat

    def give(self, seat: int) -> None:
        self._own.discard(seat)
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, self._base + seat)

    def used(self) -> int:
        return len(self._own) + self._count(0, SPAN)

    def _find(self, seat: int, end: int) -> int | None:
        """
        @return: a seat from there on that is ours now.
        """
        while seat < end:
            if seat in self._own:
                seat += 1
                continue
            taken = self._taken(seat, seat + 1)
            if taken is not None:
                seat = taken[1]
            elif self._lock(seat):
                self._own.add(seat)
                return seat
            else:
                seat += 1
        return None

    def _lock(self, seat: int) -> bool:
        try:
            fcntl.lockf(
                self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._base + seat
            )
        except OSError:
            return False  # somebody was faster
        return True

    def _too_many(self) -> bool:
        """
        Whether sessions of a configuration that allowed more, together with
        ours, are too many. Of several that look at a time, the last one to
        have taken a seat sees all of them.
        """
        if self._taken(self._limit, SPAN) is None:
            return False
        return len(self._own) + self._count(0, SPAN) > self._limit

    def _count(self, start: int, end: int) -> int:
        """
        @return: how many others have, from C{start} to before C{end}.
        """
        count = 0
        waiting = [(start, end)]
        while waiting:
            start, end = waiting.pop()
            taken = self._taken(start, end) if start < end else None
            if taken is not None:
                first, after = max(taken[0], start), min(taken[1], end)
                count += after - first
                waiting += [(start, first), (after, end)]
        return count

    def _taken(self, start: int, end: int) -> tuple[int, int] | None:
        """
        @return: some seats side by side of one other process, of which at
            least one is in that range; not always the first.
        """
        question = _FLOCK.pack(fcntl.F_WRLCK, 0, self._base + start, end - start, 0)
        answer = fcntl.fcntl(self._descriptor, fcntl.F_GETLK, question)
        kind, _whence, at, length, _pid = _FLOCK.unpack(answer)
        if kind == fcntl.F_UNLCK:
            return None
        at -= self._base
        return at, at + length if length else SPAN
