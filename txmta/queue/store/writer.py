"""
The one thread of a process that writes to the queue.

It waits for something to do, waits for its turn among the processes, takes
everything that waits by then, commits it in one transaction, and answers it
all at once: many messages share one flush of the disk, and no reactor ever
waits for one.

Owns: the thread, group commit, when to checkpoint, whose turn it is.
Knows nothing of: reactor objects. It answers through C{answer}, which must
    pass the operations on to the reactor's thread. What errors mean is
    decided in L{txmta.queue.store.journal}; while files are in doubt the turn
    is kept, so that no other process acknowledges anything either.

Errors: none gets out; an operation carries its own.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from txmta.errors import StoreUnavailable
from txmta.queue.store.files import Files, State
from txmta.queue.store.journal import Journal
from txmta.queue.store.locks import TurnLock
from txmta.queue.store.operations import Operation

#: Operations, and octets of content, in one transaction.
BATCH = 200
BATCH_OCTETS = 4 * 1024 * 1024

#: Octets of write-ahead log, as estimated and of all writers together, at
#: which it is checkpointed: from there on a checkpoint costs least per message
#: (measured).
CHECKPOINT = 16 * 1024 * 1024

#: Seconds without a commit before an idle checkpoint: a short log is little
#: to lose to a bad block.
IDLE = 1.0

#: Seconds for which more is waited for when the last batch had more than one
#: operation. A commit costs as much as several operations, and wakes the
#: reactor. Relay benchmark, msg/s and CPU us a message, two sets in turn:
#: 2 ms 2,180 and 398; 1 ms 2,420 and 406; 0.5 ms 2,350 and 441; none 2,180
#: and 503. A lone session never waits.
GATHER = 0.001

#: Seconds for which what may wait for the sync of others waits: while a disk
#: syncs, nobody else has the turn. 50 users' Maildirs, several processes,
#: msg/s in three turns: 242, 245, 347 without, 451, 453, 335 with.
LAZY = 0.02

#: Seconds of waiting for a turn that are worth a warning.
LONG_WAIT = 1.0

#: Seconds to wait for the first turn.
FIRST_TURN = 30.0

#: Seconds between attempts to rebuild.
BACK_OFF = (1.0, 60.0)


@dataclass(frozen=True)
class Timing:
    """
    Seconds; tests shorten them.
    """

    idle: float = IDLE
    retry: float = 1.0
    back_off: tuple[float, float] = BACK_OFF
    lazy: float = LAZY


class Writer:
    """
    @ivar journal: for metrics.
    @ivar submit: ask for an operation; called in the reactor's thread.
    """

    def __init__(
        self,
        files: Files,
        turn: TurnLock,
        answer: Callable[[Sequence[Operation]], object],
        timing: Timing | None = None,
    ) -> None:
        """
        @param answer: called in our thread, with all that one transaction
            settled.
        """
        self._files = files
        self._turn = turn
        self._answer = answer
        self._timing = timing or Timing()
        self.journal = Journal(files, self._timing.lazy)
        self._inbox: SimpleQueue[Operation | None] = SimpleQueue()
        self._stopping = False
        self._crowded = False
        self.submit = self._inbox.put

    def open(self) -> sqlite3.Connection:
        """
        Open the queue, holding the turn.

        @return: the connection, to be read from until C{start}.
        @raise StoreUnavailable: this is no queue, or its turn never came.
        """
        if not self._turn.try_acquire(FIRST_TURN):
            raise StoreUnavailable(
                f"process {self._turn.holder()} does not give up the lock of the queue"
            )
        try:
            self.journal.log_octets = self._files.open()
            self._count()
        finally:
            self._turn.release()
        return self._files.connection

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
            lazy = self.journal.unsynced
            if self._crowded:
                time.sleep(GATHER)
            try:
                self._take_turn()
            except Exception as e:
                # A thread that ends would leave every session without answer.
                self._files.warn(f"cannot take a turn at the queue: {e}")
                self.journal.refuse([first] if first else [])
                self._crowded = False
            else:
                try:
                    self._round(first, lazy)
                except Exception as e:
                    # A bug: what is not answered is not acknowledged.
                    self._files.warn(f"error in the queue writer: {e!r}")
                self._count()
            self._give_turn()
            self._flush()
        self._finish()
        self._stopped()
        self._linger()

    def _next(self) -> Operation | None:
        """
        @return: the first operation of the next round, L{None} if something
            else is to be done by now.
        """
        journal = self.journal
        timeout: float | None = None
        if self._files.state is State.BROKEN:
            pass  # nothing but a person helps
        elif journal.kept or self._files.state is not State.READY:
            timeout = self._timing.retry
        elif journal.unsynced:
            timeout = self._timing.lazy
        elif journal.log_octets:
            timeout = self._timing.idle
        try:
            operation = self._inbox.get(timeout=timeout)
        except Empty:
            return None
        if operation is None:
            self._stopping = True
        return operation

    def _take_turn(self) -> None:
        waited, holder = self._turn.acquire()
        if waited > LONG_WAIT:
            self._files.warn(
                f"waited {waited:.1f} s for the queue, held by process {holder}"
            )
        # What others add counts, too: the log must not be as many times as
        # long as there are writers.
        self._know()
        self._files.follow()

    def _know(self) -> None:
        self.journal.log_octets = self._turn.log_octets
        self.journal.syncs = self._turn.syncs

    def _count(self) -> None:
        self._turn.count(self.journal.log_octets, self.journal.syncs)

    def _give_turn(self) -> None:
        if self._files.state is not State.DOUBT:
            self._turn.release()

    def _round(self, first: Operation | None, lazy: bool) -> None:
        """
        One turn: everything that waits, and a sync or checkpoint when it is
        time.

        @param lazy: something of ours was left to the next sync.
        """
        journal = self.journal
        self._files.look_for_room()
        batch = self._collect(first)
        self._crowded = len(batch) > 1
        journal.commit(batch)
        if not batch and lazy and not self._stopping:
            journal.sync()
        elif not batch:
            journal.checkpoint()
            journal.shrink()
        elif journal.log_octets > CHECKPOINT or self._files.state is State.FULL:
            # On a full disk the log must stay short, to be of use again.
            journal.checkpoint()
        if self._files.state is State.DOUBT:
            self._rebuild()

    def _collect(self, first: Operation | None) -> list[Operation]:
        """
        Take what waits, now that it is our turn.
        """
        journal = self.journal
        batch, journal.kept = journal.kept, []
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

    def _rebuild(self) -> None:
        """
        Keep the turn and try until it works, or until we are to stop.
        """
        delay, longest = self._timing.back_off
        while not self.journal.rebuild():
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
                self.journal.refuse([operation])
                self._flush()
            delay = min(delay * 2, longest)

    def _finish(self) -> None:
        """
        The last turn.
        """
        journal = self.journal
        self._turn.acquire()
        self._know()
        while self._files.writable:
            batch = self._collect(None)
            if not batch:
                break
            journal.commit(batch)
            if journal.kept:
                break
        while rest := self._collect(None):
            journal.fail(rest)
        journal.close()
        self._count()
        self._give_turn()
        self._flush()

    def _flush(self) -> None:
        if self.journal.settled:
            settled, self.journal.settled = self.journal.settled, []
            self._answer(settled)

    def _linger(self) -> None:
        """
        What is in doubt or damaged must not be closed, so the connection
        stays open as long as the process lives; in doubt the turn is kept,
        too, and rebuilding is tried to the end.
        """
        while self._files.state is State.DOUBT:
            time.sleep(self._timing.back_off[1])
            if self.journal.rebuild():
                self.journal.close()
                self._turn.release()
        while self._files.state is State.BROKEN:
            time.sleep(3600)
