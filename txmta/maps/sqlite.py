"""
C{sqlite:/file.cf}: a table in an SQLite database.

Owns: opening it, for reading only; a database file that was replaced.
Knows nothing of: what is asked.

Sources: Postfix's sqlite_table(5); C{global/dict_sqlite.c}: only the first
column counts. SQLite's URI file names.

Errors: L{ConfigError<txmta.errors.ConfigError>}: there is no such database.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import cast
from urllib.parse import quote

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.interfaces import ITable, ITableType
from txmta.maps.context import TableContext
from txmta.maps.database import COMMON, make_plan, make_table, read_settings
from txmta.maps.statement import SQLITE, Statement
from txmta.maps.workers import MAX_VALUES, Broken, Refused

#: Seconds for which we wait for one who writes, and then for an answer.
BUSY, LONGEST = 2.0, 5.0

#: Threads, each with a connection.
MOST = 2

#: Steps of SQLite's machine between two looks at the clock.
_STEPS = 10_000

_NAMES = ("dbpath", *COMMON)


class SqliteSession:
    """
    A database file, open.
    """

    def __init__(
        self, path: str, statement: Statement, warn: Callable[[str], None]
    ) -> None:
        """
        @raise Broken: it cannot be opened, or is no database.
        """
        self._path = path
        self._sql = "?".join(statement.texts)
        self._warn = warn
        self._warned: object = None
        self._deadline = 0.0
        self._connection, self._identity = self._open()

    def _open(self) -> tuple[sqlite3.Connection, tuple[int, int]]:
        uri = f"file:{quote(os.path.abspath(self._path))}?mode=ro"
        connection = None
        try:
            identity = _identity(self._path)
            connection = sqlite3.connect(
                uri,
                uri=True,
                timeout=BUSY,
                isolation_level=None,
                check_same_thread=False,
            )
            connection.text_factory = bytes
            connection.set_progress_handler(self._too_long, _STEPS)
            self._deadline = time.monotonic() + LONGEST
            connection.execute("PRAGMA query_only = ON")
            # Read something, so that what belongs to the file is open too.
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except (OSError, sqlite3.Error) as e:
            if connection is not None:
                connection.close()
            reason = e.strerror if isinstance(e, OSError) else str(e)
            raise Broken(f"open {self._path}: {reason}") from e
        return connection, identity

    def check(self, values: int) -> None:
        """
        @raise Refused: the query will not do.
        """
        try:
            self._deadline = time.monotonic() + LONGEST
            self._connection.execute(f"EXPLAIN {self._sql}", ("",) * values).close()
        except (sqlite3.Error, sqlite3.Warning) as e:
            raise Refused(f"SQL prepare failed: {e}") from e

    def ask(self, values: Sequence[str]) -> Sequence[str | None]:
        self._follow()
        self._deadline = time.monotonic() + LONGEST
        try:
            cursor = self._connection.execute(self._sql, tuple(values))
            rows = cursor.fetchmany(MAX_VALUES + 1)
            cursor.close()
            if len(rows) > MAX_VALUES:
                raise Refused(f"more than {MAX_VALUES} rows")
            return [self._text(row[0]) for row in rows]
        except sqlite3.OperationalError as e:
            raise Refused(str(e)) from e
        except (sqlite3.Error, sqlite3.Warning) as e:
            raise Refused(f"SQL prepare failed: {e}") from e

    def _text(self, value: object) -> str | None:
        if isinstance(value, float):
            # As SQLite writes it, which is not as Python does.
            value = self._connection.execute(
                "SELECT CAST(? AS TEXT)", (value,)
            ).fetchone()[0]
        if isinstance(value, bytes):
            if b"\0" in value:
                raise Refused("a value has a NUL")
            return value.decode("utf-8", "surrogateescape")
        return None if value is None else str(value)

    def _too_long(self) -> bool:
        return time.monotonic() > self._deadline

    def _follow(self) -> None:
        """
        Take the file that has its name now. One that cannot be opened is left
        until it can.
        """
        try:
            identity: object = _identity(self._path)
            if identity == self._identity:
                return
            connection, opened = self._open()
        except (OSError, Broken) as e:
            identity = getattr(e, "strerror", None) or str(e)
            if identity != self._warned:
                self._warned = identity
                self._warn(f"{e}; using the database opened before")
            return
        self._connection.close()
        self._connection, self._identity = connection, opened
        self._warned = None

    def close(self) -> None:
        self._connection.close()


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


@implementer(IPlugin, ITableType)
class SqliteType:
    prefix = "sqlite"
    remote = True

    def open(self, name: str, context: object) -> ITable:
        context = cast(TableContext, context)
        found = read_settings(name, context, _NAMES)
        path = found.required("dbpath", "/file.db")
        plan = make_plan(found, context, SQLITE)
        reactor = context.ways.reactor

        def warn(text: str) -> None:
            line = f"{context.spec}: {text}"
            if reactor is None:
                context.warn(line)
            else:
                reactor.callFromThread(context.warn, line)

        def connect() -> SqliteSession:
            return SqliteSession(path, plan.statement, warn)

        try:
            first = connect()
        except Broken as e:
            raise ConfigError([f"{context.parameter}: {context.spec}: {e}"]) from e
        try:
            first.check(len(plan.statement.values))
        except Refused as e:
            context.warn(f"{context.spec}: {e}: mail that needs this table waits")
        return make_table(context, plan, connect, MOST, first)
