"""
What the reactor asks the writer to do, and the SQL that does it.

Owns: one transaction for many operations, one statement per table.
Knows nothing of: threads, locks, what an error means.

The reactor thread makes operations and fires their Deferreds; the writer's
thread only sets C{result} or C{error} in between.

Errors: whatever SQLite or an impossible value raises; the transaction may
then still be open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil
from typing import Any
from zlib import crc32

from twisted.internet.defer import Deferred

from txmta.errors import StoreUnavailable
from txmta.model import Envelope, QueueName, RecipientState, Result
from txmta.queue.store import ids
from txmta.queue.store.codec import (
    checksum,
    decode_recipient,
    encode_attributes,
    encode_info,
    to_text,
)

#: Octets that a message costs in the write-ahead log beside its content.
OVERHEAD = 4096


class Operation:
    """
    @ivar answered: fires in the reactor thread, with C{result} or C{error}.
    @ivar octets: about what it adds to the write-ahead log.
    @ivar kept: must not be lost for a passing trouble: it is tried again.
    @ivar lazy: may be answered before it is on disk: a power cut repeats work.
    """

    __slots__ = ("answered", "error", "lazy", "octets", "result")

    kept = True

    def __init__(self, octets: int = 0) -> None:
        self.answered: Deferred[Any] = Deferred()
        self.octets = octets + OVERHEAD
        self.lazy = False
        self.result: object = None
        self.error: StoreUnavailable | None = None

    def add(self, rows: Rows) -> None:
        """
        Put what is to be done into C{rows}.
        """
        raise NotImplementedError


class Insert(Operation):
    """
    A new message.

    @ivar content: of a message with a row; L{None} for one with a file.
    @ivar crc: crc32 of the content of a file.
    """

    __slots__ = ("content", "crc", "envelope", "number", "size")

    kept = False

    def __init__(
        self, envelope: Envelope, content: bytes | None, size: int, crc: int = 0
    ) -> None:
        super().__init__(0 if content is None else size)
        number = ids.decode(envelope.queue_id)
        if number is None:
            raise ValueError(f"{envelope.queue_id} is not a queue id of ours")
        self.result = envelope.queue_id
        self.number = number
        self.envelope = envelope
        self.content = content
        self.size = size
        self.crc = crc

    def add(self, rows: Rows) -> None:
        number, envelope, content = self.number, self.envelope, self.content
        attributes = encode_attributes(envelope)
        crc = self.crc if content is None else crc32(content)
        crc = checksum(crc, envelope.sender, attributes, envelope.recipients)
        recipients: list[tuple[object, ...]] = [
            (number, r.n, to_text(r.address), encode_info(r))
            for r in envelope.recipients
        ]
        first = recipients[0] if recipients else _NOBODY
        rows.changes.append(
            (
                _MESSAGE,
                number,
                to_text(envelope.sender),
                attributes,
                self.size,
                crc,
                int(content is None),
                content,
                *first[1:],
            )
        )
        rows.recipients += recipients[1:]
        if envelope.hold:
            rows.changes.append((_HELD, number, *_NOTHING[2:]))


class Record(Operation):
    """
    The end of an attempt.

    @ivar last: nothing else is left to do, as the reactor knows; else the
        rows are asked.
    @ivar expired: the attempt was told that it is the last one.
    @ivar stored: the content of the message has a file.
    """

    __slots__ = ("due", "expired", "inserts", "last", "number", "results", "stored")

    def __init__(
        self,
        number: int,
        results: Sequence[Result],
        due: float | None,
        inserts: Sequence[Insert] = (),
        last: bool = False,
    ) -> None:
        super().__init__(sum([insert.octets for insert in inserts]) if inserts else 0)
        self.expired = False
        self.stored = False
        self.number = number
        self.results = results
        self.due = due
        self.inserts = inserts
        self.last = last

    def add(self, rows: Rows) -> None:
        for insert in self.inserts:
            insert.add(rows)
        if self.last:
            rows.finish(self.number)
            self.result = True
        else:
            rows.later.append(self._update)

    def _update(self, connection: sqlite3.Connection, rows: Rows) -> None:
        number = self.number
        connection.executemany(
            "UPDATE recipient SET state = ?, info = ifnull(?, info)"
            " WHERE message = ? AND n = ?",
            [
                (r.state.value, _info(connection, number, r), number, r.n)
                for r in self.results
            ],
        )
        left = connection.execute(
            "SELECT 1 FROM recipient WHERE message = ? AND state < 2 LIMIT 1", (number,)
        ).fetchall()
        self.result = not left
        if not left:
            self.stored = is_stored(connection, number)
            rows.finish(number)
        elif self.due is not None:
            # On hold it stays on hold, and "expire" (due < 0) set meanwhile
            # is for the next attempt.
            connection.execute(
                "UPDATE message SET due = CASE WHEN due < 0 AND ? THEN due ELSE ? END,"
                " queue = CASE WHEN queue > 2 THEN queue ELSE 2 END WHERE id = ?",
                (not self.expired, ceil(self.due), number),
            )


def _info(connection: sqlite3.Connection, number: int, result: Result) -> str | None:
    """
    @return: what is known about a recipient, with its new reason; L{None} to
        leave it as it is.
    """
    if result.state is not RecipientState.DEFERRED or not result.reason:
        return None
    row = connection.execute(
        "SELECT n, address, state, info FROM recipient WHERE message = ? AND n = ?",
        (number, result.n),
    ).fetchone()
    if row is None:
        return None
    try:
        known = decode_recipient(*row)
    except ValueError:
        return None  # damage is for whoever reads it for delivery
    return encode_info(known.recipient, result.reason, result.warned or known.warned)


@dataclass(slots=True)
class Changed:
    """
    What became of one message.

    @ivar queue: where it is now, L{None} if it is gone.
    @ivar due: wall time of its next attempt; 0 is now.
    @ivar stored: a file is left over.
    """

    number: int
    queue: QueueName | None
    due: int = 0
    stored: bool = False


class Change(Operation):
    """
    A slice of administrative work.

    @ivar apply: changes rows, and says which.
    """

    __slots__ = ("apply",)

    def __init__(
        self, apply: Callable[[sqlite3.Connection], list[Changed]], count: int
    ) -> None:
        super().__init__(count * 512)
        self.apply = apply

    def add(self, rows: Rows) -> None:
        rows.later.append(self._apply)

    def _apply(self, connection: sqlite3.Connection, rows: Rows) -> None:
        self.result = self.apply(connection)


Later = Callable[[sqlite3.Connection, "Rows"], None]


class Rows:
    """
    What a transaction writes: inserts, then updates in the order in which
    they were asked for, then deletes.
    """

    __slots__ = ("changes", "finished", "later", "recipients")

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.changes: list[tuple[object, ...]] = []
        self.recipients: list[tuple[object, ...]] = []
        self.later: list[Later] = []
        self.finished: list[tuple[object, ...]] = []
        for operation in operations:
            operation.add(self)

    def finish(self, number: int) -> None:
        """
        Remove a message.
        """
        self.finished.append((_FINISHED, number, *_NOTHING[2:]))

    def write(self, connection: sqlite3.Connection) -> None:
        """
        Do it all in one transaction; afterwards it is on disk.
        """
        if not self.later and not self.recipients:
            rows = self.changes + self.finished
            if len(rows) <= _BULKS[-1]:
                # A statement alone is a transaction of its own.
                change(connection, rows)
                return
        connection.execute("BEGIN IMMEDIATE")
        change(connection, self.changes)
        _insert_recipients(connection, self.recipients)
        for later in self.later:
            later(connection, self)
        change(connection, self.finished)
        connection.execute("COMMIT")


#: What a row of the view C{batch} asks for.
_MESSAGE, _FINISHED, _HELD = 1, 2, 3
_NOTHING = (None,) * 11
_NOBODY = (None,) * 4

#: Rows that one statement takes. SQLite gives up the interpreter's lock at each
#: step, and the reactor has it by the time it wants it back: a row for each
#: step costs more in waiting for each other than in SQL. Powers of two, so
#: that few statements are prepared, and kept.
_BULKS = (1, 2, 4, 8, 16, 32, 64)


def _statements(start: str, row: str) -> dict[int, str]:
    return {n: f"{start}{', '.join([row] * n)}" for n in _BULKS}


_CHANGES = _statements("INSERT INTO batch VALUES ", f"({', '.join('?' * 11)})")
_RECIPIENTS = _statements("INSERT INTO recipient VALUES ", "(?, ?, ?, 0, ?)")


def change(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """
    @param rows: of the view C{batch}.
    """
    most = _BULKS[-1]
    for start in range(0, len(rows), most):
        part = rows[start : start + most]
        bulk = 1 << (len(part) - 1).bit_length()
        values = chain(*part, *[_NOTHING] * (bulk - len(part)))
        connection.execute(_CHANGES[bulk], tuple(values))


def _insert_recipients(
    connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]
) -> None:
    start = 0
    for bulk in reversed(_BULKS):
        while len(rows) - start >= bulk:
            values = chain.from_iterable(rows[start : start + bulk])
            connection.execute(_RECIPIENTS[bulk], tuple(values))
            start += bulk


def is_stored(connection: sqlite3.Connection, number: int) -> bool:
    """
    Whether a message has a file for its content.
    """
    row = connection.execute(
        "SELECT storage FROM message WHERE id = ?", (number,)
    ).fetchone()
    return row is not None and row[0] == 1


def delete(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """
    Remove messages, in the transaction that is open.
    """
    change(connection, [(_FINISHED, number, *_NOTHING[2:]) for number in numbers])
