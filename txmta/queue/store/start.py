"""
What a store does once, before it takes mail.

Owns: directories, the sweep of content that no message names, the number
    after which new queue ids must come.
Knows nothing of: the reactor; it blocks, and nothing listens yet.

Errors: C{OSError}, C{sqlite3.Error}.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from txmta.queue.store import ids
from txmta.queue.store.content import Spool, sync_directory
from txmta.queue.store.locks import Slot
from txmta.queue.store.operations import is_stored

#: Microseconds by which a queue id may be ahead of the clock and still be
#: believed; a damaged row must not send new ids into the far future.
AHEAD = 366 * 86400 * 1_000_000


def make_directory(path: Path) -> None:
    """
    Make a directory for our eyes only, if it is not there, to last.
    """
    if not path.is_dir():
        path.mkdir(mode=0o700)
        sync_directory(path.parent)


def newest(connection: sqlite3.Connection, now: float) -> int:
    """
    @param now: wall time.
    @return: the greatest number in the queue that can be true.
    """
    limit = (int(now * 1_000_000) + AHEAD) << 8
    row = connection.execute(
        "SELECT id FROM message WHERE id < ? ORDER BY id DESC LIMIT 1", (limit,)
    ).fetchall()
    return int(row[0][0]) if row else 0


def sweep(connection: sqlite3.Connection, spool: Spool, slot: Slot) -> int:
    """
    Remove content files that no message names and nobody can be writing: a
    file belongs to the process that holds the slot in its name.

    The names are read first, then the slots, then the rows: a process that
    committed and ended in between is seen by its rows.

    @return: how many there were.
    """
    names = {ids.decode(name): name for name in spool.names()}
    held: dict[int, bool] = {}
    swept = 0
    for number in names:
        if number is None:
            continue
        owner = number & (ids.SLOTS - 1)
        if owner not in held:
            held[owner] = not slot.abandoned(owner)
        if not held[owner] and not is_stored(connection, number):
            spool.remove(number)
            swept += 1
    return swept
