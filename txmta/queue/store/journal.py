"""
Committing batches, and what each error of SQLite means.

After an I/O error of commit or checkpoint the files are I{in doubt}: the page
cache has the right octets and takes them for written, the disk does not have
them. Carrying on, or closing and opening again, loses acknowledged mail
(measured). Only writing everything to new blocks helps, and only while the
machine still runs: nothing is acknowledged until the database is rebuilt as
the next generation.

A full disk is harmless: nothing is lost, but what is done with cannot be
deleted either, for that takes room, too. So a reserve is given up.

Owns: the writing connection; whether new mail can be taken.
Knows nothing of: threads, who waits for what; its caller holds the turn.

Sources: SQLite's rescode.html, wal.html, c3ref/wal_checkpoint_v2.html.

Errors: none gets out; an operation carries its own.
"""

from __future__ import annotations

import sqlite3
import time
from enum import Enum, auto

from txmta.errors import StoreUnavailable
from txmta.events import Warn
from txmta.interfaces import IEventSink
from txmta.queue.store.content import FULL, Reserve
from txmta.queue.store.database import Database
from txmta.queue.store.locks import TurnLock
from txmta.queue.store.operations import Operation, Rows

#: Octets that a commit costs in the log beside its operations.
COMMIT_OCTETS = 8192

#: Seconds for which a checkpoint may be held up before we say so.
LONG_READER = 60.0

#: Seconds before the same warning is given again.
SAME_WARNING = 60.0

WRITE_ERROR = "Error: queue file write error"

#: Errors for which an operation, and not its surroundings, is to blame.
_OWN_FAULT = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
)


class State(Enum):
    """
    Whether new mail can be taken.
    """

    READY = auto()
    FULL = auto()  # until there is room for the reserve again
    DOUBT = auto()  # until a rebuild works
    BROKEN = auto()  # until a person has helped
    CLOSED = auto()


class Warnings:
    """
    Warns, but not of the same thing every second.
    """

    def __init__(self, sink: IEventSink) -> None:
        self._sink = sink
        self._last = "", 0.0

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if text != self._last[0] or now - self._last[1] > SAME_WARNING:
            self._last = text, now
            self._sink.emit(Warn("qmgr", text))


_WRITABLE = (State.READY, State.FULL)


