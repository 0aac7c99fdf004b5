"""
The queue while no server runs.

Owns: becoming the mail owner before anything is opened; turns at the files; the
    lock that keeps a server from starting while the queue is changed.
Knows nothing of: command lines, what a listing looks like.

A listing holds nothing but the turn, and that for a page: it changes nothing, and
a server may start meanwhile.

Sources: Postfix C{showq/showq.c} (stand-alone mode), C{postsuper/postsuper.c}
(set_ugid).

Errors: L{Fatal<txmta.admin.common.Fatal>};
L{ConfigError<txmta.errors.ConfigError>} when a server has the queue.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from zope.interface import implementer

from txmta.admin.common import EX_TEMPFAIL, EX_UNAVAILABLE, Fatal
from txmta.config.main_cf import read_main_cf
from txmta.config.settings import Definition, Settings
from txmta.config.system import this_machine
from txmta.errors import MailError
from txmta.events import Event, Warn
from txmta.interfaces import IEventSink
from txmta.master.lock import QueueLock
from txmta.master.privileges import become, server_account
from txmta.model import QueuedMessage, QueueName
from txmta.queue import changes
from txmta.queue.listed import Listed
from txmta.queue.listing import listed
from txmta.queue.store import administration, ids, queries
from txmta.queue.store.content import Reserve, Spool
from txmta.queue.store.database import LINK, Database
from txmta.queue.store.files import Files
from txmta.queue.store.journal import Journal
from txmta.queue.store.locks import TurnLock
from txmta.queue.store.operations import Change, Changed

#: Messages read, or changed, at a time.
PAGE = 200

#: Seconds to wait for a turn at the files.
TURN = 10.0

T = TypeVar("T")


def _requeue_rows(
    numbers: Sequence[int], connection: sqlite3.Connection
) -> list[Changed]:
    """
    Off hold, and due now; what is new is tried anyway.
    """
    administration.release_rows(numbers, connection)
    administration.requeue_rows(numbers, connection)
    return [Changed(number, QueueName.DEFERRED) for number in numbers]


_STEPS: dict[str, administration.Apply] = {
    "delete": administration.delete_rows,
    "expire": administration.expire_rows,
    "hold": administration.hold_rows,
    "release": administration.release_rows,
    "requeue": _requeue_rows,
}


def may_open(queue_directory: str) -> bool:
    """
    Whether we are root, or the owner of the queue.
    """
    try:
        owner = os.stat(queue_directory).st_uid
    except OSError:
        return os.geteuid() == 0
    return os.geteuid() in (0, owner)


def become_owner(folder: str) -> None:
    """
    If we are root, be the mail owner from here on, so that whoever has got hold
    of the queue directory gets no more by what we do there.

    @param folder: as L{txmta.admin.common.main_cf} takes it.
    """
    from txmta.admin.common import main_cf

    path = main_cf(folder).path
    definitions = dict(read_main_cf(path).definitions)
    definitions["config_directory"] = Definition(os.path.dirname(path), path)
    settings, _wrong = Settings.collect(definitions, this_machine())
    become(server_account(settings))


@implementer(IEventSink)
class _Said:
    def emit(self, event: Event) -> None:
        if isinstance(event, Warn):
            print(f"warning: {event.text}", file=sys.stderr)


@contextmanager
def _turn(directory: Path) -> Iterator[TurnLock]:
    lock = TurnLock(directory / "queue.lock")
    try:
        if not lock.try_acquire(TURN):
            raise Fatal(
                f"process {lock.holder()} does not give up the lock of the queue: "
                "try again",
                EX_TEMPFAIL,
            )
        yield lock
    finally:
        lock.close()


def reading(directory: str, read: Callable[[sqlite3.Connection], T], nothing: T) -> T:
    """
    @param nothing: what there is if there never was a queue.
    @return: what C{read} makes of a connection that cannot write.
    """
    path = Path(directory)
    if not os.path.lexists(path / LINK):
        return nothing
    try:
        with _turn(path) as turn:
            if turn.doubt:
                raise Fatal(
                    f"the files of the queue in {directory} are in doubt: start the "
                    "server, which rebuilds them",
                    EX_UNAVAILABLE,
                )
            database = Database(path)
            connection = database.read_connection(database.linked())
            with closing(connection):
                return read(connection)
    except (sqlite3.Error, MailError) as e:
        raise Fatal(f"cannot read the queue in {directory}: {e}", EX_TEMPFAIL) from e


class OfflineListing:
    """
    A listing from the files.
    """

    def __init__(self, folder: str, directory: str) -> None:
        become_owner(folder)
        self._directory = directory

    def page(self, queue: str, after: str) -> tuple[Sequence[Listed], str]:
        """
        As L{txmta.admin.postqueue.Source.page}.
        """
        name = queue.upper()
        if name not in QueueName.__members__:
            return (), ""
        page = find(self._directory, QueueName[name], after)
        more = page[-1].envelope.queue_id if len(page) == PAGE else ""
        return [listed(message) for message in page], more


def find(
    directory: str, queue: QueueName | None, after: str, limit: int = PAGE
) -> Sequence[QueuedMessage]:
    """
    As L{IQueueStore.find<txmta.interfaces.IQueueStore.find>}.
    """
    start = (ids.decode(after) or 0) if after else 0

    def read(connection: sqlite3.Connection) -> Sequence[QueuedMessage]:
        return queries.find(connection, queue, start, limit, frozenset())

    return reading(directory, read, ())


class OfflineQueue:
    """
    The queue, to be changed; no server can start until C{close}.
    """

    def __init__(self, folder: str, directory: str) -> None:
        """
        @raise ConfigError: a server has it.
        """
        become_owner(folder)
        self._directory = directory
        self._lock = QueueLock(directory)

    def close(self) -> None:
        self._lock.release()

    def change_all(
        self, operation: str, named: Sequence[str]
    ) -> Iterator[tuple[str, int]]:
        """
        @return: steps, and how many messages each has changed.
        """
        for queue in changes.queues(operation, named):
            after, more = "", True
            while more:
                page = find(self._directory, queue, after)
                yield from self._change(operation, page)
                more = len(page) == PAGE
                after = page[-1].envelope.queue_id if more else ""

    def change_some(
        self, operation: str, queue_ids: Sequence[str], named: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        """
        @return: steps, and which message each has changed.
        """
        queues = changes.queues(operation, named)
        for queue_id in queue_ids:
            number = ids.decode(queue_id)
            before = ids.encode(number - 1) if number else ""
            found = find(self._directory, None, before, 1) if number else ()
            for message in found:
                if message.envelope.queue_id == queue_id and message.queue in queues:
                    for step, _count in self._change(operation, [message]):
                        yield step, queue_id

    def _change(
        self, operation: str, messages: Sequence[QueuedMessage]
    ) -> Iterator[tuple[str, int]]:
        for step in changes.steps(operation):
            there = [m.envelope.queue_id for m in messages if changes.concerns(step, m)]
            if there and (count := self.change(step, there)):
                yield step, count

    def change(self, step: str, queue_ids: Sequence[str]) -> int:
        """
        @param step: one of L{_STEPS}.
        @return: how many messages there were; they are changed on disk.
        """
        path = Path(self._directory)
        numbers = [n for n in map(ids.decode, queue_ids) if n is not None]
        if not os.path.lexists(path / LINK):
            return 0
        try:
            with _turn(path) as turn:
                changed = _commit(path, turn, step, numbers)
        except (sqlite3.Error, MailError) as e:
            raise Fatal(f"cannot change the queue: {e}", EX_TEMPFAIL) from e
        spool = Spool(path / "content")
        for each in changed:
            if each.stored:
                spool.remove(each.number)
        return len(changed)


def _commit(
    path: Path, turn: TurnLock, step: str, numbers: Sequence[int]
) -> Sequence[Changed]:
    """
    As the server's writer does it, so that a full or broken disk is treated as
    well.
    """
    reserve = Reserve(path / "queue.reserve", Reserve.SIZE)
    files = Files(Database(path), turn, reserve, _Said())
    files.open()
    journal = Journal(files)
    if turn.doubt:
        journal.rebuild()
    changed: list[Changed] = []

    def apply(connection: sqlite3.Connection) -> list[Changed]:
        changed[:] = _STEPS[step](numbers, connection)
        return changed

    change = Change(apply, len(numbers))
    journal.commit([change])
    done = change in journal.settled and change.error is None
    journal.close()
    if not done:
        raise Fatal("cannot change the queue: start the server", EX_TEMPFAIL)
    return changed
