"""
What is known of clients, kept on disk and shared by all processes.

A database of its own in the queue directory. It is a convenience: losing it makes
clients pass their tests again, so it is not synced, and whoever finds it busy or
broken goes on without.

Owns: the file, how long entries stay.
Knows nothing of: what results mean.

Sources: Postfix C{postscreen/postscreen.c} (cache_map), C{util/dict_cache.c}.

Errors: none; trouble is told once, by C{warn}.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

from txmta.smtp.postscreen import results
from txmta.smtp.postscreen.results import Stamps

NAME = "postscreen_cache.sqlite"

#: Seconds that another process may keep us waiting.
_BUSY = 0.05

#: Clients that are remembered at most; an attacker has many addresses.
MAX_CLIENTS = 1_000_000


class ScreenCache:
    """
    Opened at the first use.
    """

    def __init__(
        self,
        directory: str,
        retention: float,
        interval: float,
        now: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        """
        @param retention: seconds that an entry stays when it counts no more.
        @param interval: seconds from one clean-up to the next.
        @param now: wall time.
        """
        self._path = os.path.join(directory, NAME)
        self._retention = retention
        self._interval = interval
        self._now = now
        self._warn = warn
        self._database: sqlite3.Connection | None = None
        self._next = 0.0
        self._told = False

    def find(self, address: str) -> Stamps | None:
        """
        @return: L{None}: nothing is known.
        """
        try:
            rows = self._open().execute(
                "SELECT results FROM client WHERE address = ?", (address,)
            )
            found = rows.fetchone()
        except sqlite3.Error as e:
            self._trouble(e)
            return None
        return results.parse(found[0]) if found else None

    def keep(self, address: str, stamps: Stamps) -> None:
        until = max(stamps.values()) + self._retention
        now = self._now()
        try:
            database = self._open()
            database.execute(
                "INSERT OR REPLACE INTO client VALUES (?, ?, ?)",
                (address, results.text(stamps), until),
            )
            if now >= self._next:
                self._next = now + self._interval
                database.execute("DELETE FROM client WHERE until < ?", (now,))
                database.execute(
                    "DELETE FROM client WHERE address IN (SELECT address FROM client "
                    "ORDER BY until DESC LIMIT -1 OFFSET ?)",
                    (MAX_CLIENTS,),
                )
        except sqlite3.Error as e:
            self._trouble(e)

    def close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            made = sqlite3.connect(
                self._path,
                timeout=_BUSY,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                made.execute("PRAGMA journal_mode = WAL")
                made.execute("PRAGMA synchronous = OFF")
                made.execute(
                    "CREATE TABLE IF NOT EXISTS client (address TEXT PRIMARY KEY, "
                    "results TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID"
                )
                made.execute(
                    "CREATE INDEX IF NOT EXISTS client_until ON client (until)"
                )
            except sqlite3.Error:
                made.close()
                raise
            self._database = made
        return self._database

    def _trouble(self, error: sqlite3.Error) -> None:
        if "locked" in str(error):
            return
        self.close()
        if not self._told:
            self._told = True
            self._warn(f"{self._path}: {error}: clients are not remembered")
