"""
C{pgsql:} tables, with a real PostgreSQL; asked by us and by Postfix's
C{postmap -q}.
"""

from __future__ import annotations

import glob
import signal
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.database_oracle import DatabaseOracle
from tests.interop.database_servers import Server, program
from tests.support import SLICE, asked
from tests.table_contract import context
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable
from txmta.maps.pgsql import PgsqlType, host_parameters

#: Tables; each is asked for all keys.
ROUNDS = 45 if SLICE else 200

_QUERIES = (
    *("SELECT v FROM t WHERE k = '%s'", "SELECT '%s'", "SELECT '%u|%d'"),
    *("SELECT '%1.%2' || '%U'", "SELECT v FROM t WHERE k LIKE '%%%d'"),
    *("SELECT '%D' UNION SELECT '%3'", "SELECT '''%u'''", "SELECT '%%%S'"),
    *("SELECT v, k FROM t", "SELECT NULL", "SELECT 1.50, '%s', true", ""),
    *("SELECT v FROM t WHERE k IN ('%u@%d', '%d')", "SELECT 'x%%' -- it's"),
    *("SELECT $q$ '%%' $q$ || '%s'", "SELECT \"k\" FROM t WHERE v = '%u'", ""),
)


def missing() -> str:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "not installed: psycopg"
    return ""


class Postgres(Server):
    signal = signal.SIGINT

    def __init__(self, test: SynchronousTestCase) -> None:
        folders = glob.glob("/usr/lib/postgresql/*/bin")
        self._postgres = program("postgres", *folders)
        initdb = program("initdb", *folders)
        super().__init__(test)
        self._data = self.folder / "data"
        self.run(
            *(initdb, "-D", str(self._data), "-U", "mail", "-A", "trust"),
            *("--no-sync", "-E", "UTF8", "--locale=C"),
        )

    def begin(self) -> None:
        command = (
            *(self._postgres, "-D", str(self._data), "-k", str(self.folder)),
            *("-c", "listen_addresses=", "-c", "fsync=off"),
        )
        self.start(command, self.folder / ".s.PGSQL.5432")

    def fill(self, sql: str) -> None:
        import psycopg

        end = time.monotonic() + 30
        while True:
            try:
                with psycopg.connect(
                    host=str(self.folder), user="mail", dbname="postgres"
                ) as connection:
                    connection.execute(sql.encode())
                return
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)


class HostTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """
        All forms of pgsql_table(5).
        """
        for item, wanted in (
            ("h", {"host": "h"}),
            ("inet:h:1", {"host": "h", "port": "1"}),
            ("h:1", {"host": "h", "port": "1"}),
            ("[::1]:1", {"host": "::1", "port": "1"}),
            ("unix:/run/x", {"host": "/run/x"}),
            ("/run/.s.PGSQL.7", {"host": "/run", "port": "7"}),
            ("postgresql://u@h/d", {"conninfo": "postgresql://u@h/d"}),
        ):
            self.assertEqual(host_parameters(item), wanted)


class PgsqlTests(SynchronousTestCase):
    if missing():
        skip = missing()

    def setUp(self) -> None:
        self.server = Postgres(self)
        self.server.begin()
        self.server.fill(
            "CREATE TABLE t (k text, v text, w int);"
            "INSERT INTO t VALUES ('key','value',NULL), ('two','a',1), ('two','b',2),"
            "('u@d.com','mbox',NULL), ('\u00e9','\u00fc',NULL), ('e','',NULL);"
            "CREATE FUNCTION f(x text) RETURNS text LANGUAGE sql AS "
            "'SELECT ''f:'' || x'"
        )

    def open(self, text: str, hosts: str = "") -> ITable:
        cf = Path(self.mktemp()).absolute()
        hosts = hosts or f"unix:{self.server.folder}"
        cf.write_text(f"hosts = {hosts}\nuser = mail\ndbname = postgres\n{text}\n")
        return PgsqlType().open(str(cf), context(f"pgsql:{cf}"))

    def test_all(self) -> None:
        """
        Answers, no answers, and what cannot be said, from one server.
        """
        table = self.open("query = SELECT v, w FROM t WHERE k = '%s'")
        self.assertEqual(table.lookup("KEY"), "value")
        self.assertEqual(table.lookup("two"), "a,1,b,2")
        self.assertEqual(table.lookup("\u00c9"), "\u00fc")
        for key in ("other", "e", "a\0b", "\udcff", "", "x' OR '1'='1", "\\"):
            self.assertIsNone(table.lookup(key), key)
        self.templates()
        self.trouble()
        self.restart(table)

    def templates(self) -> None:
        for query, key, wanted in (
            ("SELECT v FROM t WHERE k = '%u' || '@' || '%d'", "u@d.com", "mbox"),
            ("SELECT '%u'::text, %d, '100%%'", "u@d.com", "u,d.com,100%"),
            ("SELECT v FROM t WHERE k LIKE '%%%d'", "x@d.com", "mbox"),
            ("SELECT true, 1.50", "k", "t,1.50"),
            ("SELECT v FROM t WHERE w = '%s'", "2", "b"),
        ):
            self.assertEqual(self.open(f"query = {query}").lookup(key), wanted)
        self.assertEqual(self.open("select_function = f").lookup("k'k"), "f:k'k")

    def trouble(self) -> None:
        for query in ("SELECT x FROM t", "SELECT", "SET x.y = 1", "SELECT pg_sleep(9)"):
            table = self.open(f"query = {query}")
            self.assertRaises(TableUnavailable, table.lookup, "k")
        limited = self.open("query = SELECT v FROM t\nexpansion_limit = 1")
        self.assertRaises(TableUnavailable, limited.lookup, "k")
        self.assertRaises(ConfigError, self.open, 'query = SELECT "%s"')
        table = self.open("query = SELECT 'v'", f"/nowhere {self.server.folder}")
        self.assertEqual(table.lookup("k"), "v")

    def restart(self, table: ITable) -> None:
        """
        A server that is gone is "cannot say"; one that is back is asked.
        """
        self.server.stop()
        self.assertRaises(TableUnavailable, table.lookup, "key")
        self.server.begin()
        self.server.fill("SELECT 1")
        self.assertEqual(table.lookup("key"), "value")


class OracleTests(DatabaseOracle):
    """
    In ASCII: Postfix before 3.8 takes its keys for Latin 1.
    """

    if missing():
        skip = missing()

    prefix = "pgsql"

    def setUp(self) -> None:
        super().setUp()
        self.server = Postgres(self)
        self.server.begin()
        self.keys = [key for key in self.keys if key.isascii()]
        values = ",".join(
            f"({quoted(key)}, {'NULL' if value is None else quoted(str(value))})"
            for key, value in self.rows(None, 5, 2.5)
            if str(value).isascii()
        )
        self.server.fill(
            f"CREATE TABLE t (k text, v text); INSERT INTO t VALUES {values};"
            "CREATE FUNCTION f(x text) RETURNS SETOF text LANGUAGE sql AS "
            "'SELECT v FROM t WHERE k = x ORDER BY v'"
        )

    def text(self) -> str:
        query = self.random.choice(_QUERIES)
        lines = [
            f"hosts = unix:{self.server.folder}",
            "user = mail\ndbname = postgres",
            f"query = {query}" if query else "select_function = f",
            *self.settings(),
        ]
        return "\n".join(lines) + "\n"

    def test_same_answers(self) -> None:
        """
        Both give the same answers to the same keys.
        """
        questions = self.compare(PgsqlType(), ROUNDS, self.text)
        asked(questions)
        self.assertGreater(questions, 5000)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
