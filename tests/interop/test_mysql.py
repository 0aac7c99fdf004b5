"""
C{mysql:} tables, with a real MariaDB; asked by us and by Postfix's
C{postmap -q}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.database_oracle import DatabaseOracle
from tests.interop.mariadb import MariaDb, missing
from tests.support import SLICE, asked
from tests.table_contract import TableContract, context
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable
from txmta.maps import mysql
from txmta.maps.mysql import MysqlType

QUERY = "query = SELECT v FROM t WHERE k = '%s'\n"

#: Tables; each is asked for all keys.
ROUNDS = 45 if SLICE else 200

_TABLE = "CREATE TABLE t (k varchar(200), v varchar(200), w int)"
_QUERIES = (
    *("SELECT v FROM t WHERE k = '%s'", "SELECT '%s'", 'SELECT "%u|%d"'),
    *("SELECT CONCAT('%1.%2', '%U')", "SELECT v FROM t WHERE k LIKE '%%%d'"),
    *("SELECT '%D' UNION SELECT '%3'", "SELECT '''%u'''", "SELECT '%%%S'"),
    *("SELECT v, k FROM t", "SELECT NULL", "SELECT 1.5, '%s'", "CALL p('%s')"),
    *("SELECT v FROM t WHERE k IN ('%u@%d', '%d')", "SELECT 'x%%' -- it's"),
    *("SELECT 'a\\\\'%s\\\\n' # it's", "SELECT /* ' */ `k` FROM t WHERE v = '%u'"),
)


class MysqlCase(SynchronousTestCase):
    if missing():
        skip = missing()

    options: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.server = MariaDb(self, *self.options)
        self.server.begin()
        self.server.fill(
            _TABLE,
            "INSERT INTO t VALUES ('key','value',NULL), ('two','a',1), ('two','b',2),"
            "('u@d.com','mbox',NULL), ('\u00e9','\u00fc',NULL), ('e','',NULL)",
        )

    def open(self, text: str = QUERY, hosts: str = "") -> ITable:
        cf = Path(self.mktemp()).absolute()
        cf.write_text(f"{self.server.settings(hosts)}{text}\n")
        return MysqlType().open(str(cf), context(f"mysql:{cf}"))


class ContractTests(TableContract, MysqlCase):
    def make_table(self) -> ITable:
        return self.open()

    def make_type(self) -> MysqlType:
        return MysqlType()


class MysqlTests(MysqlCase):
    def test_all(self) -> None:
        """
        Answers, no answers, and what cannot be said, from one server.
        """
        table = self.open("query = SELECT v, w FROM t WHERE k = '%s'")
        self.assertEqual(table.lookup("KEY"), "value")
        self.assertEqual(table.lookup("two"), "a,1,b,2")
        self.assertEqual(table.lookup("\u00c9"), "\u00fc")
        for key in ("other", "a\0b", "\udcff", "", "x' OR '1'='1", "\\", "\\' OR 1#"):
            self.assertIsNone(table.lookup(key), key)
        self.procedures()
        self.trouble()
        self.backslashes()
        self.restart(table)

    def procedures(self) -> None:
        """
        A procedure has one result set, or none if that is allowed.
        """
        self.server.fill(
            "CREATE PROCEDURE p(x text) SELECT v FROM t WHERE k = x",
            "CREATE PROCEDURE p2(x text) BEGIN SELECT x; SELECT x; END",
            "CREATE PROCEDURE p0(x text) SET @x = x",
        )
        self.assertEqual(self.open("query = CALL p('%s')").lookup("key"), "value")
        for name in ("p2", "p0"):
            table = self.open(f"query = CALL {name}('%s')")
            error = self.assertRaises(TableUnavailable, table.lookup, "key")
            self.assertIn("result set", error.reason)
        none = "query = CALL p0('%s')\nrequire_result_set = no"
        self.assertIsNone(self.open(none).lookup("key"))

    def trouble(self) -> None:
        for query in ("SELECT x FROM t", "SELECT", "DO 1", "SELECT 1; SELECT 2"):
            table = self.open(f"query = {query}")
            self.assertRaises(TableUnavailable, table.lookup, "k")
        limited = self.open("query = SELECT v FROM t\nexpansion_limit = 1")
        self.assertRaises(TableUnavailable, limited.lookup, "k")
        self.assertRaises(ConfigError, self.open, "query = SELECT N'%s'")
        secret = self.open(f"{QUERY}tls_ciphers = HIGH")
        error = self.assertRaises(TableUnavailable, secret.lookup, "key")
        self.assertIn("SSL", error.reason)
        table = self.open("query = SELECT 'v'", f"/no.sock unix:{self.server.socket}")
        self.assertEqual(table.lookup("k"), "v")

    def test_too_much(self) -> None:
        """
        How long an answer may take, and how many values it may have.
        """
        self.patch(mysql, "LONGEST", 1)
        slow = self.open("query = SELECT v FROM t WHERE SLEEP(3) = 0")
        self.assertRaises(TableUnavailable, slow.lookup, "k")
        self.patch(mysql, "MAX_VALUES", 1)
        many = self.open()
        self.assertRaises(TableUnavailable, many.lookup, "two")
        self.assertEqual(many.lookup("key"), "value")

    def backslashes(self) -> None:
        """
        Where the server takes no backslash for an escape, nothing is one.
        """
        evil = "x\\' or 1=1 -- "
        mode = "SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES'"
        self.server.fill_as_root(mode)
        table = self.open()
        self.assertIsNone(table.lookup(evil))
        self.assertEqual(self.open("query = SELECT '%s'").lookup(evil), evil)
        self.server.fill_as_root("SET GLOBAL sql_mode = ''")
        self.assertIsNone(self.open().lookup(evil))
        self.assertEqual(self.open("query = SELECT '%s'").lookup(evil), evil)

    def restart(self, table: ITable) -> None:
        """
        A server that is gone is "cannot say"; one that is back is asked.
        """
        self.server.stop()
        self.assertRaises(TableUnavailable, table.lookup, "key")
        self.server.begin()
        self.assertEqual(table.lookup("key"), "value")


class OracleTests(DatabaseOracle):
    """
    Postfix before 3.9 leaves the character set to its library: the server
    does not ask here.
    """

    if missing():
        skip = missing()

    prefix = "mysql"

    def setUp(self) -> None:
        super().setUp()
        self.server = MariaDb(
            self,
            *("--skip-networking", "--skip-character-set-client-handshake"),
            *("--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin"),
        )
        self.server.begin()
        self.server.fill(
            _TABLE, "CREATE PROCEDURE p(x text) SELECT v FROM t WHERE k = x"
        )
        self.server.fill_rows("t", self.rows(None, 5, 2.5))

    def text(self) -> str:
        lines = (f"query = {self.random.choice(_QUERIES)}", *self.settings())
        return self.server.settings() + "\n".join(lines) + "\n"

    def test_same_answers(self) -> None:
        """
        Both give the same answers to the same keys.
        """
        questions = self.compare(MysqlType(), ROUNDS, self.text)
        asked(questions)
        self.assertGreater(questions, 5000)
