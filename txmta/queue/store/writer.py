"""
The one thread of a process that writes to the queue.

It waits for something to do, waits for its turn among the processes, takes
everything that waits by then, commits it in one transaction, and answers it
all at once: many messages share one flush of the disk, and no reactor ever
waits for one.

Owns: group commit, checkpoints, and what each error of SQLite means.
Knows nothing of: reactor objects. It answers through C{answer}, which must
    pass the operations on to the reactor's thread.

After an I/O error of commit or checkpoint the files are I{in doubt}: the page
cache has the right octets and takes them for written, the disk does not have
them. Only writing everything to new blocks helps, and only while the machine
still runs. So the turn is kept, nothing is acknowledged, and the database is
rebuilt as the next generation, again and again until it works.

Sources: SQLite's rescode.html, wal.html, c3ref/wal_checkpoint_v2.html.

Errors: none gets out; an operation carries its own.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from queue import Empty, SimpleQueue

from txmta.errors import StoreUnavailable
from txmta.events import Warn
from txmta.interfaces import IEventSink
from txmta.queue.store.content import FULL, Reserve
from txmta.queue.store.database import Database
from txmta.queue.store.locks import TurnLock
from txmta.queue.store.operations import Operation, Rows

#: Operations, and octets of content, in one transaction.
BATCH = 200
BATCH_OCTETS = 4 * 1024 * 1024

#: Octets of write-ahead log, as estimated, at which it is checkpointed: from
#: there on a checkpoint costs least per message (measured).
CHECKPOINT = 16 * 1024 * 1024

#: Seconds without a commit before an idle checkpoint: a short log is little
#: to lose to a bad block.
IDLE = 1.0

#: Seconds for which more is waited for when the last batch had more than one
#: operation. A commit costs as much as several operations, and wakes the
#: reactor: with 20 sessions on a fast disk this saves 15 % of the CPU of a
#: message (measured). A lone session never waits.
GATHER = 0.002

#: Octets that a commit costs in the log beside its operations.
COMMIT_OCTETS = 8192

#: Seconds of waiting for a turn that are worth a warning.
LONG_WAIT = 1.0

#: Seconds for which a checkpoint may be held up before we say so.
LONG_READER = 60.0

#: Seconds before the same warning is given again.
SAME_WARNING = 60.0

#: Seconds between attempts to rebuild.
BACK_OFF = (1.0, 60.0)

WRITE_ERROR = "Error: queue file write error"


class State(Enum):
    """
    Whether new mail can be taken.
    """

    READY = auto()
    FULL = auto()  # until there is room for the reserve again
    DOUBT = auto()  # until a rebuild works
    BROKEN = auto()  # until a person has helped
    CLOSED = auto()


@dataclass(frozen=True)
class Timing:
    """
    Seconds; tests shorten them.
    """

    idle: float = IDLE
    retry: float = 1.0
    back_off: tuple[float, float] = BACK_OFF


class Writer:
    """
    @ivar state: any thread may look.
    @ivar batches: transactions so far, and operations in them; for metrics.
    """

    def __init__(
        self,
        database: Database,
        turn: TurnLock,
        reserve: Reserve,
        answer: Callable[[Sequence[Operation]], object],
        sink: IEventSink,
        timing: Timing | None = None,
    ) -> None:
        """
        @param answer: called in our thread, with all that one transaction
            settled.
        """
        self.state = State.READY
        self.batches = [0, 0]
        self._database = database
        self._turn = turn
        self._reserve = reserve
        self._answer = answer
        self._sink = sink
        self._timing = timing or Timing()
        self._inbox: SimpleQueue[Operation | None] = SimpleQueue()
        self._kept: list[Operation] = []
        self._settled: list[Operation] = []
        self._stopping = False
        self._crowded = False
        self._log_octets = 0
        self._held_up: float | None = None
        self._warned = "", 0.0
        self.submit = self._inbox.put

    def open(self) -> sqlite3.Connection:
        """
        Open the database, holding the turn.

        @return: the connection, to be read from until C{start}.
        @raise StoreUnavailable: this is no queue, or its turn never came.
        """
        if not self._turn.try_acquire(30):
            raise StoreUnavailable(
                f"process {self._turn.holder()} does not give up the lock of the queue"
            )
        try:
            self._database.prepare()
            self._connection = self._database.write_connection()
            if not self._reserve.make():
                self.state = State.FULL
            if self._turn.doubt:
                self.state = State.DOUBT
            self._turn.announce(self._database.generation, self._turn.doubt)
        except (sqlite3.Error, OSError) as e:
            raise StoreUnavailable(f"cannot open the queue: {e}") from e
        finally:
            self._turn.release()
        return self._connection

    def start(self, stopped: Callable[[], object]) -> None:
        """
        @param stopped: called in our thread when all is answered and closed.
        """
        self._stopped = stopped
        thread = threading.Thread(target=self._run, name="queue-writer", daemon=True)
        thread.start()

    def stop(self) -> None:
        """
        Answer or fail everything, checkpoint, close.
        """
        self._inbox.put(None)

    # From here on everything runs in the writer's thread.

    def _run(self) -> None:
        while not self._stopping:
            first = self._next()
            if self._crowded:
                time.sleep(GATHER)
            try:
                self._take_turn()
            except Exception as e:
                # A thread that ends would leave every session without answer.
                self._warn(f"cannot take a turn at the queue: {e}")
                self._refuse([first] if first else [])
            else:
                self._round(first)
            self._flush()
        self._finish()
        self._stopped()
        self._linger()

    def _linger(self) -> None:
        """
        Closing files in doubt, or damaged ones, would checkpoint them, which
        destroys what could be saved; so the connection stays open as long as
        the process lives, and the turn is not given up.
        """
        while self.state is State.DOUBT:
            time.sleep(self._timing.back_off[1])
            if self._rebuilt():
                self._connection.close()
                self._turn.release()
        while self.state is State.BROKEN:
            time.sleep(3600)

    def _next(self) -> Operation | None:
        """
        @return: the first operation of the next round, L{None} if something
            else is to be done by now.
        """
        timeout: float | None = None
        if self.state is State.BROKEN:
            pass
        elif self._kept or self.state is not State.READY:
            timeout = self._timing.retry
        elif self._log_octets:
            timeout = self._timing.idle
        try:
            operation = self._inbox.get(timeout=timeout)
        except Empty:
            return None
        if operation is None:
            self._stopping = True
        return operation

    def _round(self, first: Operation | None) -> None:
        """
        One turn: everything that waits, and a checkpoint when it is time.
        """
        if self.state is State.FULL and self._reserve.make():
            self.state = State.READY
        batch = self._collect(first)
        self._crowded = len(batch) > 1
        self._commit(batch)
        if self._log_octets > CHECKPOINT or not batch:
            self._checkpoint()
        if self.state is State.DOUBT:
            self._rebuild()
        if self.state is not State.DOUBT:
            self._turn.release()

    def _take_turn(self) -> None:
        waited, holder = self._turn.acquire()
        if waited > LONG_WAIT:
            self._warn(f"waited {waited:.1f} s for the queue, held by process {holder}")
        generation = self._turn.generation
        if generation not in (0, self._database.generation):
            self._reopen()
        if self._turn.doubt and self.state is not State.DOUBT:
            self._doubt("another process left the queue in doubt")
        self._turn.announce(self._database.generation, self.state is State.DOUBT)

    def _collect(self, first: Operation | None) -> list[Operation]:
        """
        Take what waits, now that it is our turn.
        """
        batch, self._kept = self._kept, []
        octets = 0
        if first is not None:
            batch.append(first)
        while len(batch) < BATCH and octets < BATCH_OCTETS:
            try:
                operation = self._inbox.get_nowait()
            except Empty:
                break
            if operation is None:
                self._stopping = True
                continue
            octets += operation.octets
            batch.append(operation)
        return batch

    def _commit(self, batch: list[Operation]) -> None:
        if self.state is State.FULL:
            batch = self._without_new(batch, StoreUnavailable(FULL, 452, "4.3.1"))
        elif self.state is not State.READY:
            return self._refuse(batch)
        if not batch:
            return None
        try:
            Rows(batch).write(self._connection)
        except Exception as e:
            self._roll_back()
            self._failed(batch, e)
        else:
            self._settled += batch
            self._log_octets += COMMIT_OCTETS + sum([o.octets for o in batch])
            self.batches[0] += 1
            self.batches[1] += len(batch)
        return None

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as e:
            self._doubt(f"cannot roll back: {e}")

    def _failed(self, batch: list[Operation], error: Exception) -> None:
        name = getattr(error, "sqlite_errorname", "") or ""
        if self.state is State.DOUBT or name.startswith("SQLITE_IOERR"):
            self._doubt(f"cannot write the queue: {name}: {error}")
            self._refuse(batch)
        elif name == "SQLITE_FULL":
            if self._full():
                self._commit(batch)
            else:
                self._refuse(batch)
        elif name in ("SQLITE_CORRUPT", "SQLITE_NOTADB") or name.startswith(
            "SQLITE_CORRUPT_"
        ):
            self._corrupt(f"{name}: {error}")
            self._refuse(batch)
        elif isinstance(error, sqlite3.Error) and not isinstance(
            error,
            (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError),
        ):
            self._warn(f"cannot write {self._path()}: {name}: {error}")
            self._refuse(batch)
        elif len(batch) > 1:
            for operation in batch:
                self._commit([operation])
        else:
            self._warn(f"cannot write to the queue: {error!r}")
            batch[0].error = StoreUnavailable(f"{WRITE_ERROR}: {error}")
            self._settled += batch

    def _refuse(self, batch: list[Operation]) -> None:
        """
        Keep what must not be lost, and fail the rest.
        """
        error = StoreUnavailable(WRITE_ERROR)
        self._kept += self._without_new(batch, error)

    def _without_new(
        self, batch: list[Operation], error: StoreUnavailable
    ) -> list[Operation]:
        for operation in batch:
            if not operation.kept:
                operation.error = error
                self._settled.append(operation)
        return [operation for operation in batch if operation.kept]

    def _full(self) -> bool:
        """
        @return: there is room now, for what must be recorded.
        """
        first = self.state is not State.FULL
        self.state = State.FULL
        self._reserve.give_up()
        self._warn(
            f"{self._path()}: disk full: new mail is refused"
            if first
            else f"{self._path()}: disk full: deliveries cannot be recorded"
        )
        return first

    def _corrupt(self, reason: str) -> None:
        """
        A read error looks the same: look again before giving up.
        """
        self._warn(f"{self._path()}: {reason}")
        try:
            self._reopen()
            rows = self._connection.execute("PRAGMA quick_check(1)").fetchall()
            if rows == [("ok",)]:
                return
        except (sqlite3.Error, OSError, StoreUnavailable) as e:
            reason = str(e)
        self.state = State.BROKEN
        self._warn(
            f"{self._path()} is damaged ({reason}): no mail is taken or delivered; "
            "the files are left as they are: copy them, then salvage the messages"
        )

    def _doubt(self, reason: str) -> None:
        if self.state is not State.DOUBT:
            self._warn(
                f"{self._path()}: {reason}: the files are in doubt: no mail is taken "
                "until they are rebuilt; do not reboot"
            )
        self.state = State.DOUBT
        self._turn.announce(self._database.generation, True)

    def _rebuild(self) -> None:
        """
        Keep the turn and try until it works, or until we are to stop.
        """
        delay, longest = self._timing.back_off
        while not self._rebuilt():
            self._flush()
            end = time.monotonic() + delay
            while (rest := end - time.monotonic()) > 0:
                try:
                    operation = self._inbox.get(timeout=rest)
                except Empty:
                    break
                if operation is None:
                    self._stopping = True
                    return
                self._refuse([operation])
                self._flush()
            delay = min(delay * 2, longest)

    def _rebuilt(self) -> bool:
        doubtful = self._database.generation
        try:
            self._roll_back()
            self._database.rebuild(self._connection)
            connection = self._database.write_connection()
        except (sqlite3.Error, OSError, StoreUnavailable) as e:
            self._warn(f"cannot rebuild {self._path()}: {e}; do not reboot")
            return False
        self._turn.announce(self._database.generation, False)
        self._connection.close()
        self._connection = connection
        self._database.discard(doubtful)
        self._log_octets = 0
        self.state = State.READY if self._reserve.make() else State.FULL
        self._warn(f"rebuilt the queue as {self._path()}; mail is taken again")
        return True

    def _reopen(self) -> None:
        self._connection.close()
        self._database.generation = self._database.linked()
        self._connection = self._database.write_connection()

    def _checkpoint(self) -> None:
        """
        Move the log into the database; look at the result, for a checkpoint
        that is held up raises nothing.
        """
        if not self._log_octets or self.state in (State.DOUBT, State.BROKEN):
            return
        try:
            row = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as e:
            name = getattr(e, "sqlite_errorname", "") or ""
            if name == "SQLITE_FULL":
                self._full()
            elif name.startswith("SQLITE_IOERR"):
                self._doubt(f"cannot checkpoint: {name}: {e}")
            else:
                self._warn(f"cannot checkpoint {self._path()}: {name}: {e}")
            return
        busy, frames, done = row
        if not busy and frames == done:
            self._log_octets = 0
            self._held_up = None
            return
        now = time.monotonic()
        self._held_up = self._held_up or now
        if now - self._held_up > LONG_READER:
            self._held_up = now
            self._warn(f"{self._path()}: a long reader holds up checkpoints")

    def _finish(self) -> None:
        """
        The last turn.
        """
        self._turn.acquire()
        while self.state in (State.READY, State.FULL) and not self._kept:
            batch = self._collect(None)
            if not batch:
                break
            self._commit(batch)
        self._fail_rest()
        self._checkpoint()
        if self.state in (State.READY, State.FULL):
            self.state = State.CLOSED
            self._connection.close()
        if self.state is not State.DOUBT:
            self._turn.release()
        self._flush()

    def _fail_rest(self) -> None:
        rest = self._collect(None)
        while rest:
            for operation in rest:
                operation.error = StoreUnavailable("the queue is closed")
            self._settled += rest
            rest = self._collect(None)

    def _flush(self) -> None:
        if self._settled:
            settled, self._settled = self._settled, []
            self._answer(settled)

    def _warn(self, text: str) -> None:
        now = time.monotonic()
        if text != self._warned[0] or now - self._warned[1] > SAME_WARNING:
            self._warned = text, now
            self._sink.emit(Warn("qmgr", text))

    def _path(self) -> str:
        return str(self._database.path(self._database.generation))
