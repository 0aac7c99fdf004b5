"""
C{memcache:} tables, with a real memcached; asked by us and by Postfix's
C{postmap -q}.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.database_oracle import DOMAINS, DatabaseOracle
from tests.interop.database_servers import Server, program
from tests.support import SLICE, asked
from tests.table_contract import context
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.maps.context import TableContext
from txmta.maps.memcache import MemcacheType
from txmta.maps.static import StaticType

#: Tables; each is asked for all keys.
ROUNDS = 45 if SLICE else 200

_FORMATS = ("%s", "a:%s", "%u", "%d", "%U|%D", "%1.%2", "%%%s", "x", "%3")


class Memcached(Server):
    def __init__(self, test: SynchronousTestCase) -> None:
        self._server = program("memcached")
        super().__init__(test)
        self.folder.chmod(0o755)
        self.socket = self.folder / "s.sock"

    def begin(self) -> None:
        self.socket.unlink(missing_ok=True)
        command = (self._server, "-s", str(self.socket), "-a", "777", "-m", "16")
        self.start(command, self.socket)

    def say(self, *requests: bytes) -> list[bytes]:
        """
        @return: the beginning of each answer.
        """
        found = []
        with socket.socket(socket.AF_UNIX) as made:
            made.connect(str(self.socket))
            made.settimeout(20)
            for request in requests:
                made.sendall(request)
                found.append(made.recv(4096))
        return found

    def put(self, **values: str) -> None:
        self.say(
            *(
                b"set %s 0 0 %d\r\n%s\r\n"
                % (key.encode(), len(value.encode()), value.encode())
                for key, value in values.items()
            )
        )


class MemcacheTests(SynchronousTestCase):
    def open(self, text: str) -> ITable:
        cf = Path(self.mktemp()).absolute()
        cf.write_text(f"memcache = unix:{self.server.socket}\n{text}")
        given = context(f"memcache:{cf}")

        def open_table(item: str) -> ITable:
            return StaticType().open(item.partition(":")[2], given)

        made = TableContext(
            *(given.spec, given.parameter, given.aliases, open_table),
            *(given.seconds, given.warn),
        )
        return MemcacheType().open(str(cf), made)

    def test_all(self) -> None:
        """
        What is there, what is not, what is put in, and no server.
        """
        self.server = Memcached(self)
        self.server.begin()
        self.server.put(**{"key": "value", "a:\u00e9": "\u00fc", "big": "x" * 20000})
        table = self.open("")
        self.assertEqual(table.lookup("KEY"), "value")
        for key in ("other", "a b", "key\r\n", "x" * 300, "\udcff", "a\0"):
            self.assertIsNone(table.lookup(key), key)
        self.assertRaises(TableUnavailable, table.lookup, "big")
        self.assertEqual(table.lookup("key"), "value")
        self.assertEqual(self.open("key_format=a:%s\n").lookup("\u00c9"), "\u00fc")
        backed = self.open("backup = static:found\nttl = 100\n")
        self.assertEqual(backed.lookup("key"), "value")
        self.assertEqual(backed.lookup("new"), "found")
        self.assertIn(b"found", self.server.say(b"get new\r\n")[0])
        self.assertEqual(backed.lookup("a b"), None)
        self.server.stop()
        self.assertEqual(backed.lookup("key"), "found")
        self.assertRaises(TableUnavailable, table.lookup, "key")
        self.server.begin()
        self.assertIsNone(table.lookup("key"))


class OracleTests(DatabaseOracle):
    prefix = "memcache"

    def setUp(self) -> None:
        super().setUp()
        self.server = Memcached(self)
        self.server.begin()
        rows = {
            re.sub(r"\s", "", f"{mark}{key}"): str(value)
            for mark in ("", "a:", "%")
            for key, value in self.rows()
        }
        rows |= {"com.ex": "1", "x": "2", "c.b": "3", "a|b.c": "4"}
        self.server.put(**rows)

    def text(self) -> str:
        choice = self.random.choice
        lines = [f"memcache = unix:{self.server.socket}"]
        if self.random.random() < 0.7:
            lines.append(f"key_format = {choice(_FORMATS)}")
        if self.random.random() < 0.3:
            lines.append(f"domain = {choice(DOMAINS[:3])}, ex.com")
        return "\n".join(lines) + "\n"

    def test_same_answers(self) -> None:
        """
        Both give the same answers to the same keys.
        """
        questions = self.compare(MemcacheType(), ROUNDS, self.text)
        asked(questions)
        self.assertGreater(questions, 5000)
