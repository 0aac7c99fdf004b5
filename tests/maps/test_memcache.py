"""
Tests of L{txmta.maps.memcache}.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.maps.test_asking import Net
from tests.table_contract import TableContract, context
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable
from txmta.maps import memcache
from txmta.maps.asking import NetworkTable
from txmta.maps.memcache import (
    Limits,
    MemcacheCodec,
    MemcacheReader,
    MemcacheType,
)
from txmta.maps.server import FORBIDDEN
from txmta.maps.wire import Answer

LIMITS = Limits(line=80, data=10)


class ReaderTests(SynchronousTestCase):
    def test_answers(self) -> None:
        """
        Whole, cut in two, and octet by octet.
        """
        for data, wanted in (
            (b"END\r\n", Answer(None)),
            (b"STORED\r\n", Answer(None)),
            (b"VALUE k 0 1\r\nv\r\nEND\r\n", Answer("v")),
            (b"VALUE k 5 0 99\r\n\r\nEND\r\n", Answer("")),
            (b"VALUE k 0 6\r\n\r\nEND\xff\r\nEND\r\n", Answer("\r\nEND\udcff")),
            (b"SERVER_ERROR out\r\n", Answer(None, "SERVER_ERROR out")),
        ):
            self.assertEqual(MemcacheReader(LIMITS).feed(data), wanted)
            for n in range(1, len(data)):
                reader = MemcacheReader(LIMITS)
                self.assertIsNone(reader.feed(data[:n]))
                self.assertEqual(reader.feed(data[n:]), wanted)
            reader = MemcacheReader(LIMITS)
            for n in range(len(data) - 1):
                self.assertIsNone(reader.feed(data[n : n + 1]))
            self.assertEqual(reader.feed(data[-1:]), wanted)

    def test_bad(self) -> None:
        """
        What is no answer, too long, or more than one.
        """
        for data in (
            *(b"hello\r\n", b"VALUE k 0\r\n", b"VALUE k 0 -1\r\n", b"x" * 81),
            *(b"VALUE k 0 11\r\n", b"VALUE k 0 1\r\nvEND\r\n", b"END\r\nEND\r\n"),
            *(b"VALUE k 0 1\r\nv\r\nEND\r\nx", b"VALUE k 0 1\r\n\0\r\nEND\r\n"),
            b"VALUE k 0 1\r\nv\r\nVALUE l 0 1\r\nw\r\nEND\r\n",
        ):
            self.assertRaises(ValueError, MemcacheReader(LIMITS).feed, data)

    def test_requests(self) -> None:
        """
        A key is one word, and not too long; a value can be anything.
        """
        codec = MemcacheCodec(Limits(3, 60, 80, 10))
        self.assertEqual(codec.request("k\u00e9"), "get k\u00e9\r\n".encode())
        self.assertEqual(codec.request("k a b\r\n"), b"set k 3 60 5\r\na b\r\n\r\n")
        for key in ("", " ", " x", "a\r\nget b", "a\tb", "x" * 251):
            self.assertIsNone(codec.request(key), key)
        self.assertRaises(ValueError, codec.request, "k " + "x" * 11)


@implementer(ITable)
class Behind:
    """
    @ivar answer: to everything.
    """

    def __init__(self) -> None:
        self.answer: Any = "behind"
        self.asked: list[str] = []

    def lookup(self, key: str) -> Any:
        self.asked.append(key)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class MemcacheCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.net = Net()
        self.behind = Behind()

        def make(spec: str, codec: Any, address: object, *rest: float) -> ITable:
            self.address = str(address)
            return NetworkTable(spec, codec, self.net.connect, self.net.clock, rest[1])

        self.patch(memcache, "make_table", make)

    def open(self, text: str = "", parameter: str = "test_maps") -> ITable:
        cf = Path(self.mktemp()).absolute()
        cf.write_text(text)
        given = replace(
            context(f"memcache:{cf}"),
            open_table=lambda item: self.behind,
            parameter=parameter,
        )
        return MemcacheType().open(str(cf), given)

    def ask(self, table: ITable, key: str) -> Deferred[str | None]:
        answer = table.lookup(key)
        assert isinstance(answer, Deferred)
        while self.net.calls:
            self.net.accept()
        return answer

    def say(self, data: bytes) -> None:
        self.net.protocols[-1].dataReceived(data)


class ContractTests(TableContract, MemcacheCase):
    def make_table(self) -> ITable:
        return self.open()

    def make_type(self) -> MemcacheType:
        return MemcacheType()

    def ask(self, table: Any, key: str) -> Any:
        answer = table.lookup(key)
        if not isinstance(answer, Deferred):
            return answer
        if self.net.calls:
            self.net.accept()
        found = self.net.take() == b"get key\r\n"
        self.say(b"VALUE key 0 5\r\nvalue\r\nEND\r\n" if found else b"END\r\n")
        return self.successResultOf(answer)


class LookupTests(MemcacheCase):
    def test_key(self) -> None:
        """
        key_format and domain say what is asked for; a key that no server can
        have is not.
        """
        table = self.open("key_format = a:%u:%1\ndomain = d.com\n")
        answer = self.ask(table, "U@D.com")
        self.assertEqual(self.net.take(), b"get a:u:com\r\n")
        self.say(b"END\r\n")
        self.assertIsNone(self.successResultOf(answer))
        for key in ("u", "@d.com", "u@x.com", "u v@d.com", ""):
            self.assertIsNone(table.lookup(key), key)

    def test_kept(self) -> None:
        """
        What the server has is not asked for elsewhere.
        """
        answer = self.ask(self.open("backup = x:y\n"), "k")
        self.say(b"VALUE k 0 1\r\nv\r\nEND\r\n")
        self.assertEqual(self.successResultOf(answer), "v")
        self.assertEqual(self.behind.asked, [])

    def test_put_in(self) -> None:
        """
        What the table behind has is put in, and nobody waits for that.
        """
        table = self.open("backup = x:y\nkey_format = a:%s\nttl = 60\nflags = 5\n")
        answer = self.ask(table, "k")
        self.net.take()
        self.say(b"END\r\n")
        self.assertEqual(self.successResultOf(answer), "behind")
        self.assertEqual(self.behind.asked, ["k"])
        self.assertEqual(self.net.take(), b"set a:k 5 60 6\r\nbehind\r\n")
        self.say(b"SERVER_ERROR full\r\n")
        self.behind.answer = Deferred()
        answer = self.ask(table, "k")
        self.say(b"END\r\n")
        self.assertNoResult(answer)
        self.net.take()
        self.behind.answer.callback("later")
        self.assertEqual(self.successResultOf(answer), "later")
        self.assertEqual(self.net.take(), b"set a:k 5 60 5\r\nlater\r\n")

    def test_not_kept(self) -> None:
        """
        Nothing is put in that is not there, or is too long.
        """
        table = self.open("backup = x:y\ndata_size_limit = 3\n")
        for found in (None, "long"):
            self.behind.answer = found
            answer = self.ask(table, "k")
            self.net.take()
            self.say(b"END\r\n")
            self.assertEqual(self.successResultOf(answer), found)
            self.assertEqual(self.net.take(), b"")

    def test_no_server(self) -> None:
        """
        Without a server the table behind answers; without that, nobody can
        say. What the table behind cannot say, nobody can.
        """
        table = self.open("backup = x:y\ntimeout = 2\n")
        answer = self.ask(table, "k")
        self.net.clock.advance(2)
        self.assertEqual(self.successResultOf(answer), "behind")
        self.behind.answer = TableUnavailable("x:y", "down")
        answer = self.ask(table, "k")
        self.say(b"nonsense\r\n")
        self.failureResultOf(answer, TableUnavailable)
        alone = self.ask(self.open(), "k")
        self.say(b"nonsense\r\n")
        self.failureResultOf(alone, TableUnavailable)
        gone = self.open("backup = x:y\n")
        refused = gone.lookup("k")
        assert isinstance(refused, Deferred)
        self.behind.answer = "behind"
        while self.net.calls:
            self.net.refuse()
        self.assertEqual(self.successResultOf(refused), "behind")
        # It is not even tried for a moment.
        self.assertEqual(gone.lookup("k"), "behind")

    def test_settings(self) -> None:
        """
        All that is wrong is told at once; commands, files and owners are not
        taken from such a table.
        """
        error = self.assertRaises(
            ConfigError,
            self.open,
            "memcache = inet:x\nkey_format = %q\nttl = x\nflags = -1\nmax_try = 0\n"
            "retry_pause = x\ntimeout = 0\nline_size_limit = 1\ndata_size_limit = 0\n",
        )
        found = "; ".join(error.problems)
        for name in (
            *("memcache", "key_format", "ttl", "flags", "max_try", "retry_pause"),
            *("timeout", "line_size_limit", "data_size_limit"),
        ):
            self.assertIn(f" {name}: ", found)
        for parameter in FORBIDDEN:
            self.assertRaises(ConfigError, self.open, "", parameter)
        self.open()
        self.assertEqual(self.address, "localhost:11211")
        self.open("memcache = unix:/run/m\n")
        self.assertEqual(self.address, "/run/m")
