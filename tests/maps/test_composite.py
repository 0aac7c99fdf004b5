"""
Tests of tables made of tables, of values, and of functions; and of those that
are refused.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.table_contract import TableContract
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable, ITableType
from txmta.maps.context import Ways
from txmta.maps.debug import DebugTable, DebugType
from txmta.maps.environ import EnvironTable, EnvironType
from txmta.maps.fail import FailType
from txmta.maps.inline import InlineType
from txmta.maps.pipemap import PipeTable, PipeType
from txmta.maps.python import PythonType
from txmta.maps.randmap import RandomTable, RandomType
from txmta.maps.refused import RefusedType
from txmta.maps.registry import TableRegistry
from txmta.maps.unionmap import UnionTable, UnionType

_DOWN = TableUnavailable("slow:x", "down")
_FUNCTIONS = "tests.maps.example_functions"


def open_table(item: str, parameter: str = "test_maps") -> ITable:
    """
    @return: opened as the server does.
    """
    return TableRegistry(lambda: 0.0, print).table(item, parameter)


@implementer(ITable)
class _Slow:
    """
    Answers when it is told to.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Deferred[str | None] = Deferred()

    def lookup(self, key: str) -> Deferred[str | None]:
        self.asked.append(key)
        return self.answer


class DebugTests(TableContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.lines: list[str] = []
        self.types = [DebugType(), InlineType(), FailType()]

    def make_type(self) -> ITableType:
        return DebugType()

    def make_table(self) -> ITable:
        return self.open("debug:inline:{key=value}")

    def open(self, item: str) -> ITable:
        ways = Ways(note=self.lines.append)
        registry = TableRegistry(lambda: 0.0, print, types=self.types, ways=ways)
        return registry.table(item, "test_maps")

    def test_told(self) -> None:
        """
        Each question has a line, whatever comes of it.
        """
        table = self.make_table()
        table.lookup("key")
        table.lookup("other")
        failing = self.open("debug:fail:x")
        self.assertRaises(TableUnavailable, failing.lookup, "key")
        self.assertEqual(
            self.lines,
            [
                'inline:{key=value} lookup: "key" = "value"',
                'inline:{key=value} lookup: "other" = "not_found"',
                'fail:x lookup: "key" = "error"',
            ],
        )

    def test_later(self) -> None:
        """
        A table that takes its time is told of when it has answered.
        """
        for answer, told in (
            ("v", "v"),
            (None, "not_found"),
            (Failure(_DOWN), "error"),
        ):
            slow = _Slow()
            asked = DebugTable("slow:x", slow, self.lines.append).lookup("k")
            assert isinstance(asked, Deferred)
            self.assertEqual(self.lines, [])
            slow.answer.callback(answer)
            if told == "error":
                self.failureResultOf(asked, TableUnavailable)
            else:
                self.assertEqual(self.successResultOf(asked), answer)
            self.assertEqual(self.lines.pop(), f'slow:x lookup: "k" = "{told}"')


class InternalTests(SynchronousTestCase):
    def test_empty(self) -> None:
        self.assertIsNone(open_table("internal:x").lookup("key"))


class UnionTests(TableContract, SynchronousTestCase):
    def make_type(self) -> ITableType:
        return UnionType()

    def make_table(self) -> ITable:
        return open_table("unionmap:{inline:{key=value}, inline:{x=y}}")

    def test_joined(self) -> None:
        """
        Values are joined in the order of the tables; an empty first value
        counts as none, as in Postfix.
        """
        for tables, value in (
            ("inline:{a=b},static:c", "b,c"),
            ("inline:{x=b},static:c", "c"),
            ("inline:{ {a = b c} } inline:{A=x}", "b c,x"),
            ("static:{},static:b", "b"),
            ("static:b,static:{}", "b,"),
            ("unionmap:{static:a,static:b},static:c", "a,b,c"),
            ("static:{},static:{}", None),
        ):
            self.assertEqual(open_table(f"unionmap:{{{tables}}}").lookup("A"), value)

    def test_later(self) -> None:
        """
        A table that answers later does not change the order.
        """
        slow = _Slow()
        tables = [open_table("static:a"), slow, open_table("static:c")]
        answer = UnionTable(tables).lookup("key")
        assert isinstance(answer, Deferred)
        self.assertNoResult(answer)
        slow.answer.callback("b")
        self.assertEqual(self.successResultOf(answer), "a,b,c")

    def test_unavailable(self) -> None:
        """
        One table that cannot say is enough, first, last, or later.
        """
        for tables in ("fail:a,static:b", "static:b,fail:a"):
            table = open_table(f"unionmap:{{{tables}}}")
            self.assertRaises(TableUnavailable, table.lookup, "key")
        slow = _Slow()
        answer = UnionTable([open_table("static:a"), slow]).lookup("key")
        assert isinstance(answer, Deferred)
        slow.answer.errback(TableUnavailable("x", "y"))
        self.failureResultOf(answer, TableUnavailable)

    def test_syntax(self) -> None:
        """
        Postfix's words.
        """
        for kind in ("unionmap", "pipemap"):
            for name in (
                *("{}", "static:a", "{static:a", "{static:a} x", "{nocolon}", "{,}"),
                *("{static:a}}", "{/etc/aliases}", "{static:a}{static:b}"),
            ):
                spec = f"{kind}:{name}"
                error = self.assertRaises(ConfigError, open_table, spec)
                self.assertEqual(
                    list(error.problems),
                    [
                        f'test_maps: bad syntax: "{spec}"; '
                        f'need "{kind}:{{type:name...}}"'
                    ],
                )

    def test_all_problems(self) -> None:
        """
        All tables that cannot be opened are told at once.
        """
        error = self.assertRaises(
            ConfigError, open_table, "unionmap:{nosuch:a, static:, static:b}"
        )
        self.assertEqual(len(error.problems), 2)
        self.assertIn("unsupported dictionary type: nosuch", error.problems[0])
        self.assertEqual(
            error.problems[1],
            'test_maps: open dictionary: expecting "type:name" form instead of '
            '"static:"',
        )

    def test_depth(self) -> None:
        """
        Tables in tables in tables come to an end.
        """
        item = "static:a"
        for _ in range(10):
            item = f"unionmap:{{{item}}}"
        error = self.assertRaises(ConfigError, open_table, item)
        self.assertIn("too many tables inside each other", str(error))

    def test_aliases(self) -> None:
        """
        What stands in an alias table is one, wherever that is named.
        """
        path = Path(self.mktemp()).absolute()
        path.write_text("root: me\n")
        item = f"unionmap:{{hash:{path}}}"
        for parameter in ("alias_maps", "local_recipient_maps"):
            registry = TableRegistry(lambda: 0.0, print, aliases=[item])
            self.assertEqual(registry.table(item, parameter).lookup("root"), "me")


class PipeTests(TableContract, SynchronousTestCase):
    def make_type(self) -> ITableType:
        return PipeType()

    def make_table(self) -> ITable:
        return open_table("pipemap:{inline:{key=middle},inline:{middle=value}}")

    def test_piped(self) -> None:
        """
        A value is the key of the next table; there is an end to it where
        nothing is found, whatever comes behind.
        """
        for tables, value in (
            ("inline:{a=B},inline:{b=c}", "c"),
            ("inline:{a=d},inline:{b=c}", None),
            ("inline:{x=y},fail:x", None),
            ("static:{},static:b", "b"),
            ("static:{}", ""),
        ):
            self.assertEqual(open_table(f"pipemap:{{{tables}}}").lookup("a"), value)

    def test_later(self) -> None:
        """
        A table that answers later.
        """
        for found, expected in (("a", "b"), (None, None)):
            slow = _Slow()
            answer = PipeTable([slow, open_table("inline:{a=b}")]).lookup("key")
            assert isinstance(answer, Deferred)
            self.assertNoResult(answer)
            slow.answer.callback(found)
            self.assertEqual(self.successResultOf(answer), expected)
            self.assertEqual(slow.asked, ["key"])

    def test_unavailable(self) -> None:
        """
        A table that is asked and cannot say.
        """
        for tables in ("fail:a,static:b", "static:b,fail:a"):
            table = open_table(f"pipemap:{{{tables}}}")
            self.assertRaises(TableUnavailable, table.lookup, "key")


class RandomTests(TableContract, SynchronousTestCase):
    unknown = None

    def make_type(self) -> ITableType:
        return RandomType()

    def make_table(self) -> ITable:
        return open_table("randmap:{value}")

    def test_any(self) -> None:
        """
        Each value may come, none is preferred; braces stay, as in Postfix.
        """
        seen: list[tuple[str, ...]] = []

        def last(values: object) -> str:
            assert isinstance(values, tuple)
            seen.append(values)
            return str(values[-1])

        self.assertEqual(RandomTable(("a", "b"), last).lookup("x"), "b")
        self.assertEqual(seen, [("a", "b")])
        self.assertEqual(open_table("randmap:{ {a b},, {a b} }").lookup("x"), "{a b}")
        table = open_table("randmap:{a, b}")
        self.assertEqual({table.lookup("x") for _ in range(200)}, {"a", "b"})

    def test_syntax(self) -> None:
        """
        Postfix's words.
        """
        for name in ("{}", "a", "{a} b", "{,}", " {a}", "{a"):
            error = self.assertRaises(ConfigError, open_table, f"randmap:{name}")
            self.assertEqual(
                list(error.problems),
                [
                    f'test_maps: bad syntax: "randmap:{name}"; '
                    'need "randmap:{value...}"'
                ],
            )


class EnvironTests(TableContract, SynchronousTestCase):
    def make_type(self) -> ITableType:
        return EnvironType()

    def make_table(self) -> ITable:
        return EnvironTable({"key": "value", "KEY": "upper"})

    def test_process(self) -> None:
        """
        It is the environment of this process.
        """
        self.patch(os, "environ", {"tx": "here"})
        self.assertEqual(open_table("environ:x").lookup("TX"), "here")


class FailTests(SynchronousTestCase):
    def test_fails(self) -> None:
        """
        Neither found nor not found.
        """
        self.assertEqual(FailType().prefix, "fail")
        error = self.assertRaises(TableUnavailable, open_table("fail:x").lookup, "a")
        self.assertEqual(str(error), "table fail:x: query error: Application error")


class PythonTests(TableContract, SynchronousTestCase):
    function = "plain"

    def make_type(self) -> ITableType:
        return PythonType()

    def make_table(self) -> ITable:
        return open_table(f"python:{_FUNCTIONS}.{self.function}")


class PythonLaterTests(PythonTests):
    function = "later"


class PythonCoroutineTests(PythonTests):
    function = "coroutine"


class PythonTroubleTests(SynchronousTestCase):
    def test_cannot_say(self) -> None:
        """
        Whatever goes wrong in the function is "cannot say", in one line.
        """
        for name, reason in (
            ("broken", "LookupError: no key"),
            ("broken_later", "LookupError: no key"),
            ("octets", "gave bytes, and not str or None"),
            ("endless", "gave more than 100000 characters"),
        ):
            spec = f"python:{_FUNCTIONS}.{name}"
            table = open_table(spec)
            try:
                answer = table.lookup("key")
            except TableUnavailable as e:
                error: object = e
            else:
                assert isinstance(answer, Deferred), name
                error = self.failureResultOf(answer, TableUnavailable).value
            self.assertEqual(str(error), f"table {spec}: {reason}")

    def test_own_words(self) -> None:
        """
        A function that knows L{TableUnavailable} is believed.
        """
        table = open_table(f"python:{_FUNCTIONS}.unavailable")
        error = self.assertRaises(TableUnavailable, table.lookup, "key")
        self.assertEqual(str(error), "table sql:x: gone")

    def test_no_function(self) -> None:
        """
        Refused at start, with the reason.
        """
        for name, reason in (
            ("len", "write python:module.function"),
            ("a b.c", "write python:module.function"),
            ("../x.y", "write python:module.function"),
            ("txmta.nosuch.f", "module txmta.nosuch: ModuleNotFoundError"),
            ("no_such_module.f", "module no_such_module: ModuleNotFoundError"),
            (f"{_FUNCTIONS}.NUMBER", "has no function NUMBER"),
            (f"{_FUNCTIONS}.nosuch", "has no function nosuch"),
        ):
            error = self.assertRaises(ConfigError, open_table, f"python:{name}")
            self.assertIn(f"test_maps: python:{name}: ", str(error))
            self.assertIn(reason, str(error))

    def test_broken_module(self) -> None:
        """
        A module that cannot be imported, or ends the process, is refused.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.patch(sys, "path", [str(folder), *sys.path])
        for name, text, reason in (
            ("tx_bad_syntax", "def", "SyntaxError"),
            ("tx_exits", "raise SystemExit('no')", "SystemExit: no"),
        ):
            (folder / f"{name}.py").write_text(text)
            error = self.assertRaises(ConfigError, open_table, f"python:{name}.f")
            self.assertIn(f"module {name}: {reason}", str(error))

    def test_anybody_writes(self) -> None:
        """
        A module that any user of the machine could have put there is not
        imported.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        package = folder / "tx_open_package"
        package.mkdir()
        for file in (folder / "tx_open.py", package / "__init__.py"):
            file.write_text("import sys\nsys.tx_imported = True\n")
        self.patch(sys, "path", [str(folder), *sys.path])
        for place, name in (
            (folder, "tx_open"),
            (folder / "tx_open.py", "tx_open"),
            (package, "tx_open_package"),
            (folder, "tx_open_package"),
        ):
            mode = place.stat().st_mode
            place.chmod(mode | 0o002)
            error = self.assertRaises(ConfigError, open_table, f"python:{name}.f")
            self.assertIn(f"module {name}: anybody may write {place}", str(error))
            place.chmod(mode)
        self.assertFalse(hasattr(sys, "tx_imported"))


class RefusedTests(SynchronousTestCase):
    def test_remedy(self) -> None:
        """
        Refused by name, with what to write; nobody is told to use it.
        """
        for kind in ("dbm", "sdbm"):
            error = self.assertRaises(ConfigError, open_table, f"{kind}:/etc/x")
            self.assertEqual(
                list(error.problems),
                [
                    f"test_maps: {kind}:/etc/x: {kind} files are not read: write "
                    "hash:/etc/x, which reads the text file /etc/x itself"
                ],
            )
        known = TableRegistry(lambda: 0.0, print).known_types()
        self.assertNotIn("dbm", known)
        self.assertIn("hash", known)
        kinds = [k for k in getPlugins(ITableType) if isinstance(k, RefusedType)]
        self.assertEqual({k.prefix for k in kinds}, {"dbm", "sdbm"})