class Journal:
    """
    @ivar state: any thread may look.
    @ivar kept: operations that must not be lost and are tried again.
    @ivar settled: operations with a result or an error, to be answered.
    @ivar log_octets: about what a checkpoint would move.
    @ivar batches: transactions so far, and operations in them; for metrics.
    """

    def __init__(
        self, database: Database, turn: TurnLock, reserve: Reserve, sink: IEventSink
    ) -> None:
        self.state = State.READY
        self.kept: list[Operation] = []
        self.settled: list[Operation] = []
        self.log_octets = 0
        self.batches = [0, 0]
        self._database = database
        self._turn = turn
        self._reserve = reserve
        self._held_up: float | None = None
        self.warn = Warnings(sink)

    def open(self) -> sqlite3.Connection:
        """
        @return: the connection.
        @raise StoreUnavailable, sqlite3.Error, OSError: there is no queue.
        """
        self._database.prepare()
        self._connection = self._database.write_connection()
        self.state = State.DOUBT if self._turn.doubt else State.FULL
        self.look_for_room()
        self._turn.announce(self._database.generation, self._turn.doubt)
        return self._connection

    def follow(self) -> None:
        """
        See what other processes did before this turn.

        @raise StoreUnavailable, sqlite3.Error, OSError: the next generation
            cannot be opened.
        """
        generation = self._turn.generation
        if self._turn.doubt:
            generation = self._database.linked()
        if generation not in (0, self._database.generation):
            self._reopen()
        if self._turn.doubt:
            self._doubt("another process left it so")
        self._turn.announce(self._database.generation, self.state is State.DOUBT)

    def look_for_room(self) -> None:
        """
        After a full disk: is there room again?
        """
        if self.state is State.FULL and self._reserve.make():
            self.state = State.READY

    def commit(self, batch: list[Operation]) -> None:
        """
        Write a batch to disk; each operation is settled or kept.
        """
        if self.state is State.FULL:
            batch = self._without_new(batch, StoreUnavailable(FULL, 452, "4.3.1"))
        elif self.state is not State.READY:
            return self.refuse(batch)
        if not batch:
            return None
        try:
            Rows(batch).write(self._connection)
        except Exception as e:
            self._roll_back()
            self._failed(batch, e)
        else:
            self.settled += batch
            self.log_octets += COMMIT_OCTETS + sum([o.octets for o in batch])
            self.batches[0] += 1
            self.batches[1] += len(batch)
        return None

    def refuse(self, batch: list[Operation]) -> None:
        """
        Keep what must not be lost, and fail the rest.
        """
        self.kept += self._without_new(batch, StoreUnavailable(WRITE_ERROR))

    def fail(self, batch: list[Operation]) -> None:
        """
        The end: nothing is kept any more.
        """
        for operation in batch:
            operation.error = StoreUnavailable("the queue is closed")
        self.settled += batch

    def checkpoint(self) -> None:
        """
        Move the log into the database; look at the result, for a checkpoint
        that is held up raises nothing.
        """
        if not self.log_octets or self.state not in _WRITABLE:
            return
        try:
            row = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as e:
            name = _name(e)
            if name == "SQLITE_FULL":
                self._full()
            elif name.startswith("SQLITE_IOERR"):
                self._doubt(f"cannot checkpoint: {name}: {e}")
            else:
                self.warn(f"cannot checkpoint {self._path()}: {name}: {e}")
            return
        busy, frames, done = row
        if not busy and frames == done:
            self.log_octets = 0
            self._held_up = None
            return
        now = time.monotonic()
        self._held_up = self._held_up or now
        if now - self._held_up > LONG_READER:
            self._held_up = now
            self.warn(f"{self._path()}: a long reader holds up checkpoints")

    def rebuild(self) -> bool:
        """
        Write everything to new blocks of the disk.

        @return: it worked, and mail is taken again.
        """
        doubtful = self._database.generation
        try:
            self._roll_back()
            self._database.rebuild(self._connection)
            connection = self._database.write_connection()
        except (sqlite3.Error, OSError, StoreUnavailable) as e:
            self.warn(f"cannot rebuild {self._path()}: {e}; do not reboot")
            return False
        self._turn.announce(self._database.generation, False)
        self._connection.close()
        self._connection = connection
        self._database.discard(doubtful)
        self.log_octets = 0
        self.state = State.FULL
        self.look_for_room()
        self.warn(f"rebuilt the queue as {self._path()}; mail is taken again")
        return True

    def close(self) -> None:
        """
        Checkpoint and close; not so what is in doubt or damaged: closing
        would checkpoint it, and destroy what could be saved.
        """
        self.checkpoint()
        if self.state in _WRITABLE:
            self.state = State.CLOSED
            self._connection.close()

    def _without_new(
        self, batch: list[Operation], error: StoreUnavailable
    ) -> list[Operation]:
        for operation in batch:
            if not operation.kept:
                operation.error = error
                self.settled.append(operation)
        return [operation for operation in batch if operation.kept]

    def _roll_back(self) -> None:
        # SQLite has usually rolled back already, and a second time raises.
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as e:
            self._doubt(f"cannot roll back: {e}")

    def _failed(self, batch: list[Operation], error: Exception) -> None:
        name = _name(error)
        if self.state is State.DOUBT or name.startswith("SQLITE_IOERR"):
            self._doubt(f"cannot write: {name}: {error}")
            self.refuse(batch)
        elif name == "SQLITE_FULL":
            if self._full():
                self.commit(batch)
            else:
                self.refuse(batch)
        elif name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            self._damaged(f"{name}: {error}")
            self.refuse(batch)
        elif isinstance(error, sqlite3.Error) and not isinstance(error, _OWN_FAULT):
            self.warn(f"cannot write {self._path()}: {name}: {error}")
            self.refuse(batch)
        elif len(batch) > 1:
            for operation in batch:
                self.commit([operation])
        else:
            self.warn(f"cannot write to the queue: {error!r}")
            batch[0].error = StoreUnavailable(f"{WRITE_ERROR}: {error}")
            self.settled += batch

    def _full(self) -> bool:
        """
        @return: there is room now, for what must be recorded.
        """
        first = self.state is not State.FULL
        self.state = State.FULL
        self._reserve.give_up()
        self.warn(
            f"{self._path()}: disk full: new mail is refused"
            if first
            else f"{self._path()}: disk full: deliveries cannot be recorded"
        )
        return first

    def _damaged(self, reason: str) -> None:
        """
        A read error looks the same: look again before giving up.
        """
        self.warn(f"{self._path()}: {reason}")
        try:
            self._reopen()
            rows = self._connection.execute("PRAGMA quick_check(1)").fetchall()
            if rows == [("ok",)]:
                return
        except (sqlite3.Error, OSError, StoreUnavailable) as e:
            reason = str(e)
        self.state = State.BROKEN
        self.warn(
            f"{self._path()} is damaged ({reason}): no mail is taken or delivered; "
            "the files are left as they are: copy them, then salvage the messages"
        )

    def _doubt(self, reason: str) -> None:
        if self.state is not State.DOUBT:
            self.warn(
                f"{self._path()} is in doubt: {reason}: no mail is taken until it is "
                "rebuilt; do not reboot"
            )
        self.state = State.DOUBT
        self._turn.announce(self._database.generation, True)

    def _reopen(self) -> None:
        self._connection.close()
        self._database.generation = self._database.linked()
        self._connection = self._database.write_connection()

    def _path(self) -> str:
        return str(self._database.path(self._database.generation))


def _name(error: Exception) -> str:
    # Never the text: it is for people, and changes.
    return getattr(error, "sqlite_errorname", None) or ""
