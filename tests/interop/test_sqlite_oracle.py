"""
C{sqlite:} tables, asked by us and by Postfix's C{postmap -q}.

The only difference: a key that is in the SQL as it is, without quotes, is
never asked here; Postfix's is open to injection there.
"""

from __future__ import annotations

import sqlite3

from tests.interop.database_oracle import DatabaseOracle
from tests.support import SLICE, asked
from txmta.maps.sqlite import SqliteType

#: Tables; each is asked for all keys.
ROUNDS = 45 if SLICE else 200

_QUERIES = (
    *("SELECT v FROM t WHERE k = '%s'", "SELECT '%s'", "SELECT '%u|%d'"),
    *("SELECT '%1.%2' || '%U'", "SELECT v FROM t WHERE k LIKE '%%%d'"),
    *("SELECT '%D' UNION SELECT '%3'", "SELECT '''%u'''", "SELECT '%%%S'"),
    *("SELECT v, k FROM t", "SELECT NULL", "SELECT 1.5, '%s'"),
    *("SELECT v FROM t WHERE k IN ('%u@%d', '%d')", "SELECT 'x%%' -- it's"),
)


class OracleTests(DatabaseOracle):
    prefix = "sqlite"

    def setUp(self) -> None:
        super().setUp()
        connection = sqlite3.connect(self.folder / "t.db")
        connection.execute("CREATE TABLE t (k, v)")
        connection.executemany(
            "INSERT INTO t VALUES (?, ?)", self.rows(None, 5, 2.5, 1e40, b"blob")
        )
        connection.commit()
        connection.close()

    def text(self) -> str:
        query = self.random.choice(_QUERIES)
        lines = (f"dbpath = {self.folder}/t.db", f"query = {query}", *self.settings())
        return "\n".join(lines) + "\n"

    def test_same_answers(self) -> None:
        """
        Both give the same answers to the same keys.
        """
        questions = self.compare(SqliteType(), ROUNDS, self.text)
        asked(questions)
        self.assertGreater(questions, 5000)
