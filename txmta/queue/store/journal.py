"""
Committing batches and checkpointing, and what each error of SQLite means.

Owns: which operations are settled, which are kept, and when a batch is split.
Knows nothing of: threads, who waits for what; its caller holds the turn.

Sources: SQLite's rescode.html, wal.html, c3ref/wal_checkpoint_v2.html.

Errors: none gets out; an operation carries its own.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from txmta.errors import StoreUnavailable
from txmta.queue.store.content import FULL
from txmta.queue.store.files import Files, State
from txmta.queue.store.operations import Operation, Rows
from txmta.queue.store.schema import PAGE_SIZE, VERSION

#: Octets that a commit costs in the log beside its operations.
COMMIT_OCTETS = 8192

#: Octets of free pages that are given back to the file system, when no more
#: than C{SMALL} octets are in use: copying those takes a tenth of a second.
SHRINK = 256 * 1024 * 1024
SMALL = 16 * 1024 * 1024

#: Seconds for which a checkpoint may be held up before we say so.
LONG_READER = 60.0

WRITE_ERROR = "Error: queue file write error"

#: Errors for which an operation, and not its surroundings, is to blame.
_OWN_FAULT = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
)

#: Errors after which only a new generation helps. Files are read-only for the
#: whole process when root looks at them just as they are first opened: log and
#: shared memory belong to root for a moment, and SQLite takes that for good.
_DOUBT = ("SQLITE_IOERR", "SQLITE_READONLY")


class Journal:
    """
    @ivar kept: operations that must not be lost and are tried again.
    @ivar settled: operations with a result or an error, to be answered.
    @ivar log_octets: about what a checkpoint would move, of all writers; set
        by whoever takes a turn.
    @ivar syncs: of the log, by all writers; set like C{log_octets}.
    @ivar batches: transactions so far, and operations in them; for metrics.
    """

    def __init__(self, files: Files, lazy: float = 0.0) -> None:
        """
        @param lazy: seconds for which batches that are
            L{lazy<txmta.queue.store.operations.Operation.lazy>} may wait for a
            sync.
        """
        self.kept: list[Operation] = []
        self.settled: list[Operation] = []
        self.log_octets = 0
        self.syncs = 0
        self.batches = [0, 0]
        self._files = files
        self._lazy = lazy
        self._held_up: float | None = None
        # When we last left something to the next sync, and after how many.
        self._lazy_since = 0.0
        self._lazy_after = -1
        self._unsafe: sqlite3.Connection | None = None

    @property
    def unsynced(self) -> bool:
        """
        Whether something that we wrote waits for a sync.
        """
        return self._lazy_after == self.syncs

    def commit(self, batch: list[Operation]) -> None:
        """
        Write a batch to disk; each operation is settled or kept.
        """
        files = self._files
        if files.state is State.FULL:
            batch = self._without_new(batch, StoreUnavailable(FULL, 452, "4.3.1"))
        elif files.state is not State.READY:
            return self.refuse(batch)
        if not batch:
            return None
        try:
            lazy = self._set_lazy(batch)
            Rows(batch).write(files.connection)
        except Exception as e:
            files.roll_back()
            self._failed(batch, e)
        else:
            self.settled += batch
            self.log_octets += COMMIT_OCTETS + sum([o.octets for o in batch])
            self.batches[0] += 1
            self.batches[1] += len(batch)
            if lazy:
                self._lazy_after = self.syncs
            else:
                self.syncs += 1
        return None

    def _set_lazy(self, batch: Sequence[Operation]) -> bool:
        """
        Set whether the next commit waits for the disk.

        @return: it does not.
        """
        lazy = all([o.lazy for o in batch])
        if lazy:
            now = time.monotonic()
            if not self.unsynced:
                self._lazy_since = now
            lazy = now - self._lazy_since < self._lazy
        self._set_safe(not lazy)
        return lazy

    def _set_safe(self, safe: bool) -> None:
        connection = self._files.connection
        if safe is (self._unsafe is connection):
            level = "FULL" if safe else "NORMAL"
            connection.execute(f"PRAGMA synchronous = {level}")
            self._unsafe = None if safe else connection

    def sync(self) -> None:
        """
        Sync the log if something waits for it that no other writer has synced.
        """
        files = self._files
        if not self.unsynced or not files.writable:
            return
        try:
            self._set_safe(True)
            # A write that changes nothing, so that there is a commit.
            files.connection.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.Error as e:
            self._housekeeping_failed("sync", e)
        else:
            self.log_octets += COMMIT_OCTETS
            self.syncs += 1

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
        files = self._files
        if not self.log_octets or not files.writable:
            return
        try:
            row = files.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as e:
            self._housekeeping_failed("checkpoint", e)
            return
        busy, frames, done = row
        if not busy and frames == done:
            self.log_octets = 0
            self.syncs += 1
            self._held_up = None
            return
        now = time.monotonic()
        self._held_up = self._held_up or now
        if now - self._held_up > LONG_READER:
            self._held_up = now
            files.warn(f"{files.path}: a long reader holds up checkpoints")

    def shrink(self) -> None:
        """
        Give free pages back to the file system, when there are many and
        little else: the rest is copied, and nobody can write meanwhile.
        """
        files = self._files
        if not files.writable:
            return
        least = SHRINK if files.state is State.READY else files.reserve.size
        connection = files.connection
        try:
            free, pages = (
                int(connection.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("freelist_count", "page_count")
            )
            if free * PAGE_SIZE >= least and (pages - free) * PAGE_SIZE <= SMALL:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as e:
            self._housekeeping_failed("shrink", e)

    def rebuild(self) -> bool:
        """
        @return: files in doubt are rebuilt.
        """
        if not self._files.rebuild():
            return False
        self.log_octets = 0
        return True

    def close(self) -> None:
        """
        Checkpoint and close.
        """
        self.checkpoint()
        self._files.close()

    def _without_new(
        self, batch: list[Operation], error: StoreUnavailable
    ) -> list[Operation]:
        for operation in batch:
            if not operation.kept:
                operation.error = error
                self.settled.append(operation)
        return [operation for operation in batch if operation.kept]

    def _failed(self, batch: list[Operation], error: Exception) -> None:
        files = self._files
        name = _name(error)
        if files.state is State.DOUBT or name.startswith(_DOUBT):
            files.doubt(f"cannot write: {name}: {error}")
            self.refuse(batch)
        elif name == "SQLITE_FULL":
            if files.full():
                self.commit(batch)
            else:
                self.refuse(batch)
        elif name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            files.damaged(f"{name}: {error}")
            self.refuse(batch)
        elif isinstance(error, sqlite3.Error) and not isinstance(error, _OWN_FAULT):
            files.warn(f"cannot write {files.path}: {name}: {error}")
            self.refuse(batch)
        elif len(batch) > 1:
            for operation in batch:
                self.commit([operation])
        else:
            files.warn(f"cannot write to the queue: {error!r}")
            batch[0].error = StoreUnavailable(f"{WRITE_ERROR}: {error}")
            self.settled += batch

    def _housekeeping_failed(self, what: str, error: sqlite3.Error) -> None:
        files = self._files
        name = _name(error)
        if name == "SQLITE_FULL":
            files.full()
        elif name.startswith(_DOUBT):
            files.doubt(f"cannot {what}: {name}: {error}")
        else:
            files.warn(f"cannot {what} {files.path}: {name}: {error}")


def _name(error: Exception) -> str:
    # Never the text: it is for people, and changes.
    return getattr(error, "sqlite_errorname", None) or ""
