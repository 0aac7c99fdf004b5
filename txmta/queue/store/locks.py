"""
Locks between the processes that share a queue.

Owns: whose turn it is to write, who may claim, and which slots of queue ids
    are taken.
Knows nothing of: SQLite. All locks are C{flock}: the kernel drops them when
    their holder dies, and each process opens the files itself, for an
    inherited descriptor is the same lock and excludes nobody.

Sources: flock(2).

Errors: C{OSError}; L{StoreUnavailable<txmta.errors.StoreUnavailable>} when
all slots are taken.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from txmta.errors import StoreUnavailable
from txmta.queue.store.ids import SLOTS

#: Of a log; what is longer counts as that.
MAX_OCTETS = 10**11

#: The count of syncs starts again from 0 here: it is only compared.
MAX_SYNCS = 10**9

#: Octets of the state of a turn, filled up with blanks.
_LENGTH = 64

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class TurnLock:
    """
    The turn to write, C{queue.lock}: held around each transaction and each
    checkpoint, in every process and tool that writes.

    The file says who holds it, which generation of the database is in use,
    whether its files are in doubt, how long its log is, and how often that was
    synced; a process that dies in doubt leaves that to the next.

    @ivar generation: as the last holder left it; 0 if nobody ever did.
    @ivar doubt: the last holder died, or gave up, with files in doubt.
    @ivar log_octets: of the write-ahead log, that a checkpoint would move; all
        writers add to it.
    @ivar syncs: of the log, by any writer, ever.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, _FLAGS, 0o600)
        self._pid = os.getpid()
        self._written = b""
        self.generation = 0
        self.doubt = False
        self.log_octets = 0
        self.syncs = 0
        self._waiting_since: float | None = None

    def acquire(self) -> tuple[float, int]:
        """
        Wait for the turn, as long as it takes.

        @return: seconds waited, and the process that held it meanwhile.
        """
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._read()[0]
            self._waiting_since = start = time.monotonic()
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            self._waiting_since = None
            waited = time.monotonic() - start
        else:
            waited, holder = 0.0, 0
        self._look()
        return waited, holder

    def try_acquire(self, seconds: float) -> bool:
        """
        Wait for the turn, but not for ever.
        """
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    return False
                time.sleep(0.02)
            else:
                self._look()
                return True

    def _look(self) -> None:
        _, self.generation, self.doubt, self.log_octets, self.syncs = self._read()

    def announce(self, generation: int, doubt: bool) -> None:
        """
        While holding the turn, say what the next holder must know.
        """
        state = self._pid, generation, doubt, self.log_octets, self.syncs
        text = b"%d %d %d %d %d\n" % state
        if text != self._written:
            os.pwrite(self._fd, text.ljust(_LENGTH), 0)
            self._written = text
        self.generation = generation
        self.doubt = doubt

    def count(self, log_octets: int, syncs: int) -> None:
        """
        While holding the turn, say how long the log is, and that it was synced.
        Never fails: whoever does not hear of it moves or syncs the log once
        more.
        """
        self.log_octets = min(log_octets, MAX_OCTETS)
        self.syncs = syncs % MAX_SYNCS
        with contextlib.suppress(OSError):
            self.announce(self.generation, self.doubt)

    def release(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def waiting(self) -> float:
        """
        @return: seconds for which a turn has been awaited; any thread may
            ask.
        """
        since = self._waiting_since
        return 0.0 if since is None else time.monotonic() - since

    def holder(self) -> int:
        """
        @return: process id of the last holder, 0 if unknown.
        """
        return self._read()[0]

    def close(self) -> None:
        os.close(self._fd)

    def _read(self) -> tuple[int, int, bool, int, int]:
        text = os.pread(self._fd, _LENGTH, 0).rstrip()
        if text != self._written.rstrip():
            self._written = b""
        try:
            # Of earlier versions there is no length, and no count.
            words = [*map(int, text.split()), 0, 0]
            pid, generation, doubt, octets, syncs = words[:5]
        except ValueError:
            return 0, 0, False, 0, 0
        return pid, generation, bool(doubt), max(octets, 0), syncs


class Lease:
    """
    The right to claim, C{qmgr.lock}: one queue manager at a time.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "qmgr.lock"
        self._fd = -1

    def take(self) -> bool:
        """
        @return: it is ours, until L{close} or our end.
        """
        if self._fd < 0:
            self._fd = os.open(self._path, _FLAGS, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Slot:
    """
    A number that no other living process has, for its queue ids.
    """

    def __init__(self, directory: Path) -> None:
        """
        @param directory: where C{slot/} is, or is made.
        @raise StoreUnavailable: there are more processes than slots.
        """
        self._directory = directory / "slot"
        self._directory.mkdir(mode=0o700, exist_ok=True)
        for number in range(SLOTS):
            fd = self._take(number)
            if fd >= 0:
                self.number, self._fd = number, fd
                return
        raise StoreUnavailable(f"more than {SLOTS} processes use {directory}")

    def _take(self, number: int) -> int:
        fd = os.open(self._directory / str(number), _FLAGS, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return -1
        return fd

    def abandoned(self, number: int) -> bool:
        """
        Whether no process holds a slot just now; our own counts as held by
        nobody, because we ask before we use it.
        """
        if number == self.number:
            return True
        fd = self._take(number)
        if fd >= 0:
            os.close(fd)
        return fd >= 0

    def close(self) -> None:
        os.close(self._fd)
