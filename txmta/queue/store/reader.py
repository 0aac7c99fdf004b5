"""
Reading from the queue, beside the writer and away from the reactor, but for
what was written a moment ago.

Owns: one connection that cannot write, used by one thread at a time.
Knows nothing of: what is read.

Readers never wait for writers. Each reading is one transaction, always ended:
an open one would keep the write-ahead log from being reused.

Sources: SQLite's wal.html.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>}; L{Malformed}, one
of them, when a page cannot be right even after opening the file again.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from txmta.errors import StoreUnavailable
from txmta.queue.store.content import InThread
from txmta.queue.store.database import Database

T = TypeVar("T")


class Malformed(StoreUnavailable):
    """
    SQLite says that the file is damaged where we read.
    """


class Reader:
    def __init__(self, database: Database, in_thread: InThread) -> None:
        self._database = database
        self._in_thread = in_thread
        self._waiting: deque[tuple[Callable[..., Any], Deferred[Any]]] = deque()
        self._busy = False
        self._stopped: Deferred[None] | None = None
        self._connection: sqlite3.Connection | None = None
        self._generation = 0

    def run(self, read: Callable[[sqlite3.Connection], T]) -> Deferred[T]:
        """
        @param read: called in a helper thread, inside of a transaction.
        """
        answered: Deferred[T] = Deferred()
        if self._stopped is not None:
            answered.errback(StoreUnavailable("the queue is closed"))
            return answered
        self._waiting.append((read, answered))
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._work())
        return answered

    @property
    def free(self) -> bool:
        """
        Whether L{now} may be asked.
        """
        return not self._busy and self._stopped is None

    def now(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """
        Read at once, in the reactor's thread, for a helper thread and back
        costs more than a few rows that the system still has in memory: those
        just written, and no others, for a disk may take long.

        @param read: as for L{run}.
        @raise StoreUnavailable: as C{run} fails.
        """
        assert self.free, "the connection is in another thread's hands"
        return self._read(read)

    def stop(self) -> Deferred[None]:
        """
        @return: fires when all is read and the connection is closed.
        """
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        if not self._busy:
            self._close()
            stopped.callback(None)
        return stopped

    async def _work(self) -> None:
        while self._waiting:
            read, answered = self._waiting.popleft()
            try:
                result = await self._in_thread(self._read, read)
            except Exception as e:
                answered.errback(e)
            else:
                answered.callback(result)
        self._busy = False
        if self._stopped is not None:
            self._close()
            self._stopped.callback(None)

    # From here on in a helper thread, or for L{now}.

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._try(read)
        except sqlite3.Error as e:
            self._close()
            if not _malformed(e):
                raise StoreUnavailable(f"cannot read the queue: {e}") from e
        # A read error of the disk looks like damage, but passes.
        try:
            return self._try(read)
        except sqlite3.Error as e:
            self._close()
            kind = Malformed if _malformed(e) else StoreUnavailable
            raise kind(f"cannot read the queue: {e}") from e

    def _try(self, read: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connected()
        connection.execute("BEGIN")
        try:
            return read(connection)
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")

    def _connected(self) -> sqlite3.Connection:
        generation = self._database.linked()
        if self._connection is None or generation != self._generation:
            self._close()
            self._connection = self._database.read_connection(generation)
            self._generation = generation
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _malformed(error: sqlite3.Error) -> bool:
    name = getattr(error, "sqlite_errorname", "") or ""
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
