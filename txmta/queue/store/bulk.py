"""
Many messages read by one statement, for whoever has their numbers.

A statement's every step gives up the interpreter's lock, and the reactor has
it by the time the helper thread wants it back: rows become one text, or one
row a message.

Owns: the shape of that text. It is only a quick way: whatever it cannot say
    (octets that are no text, damage, more than a page of recipients) is left to
    L{txmta.queue.store.queries}, which judges row by row.
Knows nothing of: threads, transactions, claims.

Sources: SQLite's json1.html.

Errors: C{sqlite3.Error}.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from txmta.model import Recipient
from txmta.queue.store import queries
from txmta.queue.store.codec import checksum, decode_recipient, from_text
from txmta.queue.store.intake import Page

_RECIPIENTS = (
    "(SELECT json_group_array(json_array(n, address, state, info))"
    " FROM recipient WHERE message = id)"
)

# CAST: attributes are octets, which JSON cannot hold; all of ours are ASCII.
_MESSAGE = (
    "id, queue, due, sender, CAST(attributes AS TEXT), size, checksum, storage,"
    f" json({_RECIPIENTS})"
)

#: Messages asked for in one statement. Powers of two, filled up with NULL, so
#: that few statements are prepared, and kept.
_BULKS = (1, 4, 16, 64, 256)


def _numbered(bulk: int) -> str:
    return ", ".join(f"?{n + 1}" for n in range(bulk))


_NEW = {
    bulk: f"SELECT CASE WHEN (SELECT count(*) FROM recipient WHERE message IN"
    f" ({_numbered(bulk)})) <= {queries.PAGE_RECIPIENTS} THEN"
    f" (SELECT json_group_array(json_array({_MESSAGE})) FROM message"
    f" WHERE id IN ({_numbered(bulk)}) AND queue = 0) END"
    for bulk in _BULKS
}

_CONTENT = {
    bulk: f"SELECT id, sender, attributes, size, checksum, {_RECIPIENTS},"
    " (SELECT data FROM content WHERE message = id AND n = 0)"
    f" FROM message WHERE id IN ({_numbered(bulk)}) AND storage = 0"
    for bulk in _BULKS
}

#: Numbers that one call takes.
MOST = _BULKS[-1]


def new_messages(connection: sqlite3.Connection, numbers: Sequence[int]) -> Page:
    """
    Read messages that are new; others, and what is gone, are left out.

    @param numbers: in order, L{MOST} at most.
    """
    page = _new_at_once(connection, numbers)
    if page is None:
        page = queries.load(connection, numbers, new=True)
    return page


def _new_at_once(connection: sqlite3.Connection, numbers: Sequence[int]) -> Page | None:
    try:
        ((text,),) = connection.execute(*_filled(_NEW, numbers)).fetchall()
        if text is None:
            return None  # too many recipients: page by page
        messages = []
        for *row, recipients in sorted(json.loads(text)):
            row[4] = str(row[4]).encode("ascii")
            known = [decode_recipient(*r) for r in sorted(recipients, key=_first)]
            messages.append(queries.queued(row, known))
    except (sqlite3.OperationalError, ValueError, TypeError, RecursionError):
        return None
    return Page(messages, seen=len(numbers))


def contents(
    connection: sqlite3.Connection, numbers: Sequence[int]
) -> dict[int, bytes]:
    """
    Read contents that are in rows.

    @param numbers: L{MOST} at most.
    @return: those that are what was accepted; the others must be asked for one
        by one, which tells what is wrong with them.
    """
    found: dict[int, bytes] = {}
    try:
        rows = connection.execute(*_filled(_CONTENT, numbers)).fetchall()
    except sqlite3.OperationalError:
        return found
    for number, sender, attributes, size, crc, recipients, data in rows:
        try:
            kept = checksum(
                crc32(data),
                from_text(sender),
                attributes,
                [_accepted(*r) for r in sorted(json.loads(recipients), key=_first)],
            )
        except (ValueError, TypeError, RecursionError):
            continue
        # What is as it was accepted needs no other look: nobody here wants to
        # know what the envelope says.
        if kept == crc and len(data) == size:
            found[number] = data
    return found


def _accepted(n: int, address: str, state: int, info: object) -> Recipient:
    """
    @return: a recipient as far as the checksum goes.
    """
    if info is None:
        return Recipient(n, address, address)
    return decode_recipient(n, address, state, info).recipient


def _first(row: Any) -> Any:
    return row[0]


def _filled(
    statements: dict[int, str], numbers: Sequence[int]
) -> tuple[str, tuple[int | None, ...]]:
    bulk = next(b for b in _BULKS if b >= len(numbers))
    return statements[bulk], (*numbers, *[None] * (bulk - len(numbers)))
