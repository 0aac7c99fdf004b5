"""
What the parts of the store share in the reactor's thread.

Owns: the way to the writer and back, what a commit changes in memory, the
    doorbells.
Knows nothing of: what callers are told beyond an operation's result.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>}, through Deferreds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from txmta.errors import StoreUnavailable
from txmta.events import Warn
from txmta.interfaces import IEventSink
from txmta.model import QueuedMessage, QueueName
from txmta.queue.store.cache import ContentCache
from txmta.queue.store.content import InThread, Spool
from txmta.queue.store.intake import Intake
from txmta.queue.store.operations import Insert, Operation, Record

Doorbell = Callable[[Sequence[str]], None]


class Core:
    """
    @ivar submit_to_writer: set while the writer runs.
    """

    def __init__(self, spool: Spool, in_thread: InThread, sink: IEventSink) -> None:
        self.spool = spool
        self.in_thread = in_thread
        self.doorbells: list[Doorbell] = []
        self.submit_to_writer: Callable[[Operation], None] | None = None
        self._sink = sink

    def submit(self, operation: Operation) -> Deferred[Any]:
        """
        @return: fires with the operation's result when that is on disk.
        """
        if self.submit_to_writer is None:
            return fail(StoreUnavailable("the queue is closed"))
        self.submit_to_writer(operation)
        return operation.answered

    def answered(self, operations: Sequence[Operation]) -> None:
        """
        The writer has settled a batch: memory first, for whoever is answered
        may claim at once; then the 250s, the doorbell, and last the files
        that nobody needs any more.
        """
        arrived, gone = self._settled(operations)
        for operation in operations:
            if operation.error is None:
                operation.answered.callback(operation.result)
            else:
                operation.answered.errback(operation.error)
        if arrived:
            self.ring(arrived)
        if gone:
            self.remove_files(gone)

    def _settled(
        self, operations: Sequence[Operation]
    ) -> tuple[Sequence[str], Sequence[int]]:
        """
        @return: queue ids of new messages, and numbers of files to be removed.
        """
        arrived = [
            operation.envelope.queue_id
            for operation in operations
            if operation.error is None and isinstance(operation, Insert)
        ]
        return arrived, ()

    def ring(self, queue_ids: Sequence[str]) -> None:
        for doorbell in self.doorbells:
            doorbell(queue_ids)

    def remove_files(self, numbers: Iterable[int]) -> None:
        """
        Remove files without messages, away from the reactor: 50 MB take 26
        ms. One that stays is swept at the next start.
        """
        for number in numbers:
            removed = self.in_thread(self.spool.remove, number)
            removed.addErrback(self._not_removed)

    def _not_removed(self, failure: Failure) -> None:
        self.warn(f"cannot remove content of a finished message: {failure.value}")

    def warn(self, text: str) -> None:
        self._sink.emit(Warn("qmgr", text))


class ClaimingCore(Core):
    """
    Keeps what was committed at hand, to be claimed and delivered.
    """

    def __init__(
        self, spool: Spool, in_thread: InThread, sink: IEventSink, cache: ContentCache
    ) -> None:
        super().__init__(spool, in_thread, sink)
        self.cache = cache
        self.intake = Intake()

    def _settled(
        self, operations: Sequence[Operation]
    ) -> tuple[Sequence[str], Sequence[int]]:
        arrived: list[str] = []
        gone: list[int] = []
        for operation in operations:
            if operation.error is not None:
                continue
            if type(operation) is Insert:
                self._arrived(operation, arrived)
            elif type(operation) is Record:
                for insert in operation.inserts:
                    self._arrived(insert, arrived)
                if operation.result:
                    self.intake.end(operation.number)
                    self.cache.drop(operation.number)
                    if operation.stored:
                        gone.append(operation.number)
        return arrived, gone

    def _arrived(self, insert: Insert, arrived: list[str]) -> None:
        envelope = insert.envelope
        if envelope.hold:
            return  # nobody's to claim
        arrived.append(envelope.queue_id)
        self.intake.arrived(
            insert.number, QueuedMessage(envelope, insert.size, QueueName.INCOMING)
        )
        if insert.content is not None:
            self.cache.put(insert.number, insert.content)
