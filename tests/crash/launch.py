"""
Start twistd, perhaps with the server's promise broken on purpose.

C{python -m tests.crash.launch MUTATION ARGUMENTS-OF-TWISTD}; an empty MUTATION
changes nothing. The product has no hooks for this: it is patched here, in the
process of the test.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.scripts.twistd import run

from tests.crash.place_mutations import PLACE_MUTATIONS


def synchronous_off() -> None:
    """
    SQLite does not wait for the disk.
    """
    from txmta.queue.store import database
    from txmta.queue.store.journal import Journal

    journal: Any = Journal
    journal._set_safe = lambda self, safe: None
    careful: Any = database
    careful.CONNECTION_PRAGMAS = tuple(
        text.replace("synchronous = FULL", "synchronous = OFF")
        for text in careful.CONNECTION_PRAGMAS
    )
    careful.PROMISES = tuple(
        (name, 0 if name == "synchronous" else value)
        for name, value in careful.PROMISES
    )


def early_250() -> None:
    """
    250 is said before the store has committed.
    """
    from txmta.cleanup.message import CleanupMessage
    from txmta.model import Reply
    from txmta.queue.store.journal import Journal

    commit = Journal.commit

    def slow(self: Journal, batch: Any) -> None:
        # So that the reply does come first: the writer has a thread of its own.
        time.sleep(0.02)
        commit(self, batch)

    journal: Any = Journal
    journal.commit = slow

    finish = CleanupMessage.finish

    def hasty(self: CleanupMessage) -> Reply | Deferred[Reply]:
        answer = finish(self)
        if isinstance(answer, Deferred):
            queue_id = self._envelope.queue_id
            return Reply(250, "2.0.0", f"Ok: queued as {queue_id}")
        return answer

    CleanupMessage.finish = hasty  # type: ignore[method-assign]


def _without_fsync(which: Callable[[int], bool]) -> None:
    from txmta.delivery.filesystem import FileSystem
    from txmta.delivery.syncs import sync

    def fsync(fd: int) -> None:
        if not which(fd):
            os.fsync(fd)

    mailboxes: Any = FileSystem
    mailboxes.fsync = staticmethod(fsync)
    mailboxes.fsync_all = lambda self, fds: [sync(fsync, fd) for fd in fds]


def _is_directory(fd: int) -> bool:
    return stat.S_ISDIR(os.fstat(fd).st_mode)


def no_fsync_of_maildir_file() -> None:
    """
    The file in the Maildir is not synced.
    """
    _without_fsync(lambda fd: not _is_directory(fd))


def no_fsync_of_maildir_directory() -> None:
    """
    The directory C{new} is not synced.
    """
    _without_fsync(_is_directory)


def recorded_before_fsync() -> None:
    """
    The recipient is recorded as done before the file is written.
    """
    from txmta.delivery.maildir import MaildirWriter

    deliver = MaildirWriter.deliver

    def hasty(self: MaildirWriter, path: Any, messages: Sequence[bytes]) -> Any:
        threading.Timer(0.3, deliver, (self, path, messages)).start()
        return [None] * len(messages)

    writer: Any = MaildirWriter
    writer.deliver = hasty


def no_fsync_of_content_directory() -> None:
    """
    The directory of large contents is not synced.
    """
    from txmta.queue.store import content

    sync_directory = content.sync_directory

    def sync(path: Path) -> None:
        if path.name != "content":
            sync_directory(path)

    content.sync_directory = sync


def delivers_nothing() -> None:
    """
    Not a broken promise: the queue fills, and nothing is taken out.
    """
    from txmta.queue.store import sqlite

    store: Any = sqlite.SqliteStore
    store.claim = lambda self, limit, now: ()


def one_thread() -> None:
    """
    Not a broken promise: each pool has one thread, so that a run is like the
    one before.
    """
    from txmta.roles import shared

    pools: Any = shared
    pool = pools.ThreadPool
    pools.ThreadPool = lambda least, _most, name: pool(least, 1, name)


def short_writes() -> None:
    """
    Not a broken promise: mailboxes are written a few octets at a time, so
    that a kill leaves half a message.
    """
    from txmta.delivery.filesystem import FileSystem

    mailboxes: Any = FileSystem
    mailboxes.write = staticmethod(lambda fd, data: os.write(fd, data[:SHORT]))
    one_thread()


#: Octets of a short write.
SHORT = 150

MUTATIONS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        synchronous_off,
        early_250,
        no_fsync_of_maildir_file,
        no_fsync_of_maildir_directory,
        recorded_before_fsync,
        no_fsync_of_content_directory,
    )
}

#: What else changes a server.
MODES: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (delivers_nothing, one_thread, short_writes)
}


def main(arguments: Sequence[str]) -> None:
    name, *rest = arguments
    if name:
        (MUTATIONS | PLACE_MUTATIONS | MODES)[name]()
    sys.argv = ["twistd", *rest]
    run()


if __name__ == "__main__":
    main(sys.argv[1:])
