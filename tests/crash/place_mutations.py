"""
The promise broken on purpose, where mail goes to mailbox files, or goes on as
forwards and bounces.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from txmta.model import Attempt, NewMessage


def no_fsync_of_mbox() -> None:
    """
    Mailbox files are not synced.
    """
    from txmta.delivery.mbox_file import MboxAppending

    changed: Any = MboxAppending
    changed.finish = lambda self: None


def recorded_before_mbox_fsync() -> None:
    """
    The recipient is recorded as done before the mailbox file is written.
    """
    from txmta.delivery.mbox_file import MboxWriter

    deliver = MboxWriter.deliver

    def hasty(self: MboxWriter, file: Any, take: Callable[[], Any]) -> Any:
        messages = take()
        threading.Timer(0.3, deliver, (self, file, lambda: messages)).start()
        return [None] * len(messages)

    writer: Any = MboxWriter
    writer.deliver = hasty


def no_undo_in_mbox() -> None:
    """
    What could not be written in full is not cut off.
    """
    from tests.crash.launch import one_thread
    from txmta.delivery.mbox_file import MboxAppending

    changed: Any = MboxAppending
    changed._undo = lambda self, length: None
    one_thread()


def forward_apart() -> None:
    """
    A forward is inserted after the transaction that ends the old recipient.
    """
    _insert_apart(lambda new: bool(new.shares))


def bounce_apart() -> None:
    """
    A bounce is inserted after the transaction that ends the recipients.
    """
    _insert_apart(lambda new: not new.shares)


def _insert_apart(which: Callable[[NewMessage], bool]) -> None:
    from txmta.queue.store.sqlite import SqliteStore

    record = SqliteStore.record

    async def apart(self: SqliteStore, attempt: Attempt) -> bool:
        late = []
        for new in filter(which, attempt.inserts):
            late.append((new.envelope, await _whole(self, new)))
        rest = tuple(new for new in attempt.inserts if not which(new))
        removed = await record(self, replace(attempt, inserts=rest))
        for envelope, content in late:
            incoming = self.open(envelope)
            incoming.write(content)
            await incoming.commit()
        return removed

    def hasty(self: SqliteStore, attempt: Attempt) -> Deferred[bool]:
        return Deferred.fromCoroutine(apart(self, attempt))

    store: Any = SqliteStore
    store.record = hasty


async def _whole(store: Any, new: NewMessage) -> bytes:
    if not new.shares:
        return new.content
    shared = store.content(new.shares)
    if isinstance(shared, Deferred):
        shared = await shared
    octets = shared.read(0, shared.size)
    if isinstance(octets, Deferred):
        octets = await octets
    shared.close()
    return new.content + bytes(octets)


PLACE_MUTATIONS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        no_fsync_of_mbox,
        recorded_before_mbox_fsync,
        no_undo_in_mbox,
        forward_apart,
        bounce_apart,
    )
}
