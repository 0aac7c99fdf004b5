"""
What is read from the queue, and how it is judged.

Owns: the SELECTs, and rows becoming messages.
Knows nothing of: threads, transactions, claims.

Every statement is read to its end: a cursor left open is a transaction left
open. The conditions on C{queue} stand as in L{txmta.queue.store.schema}, or
the partial indexes would not be used.

Errors: C{sqlite3.Error}; a row that cannot be right is told, not raised.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from txmta.errors import MessageDamaged, StoreUnavailable
from txmta.model import LOCAL_CLIENT, Envelope, QueuedMessage, QueueName
from txmta.queue.store import ids
from txmta.queue.store.codec import (
    KnownRecipient,
    checksum,
    decode_envelope,
    decode_recipient,
)
from txmta.queue.store.content import BLOCK, Spool
from txmta.queue.store.intake import Found, Page, Scan
from txmta.queue.store.schema import MESSAGE_COLUMNS

#: Recipients read in one go, and not one message more.
PAGE_RECIPIENTS = 20_000

_CONDITIONS = {
    QueueName.INCOMING: "queue <> 2 AND queue = 0",
    QueueName.ACTIVE: "queue <> 2 AND queue = 1",
    QueueName.DEFERRED: "queue = 2",
    QueueName.HOLD: "queue <> 2 AND queue = 3",
    QueueName.CORRUPT: "queue <> 2 AND queue = 4",
}

Row = tuple[Any, ...]


def load(
    connection: sqlite3.Connection, numbers: Sequence[int], new: bool = False
) -> Page:
    """
    Read messages; numbers that are gone are left out.

    @param new: and those that are not new.
    """
    page = Page()
    recipients = 0
    for number in numbers:
        if recipients > PAGE_RECIPIENTS:
            break
        page.seen += 1
        row = _message(connection, number)
        if row is None or (new and row[1] != 0):
            continue
        rows = _recipients(connection, number)
        recipients += len(rows)
        try:
            page.messages.append(queued(row, [decode_recipient(*r) for r in rows]))
        except ValueError as e:
            page.bad.append((number, str(e)))
    return page


def _message(connection: sqlite3.Connection, number: int) -> Row | None:
    rows: list[Row] = connection.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM message WHERE id = ?", (number,)
    ).fetchall()
    return rows[0] if rows else None


def _recipients(connection: sqlite3.Connection, number: int) -> list[Row]:
    return connection.execute(
        "SELECT n, address, state, info FROM recipient WHERE message = ? ORDER BY n",
        (number,),
    ).fetchall()


def queued(row: Sequence[Any], known: Sequence[KnownRecipient]) -> QueuedMessage:
    """
    @param row: as L{MESSAGE_COLUMNS}.
    @raise ValueError: it cannot be a message.
    """
    number, queue, due, sender, attributes, size, _, _ = row
    left = [k for k in known if k.state < 2]
    if not left:
        raise ValueError("no recipient is left")
    if not isinstance(size, int) or size < 0 or not isinstance(due, int):
        raise ValueError("size or time is not a number")
    return QueuedMessage(
        decode_envelope(
            ids.encode(number), sender, attributes, [k.recipient for k in left]
        ),
        size,
        QueueName(queue),
        float(max(due, 0)),
        tuple((k.recipient.n, k.reason) for k in left if k.reason),
        due < 0,
        any(k.warned for k in left),
    )


def scan(connection: sqlite3.Connection, what: Scan) -> Found:
    """
    Look for messages to claim.
    """
    found = Found(Page(), Page())
    if what.new_after is not None:
        keys = _walk(connection, _new_keys, (0, what.new_after), what)
        found.new = load(connection, [number for _, number in keys])
        if more := _rest(keys, found.new, what.count):
            found.new_after = more[1]
    if what.due_after is not None:
        keys = _walk(connection, _due_keys, what.due_after, what)
        found.due = load(connection, [number for _, number in keys])
        found.due_after = _rest(keys, found.due, what.count)
        rows = connection.execute(
            "SELECT due FROM message WHERE queue = 2 AND due > ? ORDER BY due LIMIT 1",
            (what.now,),
        ).fetchall()
        found.next_due = rows[0][0] if rows else None
    return found


Key = tuple[int, int]


def _rest(keys: Sequence[Key], page: Page, count: int) -> Key | None:
    if not keys or (page.seen == len(keys) and len(keys) < count):
        return None
    return keys[page.seen - 1]


def _walk(
    connection: sqlite3.Connection, select: Any, after: Key, what: Scan
) -> list[Key]:
    """
    @return: up to C{count} keys that are not in hand; only indexes are read.
    """
    keys: list[Key] = []
    limit = 2 * what.count
    while len(keys) < what.count:
        rows: list[Key] = select(connection, after, what.now, limit)
        keys += [key for key in rows if key[1] not in what.skip]
        if len(rows) < limit:
            break
        after = rows[-1]
    return keys[: what.count]


def _new_keys(
    connection: sqlite3.Connection, after: Key, now: int, limit: int
) -> list[Key]:
    return connection.execute(
        "SELECT 0, id FROM message WHERE queue <> 2 AND queue = 0 AND id > ?"
        " ORDER BY id LIMIT ?",
        (after[1], limit),
    ).fetchall()


def _due_keys(
    connection: sqlite3.Connection, after: Key, now: int, limit: int
) -> list[Key]:
    return connection.execute(
        "SELECT due, id FROM message WHERE queue = 2 AND due <= ? AND due >= ?"
        " AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?",
        (now, after[0], *after, limit),
    ).fetchall()


def find(
    connection: sqlite3.Connection,
    queue: QueueName | None,
    after: int,
    limit: int,
    without: frozenset[int],
) -> list[QueuedMessage]:
    """
    One page of a listing; what cannot be read is shown as far as possible.
    """
    condition = f"{_CONDITIONS[queue]} AND " if queue else ""
    numbers: list[int] = []
    while len(numbers) < limit:
        rows = connection.execute(
            f"SELECT id FROM message WHERE {condition} id > ? ORDER BY id LIMIT ?",
            (after, limit),
        ).fetchall()
        numbers += [number for (number,) in rows if number not in without]
        if len(rows) < limit:
            break
        after = rows[-1][0]
    return listed(connection, numbers[:limit])


def listed(
    connection: sqlite3.Connection, numbers: Iterable[int]
) -> list[QueuedMessage]:
    """
    @return: the messages that are there, in this order.
    """
    messages: list[QueuedMessage] = []
    for number in numbers:
        row = _message(connection, number)
        if row is None:
            continue
        known = []
        try:
            known = [decode_recipient(*r) for r in _recipients(connection, number)]
            messages.append(queued(row, known))
        except ValueError:
            envelope = Envelope(ids.encode(number), 0.0, "", (), LOCAL_CLIENT)
            messages.append(QueuedMessage(envelope, 0, QueueName.CORRUPT))
    return messages


def counts(connection: sqlite3.Connection) -> dict[QueueName, int]:
    """
    Messages in each queue, as the rows say.
    """
    return {
        queue: connection.execute(
            f"SELECT count(*) FROM message WHERE {condition}"
        ).fetchall()[0][0]
        for queue, condition in _CONDITIONS.items()
    }


@dataclass(frozen=True, slots=True)
class Kept:
    """
    What was accepted with a message, to check its content against.

    @ivar stored: the content has a file, and C{data} is empty.
    @ivar crc: checksum of everything.
    """

    envelope: Envelope
    attributes: bytes
    size: int
    crc: int
    stored: bool
    data: bytes

    def check(self, crc: int, size: int) -> None:
        """
        @param crc: crc32 of the content.
        @raise MessageDamaged: it is not what was accepted.
        """
        envelope = self.envelope
        if (
            size != self.size
            or checksum(crc, envelope.sender, self.attributes, envelope.recipients)
            != self.crc
        ):
            raise MessageDamaged(envelope.queue_id, "checksum is wrong")


def content(connection: sqlite3.Connection, number: int) -> Kept:
    """
    Read the content of a message; what is in a row is checked, too.

    @raise MessageDamaged: it is not what was accepted.
    """
    queue_id = ids.encode(number)
    row = _message(connection, number)
    if row is None:
        raise MessageDamaged(queue_id, "message is not there")
    *_, sender, attributes, size, crc, storage = row
    try:
        recipients = [
            decode_recipient(*r).recipient for r in _recipients(connection, number)
        ]
        envelope = decode_envelope(queue_id, sender, attributes, recipients)
        data = b"" if storage == 1 else _data(connection, number)
        kept = Kept(envelope, attributes, size, crc, storage == 1, data)
        if not kept.stored:
            kept.check(crc32(data), len(data))
    except ValueError as e:
        raise MessageDamaged(queue_id, str(e)) from e
    return kept


def _data(connection: sqlite3.Connection, number: int) -> bytes:
    rows = connection.execute(
        "SELECT data FROM content WHERE message = ? ORDER BY n", (number,)
    ).fetchall()
    if not rows or not all(isinstance(data, bytes) for (data,) in rows):
        raise ValueError("content is missing")
    return b"".join([data for (data,) in rows])


def open_file(spool: Spool, number: int, kept: Kept, verified: bool) -> int:
    """
    Open the file of a message, and check it unless that was done before: a
    file is never written again.

    @return: a descriptor.
    @raise MessageDamaged: it is not what was accepted, or gone.
    """
    queue_id = kept.envelope.queue_id
    try:
        fd = spool.open(number)
    except FileNotFoundError as e:
        raise MessageDamaged(queue_id, "content is missing") from e
    except OSError as e:
        raise StoreUnavailable(f"cannot read content: {e}") from e
    try:
        if verified:
            return fd
        crc = offset = 0
        while block := os.pread(fd, BLOCK, offset):
            crc = crc32(block, crc)
            offset += len(block)
        kept.check(crc, offset)
    except OSError as e:
        os.close(fd)
        raise StoreUnavailable(f"cannot read content: {e}") from e
    except BaseException:
        os.close(fd)
        raise
    return fd
