"""
C{redis:} tables, with a real Redis.
"""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.database_servers import Server, program
from tests.table_contract import TableContract, context
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.maps import redis
from txmta.maps.redis import RedisType
from txmta.maps.resp import command

#: Of the server.
PASSWORD = "it's"


class Redis(Server):
    def __init__(self, test: SynchronousTestCase) -> None:
        self._server = program("redis-server")
        super().__init__(test)
        self.folder.chmod(0o755)
        self.socket = self.folder / "s.sock"

    #: More of its options.
    options: tuple[str, ...] = ()

    def begin(self) -> None:
        self.socket.unlink(missing_ok=True)
        command = (
            *(self._server, "--port", "0", "--unixsocket", str(self.socket)),
            *("--unixsocketperm", "777", "--save", "", "--requirepass", PASSWORD),
            *("--dir", str(self.folder), *self.options),
        )
        self.start(command, self.socket)

    def fill(self, *commands: str) -> None:
        """
        @param commands: with blanks between their words.
        """
        with socket.socket(socket.AF_UNIX) as made:
            made.connect(str(self.socket))
            made.settimeout(20)
            for words in (f"AUTH {PASSWORD}", *commands):
                made.sendall(command(word.encode() for word in words.split(" ")))
                answer = made.recv(4096)
                assert not answer.startswith(b"-"), (words, answer)


class RedisCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Redis(self)
        self.server.begin()
        self.server.fill("SET key value", "RPUSH two a b", "SADD domains r.test")

    def open(self, text: str = "query = GET %s", hosts: str = "") -> ITable:
        cf = Path(self.mktemp()).absolute()
        hosts = hosts or f"unix:{self.server.socket}"
        cf.write_text(f"hosts = {hosts}\npassword = {PASSWORD}\n{text}\n")
        return RedisType().open(str(cf), context(f"redis:{cf}"))


class ContractTests(TableContract, RedisCase):
    def make_table(self) -> ITable:
        return self.open()

    def make_type(self) -> RedisType:
        return RedisType()


class RedisTests(RedisCase):
    def test_values(self) -> None:
        """
        One value, several, none; tests; what is in other databases.
        """
        self.server.fill(
            *("HSET h u@d.com mbox", "SET \u00e9 \u00fc", "SET e ", "SADD e:s x"),
            *("SET a\r\nb:1 broken", "SET a\u00a0b c"),
            *("SELECT 3", "SET key third"),
        )
        table = self.open()
        self.assertEqual(table.lookup("KEY"), "value")
        self.assertEqual(table.lookup("\u00c9"), "\u00fc")
        for key in ("other", "e", "a\0b", "\udcff", "", "key\r\nDEL key", "x GET key"):
            self.assertIsNone(table.lookup(key), key)
        for text, key, wanted in (
            ("query = LRANGE %s 0 -1", "two", "a,b"),
            ("query = LRANGE %s 0 -1\nresult_format = [%s]", "two", "[a],[b]"),
            ("query = MGET %s none %u", "key", "value,value"),
            ("query = HGET h %u@%d", "U@D.com", "mbox"),
            ("query = HGET h %u@%d", "u", None),
            ("query = SISMEMBER domains %s", "r.test", "1"),
            ("query = SISMEMBER domains %s", "other", None),
            ("query = SMEMBERS nothing", "x", None),
            ("query = GET %u\ndomain = d.com", "key@d.com", "value"),
            ("query = GET %u\ndomain = d.com", "key@x.com", None),
            ("query = GET %s\ndbname = 3", "key", "third"),
        ):
            self.assertEqual(self.open(text).lookup(key), wanted, text)

    def test_trouble(self) -> None:
        """
        Wrong kinds of values, limits, a wrong password, no server: "cannot
        say". A server that is back is asked.
        """
        table = self.open()
        self.assertRaises(TableUnavailable, table.lookup, "two")
        self.assertEqual(table.lookup("key"), "value")
        for text, key in (
            ("query = LRANGE %s 0 -1\nexpansion_limit = 1", "two"),
            ("query = GET", "x"),
            ("query = GET %s\nuser = nobody", "key"),
            ("query = GET %s\ndbname = 999", "key"),
        ):
            self.assertRaises(TableUnavailable, self.open(text).lookup, key)
        second = self.open(hosts=f"/no.sock unix:{self.server.socket}")
        self.assertEqual(second.lookup("key"), "value")
        self.server.stop()
        self.assertRaises(TableUnavailable, table.lookup, "key")
        self.server.begin()
        self.server.fill("SET key again")
        self.assertEqual(table.lookup("key"), "again")

    def test_too_much(self) -> None:
        """
        How long an answer may take, how large it may be; afterwards there is
        a new connection.
        """
        self.server.fill(f"SET big {'x' * 2_000_000}", "SET nul a\0b")
        table = self.open()
        self.assertRaises(TableUnavailable, table.lookup, "big")
        self.assertRaises(TableUnavailable, table.lookup, "nul")
        self.assertEqual(table.lookup("key"), "value")
        self.patch(redis, "LONGEST", 0.3)
        self.server.fill("CLIENT PAUSE 1000 ALL")
        self.assertRaises(TableUnavailable, table.lookup, "key")
