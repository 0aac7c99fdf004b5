"""
Tests of L{txmta.maps.sqlite} and L{txmta.maps.database}.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.table_contract import TableContract, context
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable
from txmta.maps import sqlite
from txmta.maps.context import Manner, Ways
from txmta.maps.sqlite import SqliteType

QUERY = "query = SELECT v FROM t WHERE k = '%s'\n"


class SqliteCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.cf = folder / "t.cf"
        self.path = folder / "a b?.db"
        self.warnings: list[str] = []
        self.fill(self.path, ("key", "value"), ("two", "a"), ("two", "b"))

    def fill(self, path: Path, *rows: tuple[object, object]) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t (k, v)")
            connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.close()

    def open(self, text: str = QUERY, dbpath: bool = True) -> ITable:
        self.cf.write_text(f"dbpath = {self.path}\n{text}" if dbpath else text)
        spec = f"sqlite:{self.cf}"
        given = context(spec, warn=self.warnings.append)
        return SqliteType().open(str(self.cf), given)

    def problems(self, text: str, dbpath: bool = True) -> str:
        error = self.assertRaises(ConfigError, self.open, text, dbpath)
        return "; ".join(error.problems)


class ContractTests(TableContract, SqliteCase):
    def make_table(self) -> ITable:
        return self.open()

    def make_type(self) -> SqliteType:
        return SqliteType()


class LookupTests(SqliteCase):
    def test_values(self) -> None:
        """
        All rows, of the first column; numbers as SQLite writes them.
        """
        self.fill(self.path, ("i", 5), ("r", 1e100), ("b", b"x\xff"), ("n", None))
        table = self.open("query = SELECT v, k FROM t WHERE k = '%s'\n")
        self.assertEqual(table.lookup("two"), "a,b")
        self.assertEqual(table.lookup("i"), "5")
        self.assertEqual(table.lookup("r"), "1.0e+100")
        self.assertEqual(table.lookup("b"), "x\udcff")
        self.assertIsNone(table.lookup("n"))

    def test_folded(self) -> None:
        """
        Keys are folded.
        """
        self.assertEqual(self.open().lookup("KEY"), "value")

    def test_not_folded(self) -> None:
        """
        Nor are they where nobody wants it (postmap -f).
        """
        self.fill(self.path, ("KEY", "upper"))
        self.cf.write_text(f"dbpath = {self.path}\n{QUERY}")
        ways = Ways(manner=Manner(fold=str))
        given = replace(context("sqlite:x"), ways=ways)
        table = SqliteType().open(str(self.cf), given)
        self.assertEqual(table.lookup("KEY"), "upper")
        self.assertEqual(table.lookup("key"), "value")

    def test_never_sql(self) -> None:
        """
        Quotes in a key are a part of it, wherever the expansion stands.
        """
        evil = "x' or '1'='1"
        for quoted in ("'%s'", "%s", '"%s"', "'%u'"):
            table = self.open(f"query = SELECT v FROM t WHERE k = {quoted}\n")
            self.assertIsNone(table.lookup(evil))
            self.assertIsNone(table.lookup("0 OR 1=1"))
        self.fill(self.path, (evil, "found"))
        self.assertEqual(self.open().lookup(evil.upper()), "found")

    def test_limit(self) -> None:
        """
        More than expansion_limit is "cannot say".
        """
        table = self.open(f"{QUERY}expansion_limit = 1\n")
        self.assertEqual(table.lookup("key"), "value")
        error = self.assertRaises(TableUnavailable, table.lookup, "two")
        self.assertIn("Expansion limit exceeded for key 'two'", error.reason)

    def test_domain(self) -> None:
        """
        With domain only addresses in it are asked for.
        """
        self.fill(self.path, *((k, "v") for k in ("a@b.c", "@b.c", "b.c", "a@x.y")))
        table = self.open(f"{QUERY}domain = b.c, d.e\n")
        self.assertEqual(table.lookup("A@B.C"), "v")
        for key in ("@b.c", "b.c", "a@x.y", "key", "a@d.e", "a@"):
            self.assertIsNone(table.lookup(key), key)

    def test_domain_table_later(self) -> None:
        """
        The domain may be in a table that answers later.
        """
        later: Deferred[str | None] = Deferred()

        @implementer(ITable)
        class Later:
            def lookup(self, key: str) -> Deferred[str | None]:
                return later

        self.fill(self.path, ("a@b.c", "v"))
        self.cf.write_text(f"dbpath = {self.path}\n{QUERY}domain = x:y\n")
        given = replace(context("sqlite:x"), open_table=lambda item: Later())
        table = SqliteType().open(str(self.cf), given)
        answer = table.lookup("a@b.c")
        assert isinstance(answer, Deferred)
        self.assertNoResult(answer)
        later.callback("yes")
        self.assertEqual(self.successResultOf(answer), "v")

    def test_read_only(self) -> None:
        """
        Nothing can be written.
        """
        table = self.open("query = INSERT INTO t VALUES ('%s', 1) RETURNING 1\n")
        self.assertRaises(TableUnavailable, table.lookup, "new")
        self.assertIsNone(self.open().lookup("new"))

    def test_legacy(self) -> None:
        """
        select_field and the others make a query.
        """
        parts = "select_field = v\ntable = t\nwhere_field = k\n"
        self.assertEqual(self.open(parts).lookup("key"), "value")
        none = f"{parts}additional_conditions = AND v = 'x'\n"
        self.assertIsNone(self.open(none).lookup("key"))

    def test_main_cf(self) -> None:
        """
        The old form, in main.cf.
        """
        main_cf = {
            "mine_dbpath": str(self.path),
            "mine_query": "SELECT v FROM t WHERE k='%s'",
        }
        given = replace(context("sqlite:mine"), ways=Ways(defined=main_cf.get))
        self.assertEqual(SqliteType().open("mine", given).lookup("key"), "value")


class TroubleTests(SqliteCase):
    def test_wrong_settings(self) -> None:
        """
        All that is wrong is told at once, with file and name.
        """
        text = "query = SELECT '%x'\nresult_format = %q\nexpansion_limit = many\n"
        problems = self.problems(text, dbpath=False)
        for name in ("dbpath: is missing", "query: ", "result_format: ", "many"):
            self.assertIn(f"{self.cf}: ", problems)
            self.assertIn(name, problems)
        self.assertIn("query: is missing", self.problems(""))
        self.assertIn("where_field: is missing", self.problems("select_field = v\n"))
        self.assertIn("line 2", self.problems("query SELECT\n"))

    def test_no_file(self) -> None:
        """
        A file that is not there, or is no database, refuses the table; nothing
        is made.
        """
        os.unlink(self.path)
        self.assertIn("No such file", self.problems(QUERY))
        self.assertFalse(self.path.exists())
        self.path.write_bytes(b"hello" * 1000)
        self.assertIn("not a database", self.problems(QUERY))
        error = self.assertRaises(
            ConfigError, SqliteType().open, "/nowhere/x.cf", context("sqlite:x")
        )
        self.assertIn("open /nowhere/x.cf: No such file", error.problems[0])

    def test_wrong_sql(self) -> None:
        """
        Wrong SQL is told when the table is opened; it is "cannot say".
        """
        for query in ("SELECT v FROM nothing", "SELECT", "SELECT 1; SELECT 2", "?"):
            self.warnings.clear()
            table = self.open(f"query = {query}\n")
            self.assertIn("SQL prepare failed", self.warnings[0])
            self.assertRaises(TableUnavailable, table.lookup, "key")

    def test_endless(self) -> None:
        """
        A query that does not end is ended.
        """
        self.patch(sqlite, "LONGEST", 0.0)
        table = self.open(
            "query = WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c) "
            "SELECT x FROM c WHERE x < 0\n"
        )
        error = self.assertRaises(TableUnavailable, table.lookup, "key")
        self.assertIn("interrupted", error.reason)

    def test_too_many(self) -> None:
        """
        Rows are bounded in number.
        """
        self.patch(sqlite, "MAX_VALUES", 1)
        self.assertRaises(TableUnavailable, self.open().lookup, "two")

    def test_replaced(self) -> None:
        """
        A new file with the name is taken; a bad one is not, and that is told
        once.
        """
        table = self.open()
        new = self.path.with_name("new.db")
        self.fill(new, ("key", "changed"))
        new.rename(self.path)
        self.assertEqual(table.lookup("key"), "changed")
        new.write_bytes(b"hello" * 1000)
        new.rename(self.path)
        self.assertEqual(table.lookup("key"), "changed")
        self.path.unlink()
        self.assertEqual(table.lookup("key"), "changed")
        self.assertEqual(table.lookup("key"), "changed")
        self.assertEqual(len(self.warnings), 2)
        self.assertIn("using the database opened before", self.warnings[0])
        self.fill(self.path, ("key", "third"))
        self.assertEqual(table.lookup("key"), "third")

    def test_locked(self) -> None:
        """
        Somebody writes for too long: "cannot say".
        """
        self.patch(sqlite, "BUSY", 0.0)
        table = self.open()
        writer = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(writer.close)
        writer.execute("BEGIN EXCLUSIVE")
        error = self.assertRaises(TableUnavailable, table.lookup, "key")
        self.assertIn("locked", error.reason)
        writer.execute("ROLLBACK")
        self.assertEqual(table.lookup("key"), "value")
