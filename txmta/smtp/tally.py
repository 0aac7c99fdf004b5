"""
What clients did of late, counted by all processes together.

A file of a fixed size, in memory or on disk, holds a table of slots; each process
that has it open reads and writes a slot while it has a lock on the slot's bucket.
So the kernel is the only one that all must trust, no process has to be asked, and
a process that dies leaves nothing locked. Its open connections are counted in a
column of its own, which the next process that takes the column clears.

Owns: the slots: who is forgotten when there are too many.
Knows nothing of: what is counted, limits.

Sources: Postfix C{anvil/anvil.c}; fcntl(2), advisory record locking: such locks
belong to a process, and go when it closes B{any} descriptor of the file.

Errors: none: what cannot be read or written is not counted; limits are then
those of an empty table.
"""

from __future__ import annotations

import fcntl
import os
import struct
from hashlib import blake2b
from typing import Any

#: Of a slot: digest of the key, when its time began, rates, connections by process.
_SLOT = struct.Struct("=8sd6I16H")

#: Kinds of events, and processes, that have a column.
RATES = 6
COLUMNS = 16

#: Slots in one bucket, and buckets.
WAYS = 8
BUCKETS = 2048

_BUCKET = _SLOT.size * WAYS
_TABLE = _BUCKET * BUCKETS

#: Octets of the secret that keys are hashed with, so that nobody can choose
#: addresses which push others out; it stands behind the table.
_SECRET = 16

#: Octets of the file.
SIZE = _TABLE + _SECRET

#: Octets beyond the end, which locks may name: one for each column.
_OWNERS = SIZE + 64

#: Tries to get the lock of a bucket, which is held for a few microseconds. Who
#: keeps it longer keeps nobody waiting: counts may then be wrong by one.
_TRIES = 200

_EMPTY = bytes(8)
_MOST = (1 << 32) - 1
_MOST_OPEN = (1 << 16) - 1


def fresh(name: str = "tally") -> int:
    """
    @param name: for /proc.
    @return: a descriptor of a table in memory, which stays the caller's.
    """
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    prepare(descriptor)
    # A process gone wrong may not take the ground from under the others.
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def prepare(descriptor: int) -> None:
    """
    Make a table of a file, unless it is one.
    """
    fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, _OWNERS - 1)
    try:
        if os.fstat(descriptor).st_size != SIZE:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, os.urandom(_SECRET), _TABLE)
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, _OWNERS - 1)


class Tally:
    """
    The table, as one process sees it.
    """

    def __init__(self, descriptor: int) -> None:
        """
        @param descriptor: of a file that L{prepare} has seen, the only one of
            it in this process; stays the caller's.
        """
        self._file = descriptor
        self._secret = os.pread(descriptor, _SECRET, _TABLE)
        self._column: int | None = None

    def add(
        self, key: bytes, now: float, unit: float, which: int, more: int = 1
    ) -> int:
        """
        Something happened.

        @param now: on a clock that all processes have.
        @param unit: seconds that a rate is counted over.
        @param which: kind of event, less than L{RATES}.
        @param more: events; 0 only asks.
        @return: how many in the time that runs now.
        """
        return self._change(key, (now, unit), which, more, 0)[0]

    def enter(self, key: bytes, now: float, unit: float, which: int) -> tuple[int, int]:
        """
        A connection began. The parameters are those of L{add}.

        @return: how many began, and how many are open.
        """
        return self._change(key, (now, unit), which, 1, 1)

    def leave(self, key: bytes, now: float, unit: float) -> None:
        """
        A connection that L{enter} was told of is over.
        """
        self._change(key, (now, unit), 0, 0, -1)

    def _change(
        self, key: bytes, time: tuple[float, float], which: int, more: int, open_: int
    ) -> tuple[int, int]:
        digest = blake2b(key, digest_size=8, key=self._secret).digest()
        at = int.from_bytes(digest[:4], "big") % BUCKETS * _BUCKET
        if self._column is None and open_ > 0:
            self._column = self._take_column()
        locked = self._lock(at)
        try:
            return self._in_bucket(digest, at, time, (which, more, open_))
        except OSError:
            return more, max(open_, 0)
        finally:
            if locked:
                fcntl.lockf(self._file, fcntl.LOCK_UN, _BUCKET, at)

    def _in_bucket(
        self,
        digest: bytes,
        at: int,
        time: tuple[float, float],
        change: tuple[int, int, int],
    ) -> tuple[int, int]:
        which, more, open_ = change
        octets = os.pread(self._file, _BUCKET, at)
        found = _place(octets.ljust(_BUCKET, b"\0"), digest)
        if found is None:
            return more, max(open_, 0)  # all are in use
        place, slot = found
        now, unit = time
        start, rates, columns = slot[1], list(slot[2:8]), list(slot[8:])
        if not start <= now <= start + unit:
            start, rates = now, [0] * RATES
        rates[which] = min(rates[which] + more, _MOST)
        if open_ and self._column is not None:
            own = columns[self._column] + open_
            columns[self._column] = min(max(own, 0), _MOST_OPEN)
        if more or open_:
            data = _SLOT.pack(digest, start, *rates, *columns)
            os.pwrite(self._file, data, at + place * _SLOT.size)
        return rates[which], sum(columns)

    def _lock(self, at: int) -> bool:
        for _ in range(_TRIES):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, _BUCKET, at)
            except OSError:
                continue
            return True
        return False

    def _take_column(self) -> int | None:
        """
        @return: one that no living process has, empty; L{None}: there is none,
            and our connections are not counted.
        """
        for column in range(COLUMNS):
            try:
                fcntl.lockf(
                    self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _OWNERS + column
                )
            except OSError:
                continue
            try:
                self._clear(column)
            except OSError:
                return None
            return column
        return None

    def _clear(self, column: int) -> None:
        """
        Who had the column before may have died with connections open.
        """
        offset = _SLOT.size - 2 * (COLUMNS - column)
        end = _TABLE
        at = 0
        while at < end:
            # Only where something was written: the rest takes no memory.
            try:
                at = os.lseek(self._file, at, os.SEEK_DATA) // _BUCKET * _BUCKET
            except OSError:
                return  # nothing follows
            if at >= end:
                return
            octets = os.pread(self._file, _BUCKET, at)
            for place in range(WAYS):
                here = place * _SLOT.size + offset
                if octets[here : here + 2].strip(b"\0"):
                    os.pwrite(self._file, b"\0\0", at + here)
            at += _BUCKET


def _place(octets: bytes, digest: bytes) -> tuple[int, tuple[Any, ...]] | None:
    """
    @return: place in the bucket and content of the slot that a key has, or
        gets: an empty one, or that of whom nothing was heard for the longest
        time.
    """
    empty = eldest = None
    for place in range(WAYS):
        slot = _SLOT.unpack_from(octets, place * _SLOT.size)
        if slot[0] == digest:
            return place, slot
        if slot[0] == _EMPTY:
            empty = place if empty is None else empty
        elif not any(slot[8:]) and (eldest is None or slot[1] < eldest[0]):
            eldest = slot[1], place
    if empty is None:
        if eldest is None:
            return None
        empty = eldest[1]
    return empty, (0, float("-inf"), *[0] * (RATES + COLUMNS))
