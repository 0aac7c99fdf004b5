"""
Save what can be saved from a damaged queue.

Table scans stop at the first bad page. So ids are collected from everything
that has them (the table, its indexes, the recipients, the contents), and each
message is looked up by its id, on its own, with its checksum as the judge.

Owns: copying good messages into a new queue_directory, and naming the rest.
Knows nothing of: commands; nobody may have the damaged queue open.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>} when there is
nothing to read, or the target is not empty.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from txmta.errors import MessageDamaged, StoreUnavailable
from txmta.queue.store import ids, queries
from txmta.queue.store.content import Spool, sync_directory
from txmta.queue.store.database import LINK, Database
from txmta.queue.store.start import make_directory

#: Each gives ids in its own way, and so past other bad pages.
_WALKS = (
    "SELECT id FROM message WHERE id {0} ? ORDER BY id {1} LIMIT 1000",
    "SELECT id FROM message INDEXED BY message_rest"
    " WHERE queue <> 2 AND id {0} ? ORDER BY id {1} LIMIT 1000",
    "SELECT DISTINCT message FROM recipient WHERE message {0} ?"
    " ORDER BY message {1} LIMIT 1000",
    "SELECT message FROM content WHERE message {0} ? ORDER BY message {1} LIMIT 1000",
)
_TABLES = ("message", "recipient", "content")


@dataclass(slots=True)
class Report:
    """
    @ivar saved: how many messages are in the new queue.
    @ivar lost: queue ids of those that are not.
    """

    saved: int = 0
    lost: list[str] = field(default_factory=list)


def salvage(source: Path, target: Path) -> Report:
    """
    @param source: the damaged queue_directory; it is not changed, but for a
        write-ahead log that is replayed: work on a copy.
    @param target: a directory that is made.
    """
    damaged = Database(source)
    if target.exists():
        raise StoreUnavailable(f"{target} is there already")
    make_directory(target)
    make_directory(target / "content")
    new = Database(target)
    new.prepare()
    report = Report()
    try:
        with (
            closing(damaged.read_connection(damaged.linked())) as old,
            closing(new.write_connection()) as saved,
        ):
            saved.execute("BEGIN IMMEDIATE")
            for number in sorted(_numbers(old)):
                if _save(old, saved, number, source, target):
                    report.saved += 1
                else:
                    report.lost.append(ids.encode(number))
            sync_directory(target / "content")
            saved.execute("COMMIT")
    except sqlite3.Error as e:
        raise StoreUnavailable(f"nothing can be read from {source / LINK}: {e}") from e
    return report


def _numbers(old: sqlite3.Connection) -> set[int]:
    """
    Walk from both ends, as far as the first bad page.
    """
    found: set[int] = set()
    for walk in _WALKS:
        for comparison, order, start in ((">", "ASC", -1), ("<", "DESC", 1 << 62)):
            sql = walk.format(comparison, order)
            try:
                while rows := old.execute(sql, (start,)).fetchall():
                    found.update(n for (n,) in rows if isinstance(n, int))
                    start = rows[-1][0]
            except sqlite3.Error:
                continue
    return {number for number in found if 0 < number < 1 << 62}


def _save(
    old: sqlite3.Connection,
    saved: sqlite3.Connection,
    number: int,
    source: Path,
    target: Path,
) -> bool:
    try:
        kept = queries.content(old, number)
        if kept.stored:
            _copy_file(Spool(source / "content"), Spool(target / "content"), kept)
        rows = [
            (
                table,
                old.execute(
                    f"SELECT * FROM {table} WHERE {key} = ?", (number,)
                ).fetchall(),
            )
            for table, key in zip(_TABLES, ("id", "message", "message"), strict=True)
        ]
        for table, values in rows:
            for row in values:
                marks = ", ".join("?" * len(row))
                saved.execute(f"INSERT INTO {table} VALUES ({marks})", row)
    except (sqlite3.Error, MessageDamaged, StoreUnavailable, OSError, UnicodeError):
        return False
    return True


def _copy_file(source: Spool, target: Spool, kept: queries.Kept) -> None:
    number = ids.decode(kept.envelope.queue_id)
    assert number is not None
    os.close(queries.open_file(source, number, kept, verified=False))
    path = target.path(number)
    shutil.copyfile(source.path(number), path)
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(fd, 0o600)
        os.fsync(fd)
    finally:
        os.close(fd)
