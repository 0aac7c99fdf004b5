"""
A store on real files, with the reactor's part played by the test.

The writer's thread is real; what it passes to the reactor's thread waits in a
queue until the test takes it, so nothing happens behind a test's back. Helper
threads are not used: their work is done on the spot.
"""

from __future__ import annotations

import fcntl
import queue
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.events import Event, Warn
from txmta.interfaces import IEventSink
from txmta.queue.store import ids
from txmta.queue.store.database import connect
from txmta.queue.store.entrance import Entrance, Limits, Threads
from txmta.queue.store.sqlite import SqliteStore
from txmta.queue.store.writer import Timing

#: Seconds that a test waits for the disk at most.
PATIENCE = 30.0

#: The reserve of a test's store.
RESERVE = 65536

#: Nothing waits long in a test.
QUICK = Timing(idle=0.02, retry=0.02, back_off=(0.02, 0.05))


@implementer(IEventSink)
class Sink:
    """
    Keeps what is logged.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def warnings(self) -> str:
        return "\n".join(e.text for e in self.events if isinstance(e, Warn))


class Faults:
    """
    Connections that fail when told.

    @ivar fault: called with each statement before it runs; may raise.
    """

    def __init__(self) -> None:
        self.fault: Callable[[str], None] = lambda statement: None
        self.opened: list[sqlite3.Connection] = []

    def connect(self, path: str) -> sqlite3.Connection:
        faults = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
                # A batch alone is a transaction of its own.
                alone = sql.startswith("INSERT INTO batch") and not self.in_transaction
                for each in ("BEGIN IMMEDIATE", sql, "COMMIT") if alone else (sql,):
                    faults.fault(each)
                return super().execute(sql, *rest)

            def executemany(self, sql: str, *rest: Any) -> sqlite3.Cursor:
                faults.fault(sql)
                return super().executemany(sql, *rest)

        connection = connect(path, Connection)
        self.opened.append(connection)
        return connection

    def at(self, start: str, name: str, times: int = 1) -> None:
        """
        Let statements that begin so fail with an SQLite error of this name.
        """
        left = [times]

        def fault(sql: str) -> None:
            if sql.startswith(start) and left[0]:
                left[0] -= 1
                raise error(name)

        self.fault = fault


def error(name: str) -> sqlite3.OperationalError:
    """
    @return: what Python raises for an SQLite error.
    """
    made = sqlite3.OperationalError(f"injected {name}")
    made.sqlite_errorname = name
    return made


class Rig:
    """
    One queue, and the stores that tests open on it, one after the other.
    """

    def __init__(self, now: Callable[[], float], directory: Path | None = None) -> None:
        """
        @param directory: of a queue that is there, instead of a new one.
        """
        self.directory = directory or Path(tempfile.mkdtemp(prefix="queue"))
        self.clock = Clock()
        self.sink = Sink()
        self.faults = Faults()
        self.now = now
        self._calls: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

    def make(self, **limits: Any) -> SqliteStore:
        limits.setdefault("reserve", RESERVE)
        limits.setdefault("timing", QUICK)
        limits.setdefault("connect", self.faults.connect)
        store = self.unstarted(**limits)
        store.start()
        return store

    def unstarted(self, **limits: Any) -> SqliteStore:
        return SqliteStore(
            str(self.directory),
            self.clock,
            self.now,
            self.threads(),
            self.sink,
            Limits(**limits),
        )

    def entrance(self, **limits: Any) -> Entrance:
        """
        @return: another process's way into the queue, started.
        """
        limits.setdefault("reserve", RESERVE)
        limits.setdefault("timing", QUICK)
        entrance = Entrance(
            str(self.directory),
            self.clock,
            self.now,
            self.threads(),
            self.sink,
            Limits(**limits),
        )
        entrance.start()
        return entrance

    def threads(self) -> Threads:
        return Threads(self._call_from_thread, _in_thread)

    def _call_from_thread(self, *call: Any) -> None:
        self._calls.put(call)

    def turn(self, patience: float = PATIENCE) -> None:
        """
        One turn of the reactor: do what a thread has passed on.
        """
        call, *arguments = self._calls.get(timeout=patience)
        call(*arguments)

    def pause(self) -> None:
        """
        Let the writer go on for a moment, and take what it passes on.
        """
        with suppress(queue.Empty):
            self.turn(0.01)

    def try_turn(self) -> bool:
        """
        Whether another process would get its turn to write now.
        """
        with open(self.directory / "queue.lock", "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def spoil(self, queue_id: str) -> None:
        """
        Damage the content of a message, by a connection of its own.
        """
        connection = connect(str(self.directory / "queue.db"))
        try:
            changed = connection.execute(
                "UPDATE content SET data = zeroblob(length(data)) WHERE message = ?",
                (ids.decode(queue_id),),
            )
            assert changed.rowcount == 1
        finally:
            connection.close()

    def content_of_database(self) -> bytes:
        """
        The octets of the database file, read by another process: here it
        would drop SQLite's locks.
        """
        path = self.directory / "queue.db"
        return subprocess.run(["cat", path], check=True, stdout=-1).stdout

    @contextmanager
    def turn_held(self) -> Iterator[None]:
        """
        Another process has the turn to write; what is asked for meanwhile
        waits, and is one batch.
        """
        with open(self.directory / "queue.lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def wait(self, answer: object) -> Any:
        """
        Turn until there is an answer.
        """
        if not isinstance(answer, Deferred):
            return answer
        got: list[Any] = []
        answer.addBoth(got.append)
        while not got:
            self.turn()
        if isinstance(got[0], Failure):
            got[0].raiseException()
        return got[0]

    def remove(self) -> None:
        shutil.rmtree(self.directory)


def _in_thread(work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    return maybeDeferred(work, *arguments)
