"""
Tests of the table types, and of opening them.
"""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import cast

from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from tests.table_contract import TableContract, context
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable, ITableType
from txmta.maps import files, source, unix
from txmta.maps.hash import TextType
from txmta.maps.inline import InlineType
from txmta.maps.proxy import ProxyType
from txmta.maps.registry import TableRegistry
from txmta.maps.static import StaticTable, StaticType
from txmta.maps.unix import UnixTable, UnixType, group_line, passwd_line


class HashTests(TableContract, SynchronousTestCase):
    """
    C{hash:} and all who share its text source.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        self.now = 0.0
        self.warnings: list[str] = []
        self.write("key value\n")

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")
        # Two versions within the grain of the file system's clock; both new,
        # however long this test takes.
        status = self.path.stat()
        stamp = status.st_mtime_ns + 3600 * 10**9 + len(text)
        os.utime(self.path, ns=(status.st_atime_ns, stamp))

    def make_type(self) -> ITableType:
        return TextType("hash")

    def make_table(self) -> ITable:
        return self.open()

    def open(self, aliases: bool = False) -> ITable:
        spec = f"hash:{self.path}"
        return TextType("hash").open(
            str(self.path),
            context(
                spec,
                aliases=aliases,
                seconds=lambda: self.now,
                warn=self.warnings.append,
            ),
        )

    def wait(self, table: ITable) -> None:
        """
        Let the table look at its file twice.
        """
        for _ in range(2):
            self.now += source.LOOK_INTERVAL
            table.lookup("")

    def test_case(self) -> None:
        """
        Keys are folded on both sides.
        """
        self.write("KeY Value\n")
        self.assertEqual(self.open().lookup("kEy"), "Value")

    def test_aliases_format(self) -> None:
        """
        The file of an alias table is in aliases(5) format.
        """
        self.write("root: me, you\n")
        self.assertEqual(self.open(aliases=True).lookup("ROOT"), "me, you")

    def test_change(self) -> None:
        """
        A change is used, whole, without a restart; not before the next look.
        """
        table = self.open()
        self.write("key changed\n")
        self.assertEqual(table.lookup("key"), "value")
        self.wait(table)
        self.assertEqual(table.lookup("key"), "changed")

    def test_old_change(self) -> None:
        """
        A change of long ago counts at once, also for the first who asks:
        nobody added yesterday may be refused today.
        """
        table = self.open()
        self.write("key changed\n")
        os.utime(self.path, (0, 1e9))
        self.now += source.LOOK_INTERVAL
        self.assertEqual(table.lookup("key"), "changed")

    def test_change_in_progress(self) -> None:
        """
        A file that is still being written is not read.
        """
        table = self.open()
        self.write("ke")
        self.now += source.LOOK_INTERVAL
        self.assertEqual(table.lookup("key"), "value")
        self.write("key whole\n")
        self.now += source.LOOK_INTERVAL
        self.assertEqual(table.lookup("key"), "value")
        self.now += source.LOOK_INTERVAL
        self.assertEqual(table.lookup("key"), "whole")

    def test_replaced(self) -> None:
        """
        A file put in place by rename, as good editors do, is noticed though
        size and time are the same.
        """
        table = self.open()
        status = self.path.stat()
        other = self.path.with_suffix(".new")
        other.write_text("key VALUE\n")
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.rename(self.path)
        self.wait(table)
        self.assertEqual(table.lookup("key"), "VALUE")

    def test_vanished(self) -> None:
        """
        When the file goes away the old content stays, with one warning, and
        a new file is taken.
        """
        table = self.open()
        self.path.unlink()
        for _ in range(5):
            self.wait(table)
        self.assertEqual(table.lookup("key"), "value")
        (warning,) = self.warnings
        self.assertIn("No such file or directory", warning)
        self.assertIn("using the version read before", warning)
        self.write("key again\n")
        self.wait(table)
        self.assertEqual(table.lookup("key"), "again")

    def test_unusable_version(self) -> None:
        """
        A new version that is too large, or no file at all, is not used.
        """
        self.patch(files, "MAX_SIZE", 20)
        table = self.open()
        self.write("key value-that-is-too-large\n")
        self.wait(table)
        self.assertEqual(table.lookup("key"), "value")
        self.assertIn("larger than", self.warnings[0])
        self.path.unlink()
        os.mkfifo(self.path)
        self.wait(table)
        self.assertEqual(table.lookup("key"), "value")
        self.assertIn("not a regular file", self.warnings[-1])

    def test_missing(self) -> None:
        """
        A file that is not there is refused at start, with what to do.
        """
        self.path.unlink()
        error = self.assertRaises(ConfigError, self.open)
        (problem,) = error.problems
        self.assertEqual(
            problem,
            f"test_maps: hash:{self.path}: open {self.path}: "
            "No such file or directory: make this file, or take the table out",
        )

    def test_missing_by_default(self) -> None:
        """
        What only a default names may lack its file: one warning, neither
        "found" nor "not found", and the file counts once it is there.
        """
        self.path.unlink()
        item = f"hash:{self.path}"
        registry = TableRegistry(
            lambda: self.now, self.warnings.append, by_default={item: "alias_maps"}
        )
        tables = [
            registry.table(item, "local_recipient_maps"),
            registry.table(f"proxy:{item}", "local_recipient_maps"),
        ]
        for _ in range(5):
            for table in tables:
                self.assertRaises(TableUnavailable, table.lookup, "key")
            self.now += source.LOOK_INTERVAL
        self.assertEqual(
            self.warnings,
            [
                f"alias_maps: {item}: open {self.path}: No such file or directory: "
                "mail that needs this table waits: make this file (an empty one will "
                'do), or write "alias_maps =" in main.cf'
            ],
        )
        self.write("key value\n")
        for table in tables:
            self.assertRaises(TableUnavailable, table.lookup, "key")
        self.now += source.LOOK_INTERVAL
        for table in tables:
            self.assertEqual(table.lookup("key"), "value")

    def test_no_source(self) -> None:
        """
        An index file without its text is refused with the remedy; the default
        of a parameter is not refused, but waits.
        """
        self.path.unlink()
        index = f"{self.path}.db"
        Path(index).touch()
        for kind in ("hash", "btree"):
            spec = f"{kind}:{self.path}"
            error = self.assertRaises(
                ConfigError, TextType(kind).open, str(self.path), context(spec)
            )
            self.assertEqual(
                str(error),
                f"test_maps: {spec}: {index} is not read, and its text file "
                f"{self.path} is not there: put it back, or make it where Postfix is: "
                f"postmap -s {spec} >{self.path}",
            )
        made = replace(context(warn=self.warnings.append), by_default="alias_maps")
        table = TextType("hash").open(str(self.path), made)
        self.assertRaises(TableUnavailable, table.lookup, "key")
        self.write("key value\n")
        self.assertEqual(self.open().lookup("key"), "value")

    def test_relative(self) -> None:
        """
        The path must not depend on the current folder.
        """
        error = self.assertRaises(
            ConfigError, TextType("hash").open, "aliases", context("hash:aliases")
        )
        self.assertIn("not a full path", str(error))


class StaticTests(TableContract, SynchronousTestCase):
    unknown = None

    def make_type(self) -> ITableType:
        return StaticType()

    def make_table(self) -> ITable:
        return StaticType().open("value", context())

    def test_braces(self) -> None:
        """
        C{{ }} keeps white space together.
        """
        table = StaticType().open("{ two words }", context())
        self.assertEqual(table.lookup("x"), "two words")
        for name in ("{ two words ", "{ two words }x"):
            self.assertRaises(ConfigError, StaticType().open, name, context())


class InlineTests(TableContract, SynchronousTestCase):
    def make_type(self) -> ITableType:
        return InlineType()

    def make_table(self) -> ITable:
        return InlineType().open("{key=value}", context())

    def test_forms(self) -> None:
        """
        Entries with and without braces, commas or white space between.
        """
        table = InlineType().open("{ a=1, {B = two words} c=3,{d={x}} }", context())
        self.assertEqual(
            [table.lookup(key) for key in ("a", "b", "B", "c", "d", "e")],
            ["1", "two words", "two words", "3", "{x}", None],
        )

    def test_refused(self) -> None:
        """
        Anything else, in Postfix's words.
        """
        for name, words in {
            "{ }": "empty table",
            "{ foo = xx }": "missing '=' after attribute name",
            "{ =x }": "missing attribute name",
            "{ foo=xx }x": "bad syntax",
            "{ foo=xx x": "bad syntax",
            "foo=xx": "bad syntax",
            "{ foo=xx {x=y}x}": "syntax error after '}' in \"{x=y}x\"",
        }.items():
            error = self.assertRaises(
                ConfigError, InlineType().open, name, context(f"inline:{name}")
            )
            self.assertEqual(
                str(error),
                f'test_maps: {words}: "inline:{name}"; need "inline:{{name=value...}}"',
            )


class UnixTests(TableContract, SynchronousTestCase):
    known = "root"
    value = passwd_line("root") or ""
    unknown = "no-such-user"

    def make_type(self) -> ITableType:
        return UnixType()

    def make_table(self) -> ITable:
        return UnixType().open("passwd.byname", context("unix:passwd.byname"))

    def test_lines(self) -> None:
        """
        Answers are lines as in passwd(5) and group(5).
        """
        self.assertEqual((passwd_line("root") or "").split(":")[2], "0")
        self.assertEqual((group_line("root") or "").split(":")[2], "0")
        self.assertIsNone(group_line("no-such-group"))

    def test_folded(self) -> None:
        """
        Names of accounts are in lower case, those in addresses may not be.
        """
        self.assertEqual(
            self.make_table().lookup("ROOT"), self.make_table().lookup("root")
        )

    def test_remembered(self) -> None:
        """
        One question in a while for each name, whatever the answer; bounded.
        """
        now = 0.0
        asked: list[str] = []

        def ask(name: str) -> str | None:
            asked.append(name)
            return None

        table = UnixTable("unix:x", ask, lambda: now)
        for _ in range(3):
            self.assertIsNone(table.lookup("a"))
        self.assertEqual(asked, ["a"])
        now = unix.REMEMBER
        table.lookup("a")
        self.assertEqual(asked, ["a", "a"])
        self.patch(unix, "MAX_REMEMBERED", 10)
        for i in range(100):
            table.lookup(str(i))
        self.assertLessEqual(len(table._known), 10)

    def test_cannot_say(self) -> None:
        """
        A name service that is down is no "no such user", and is asked again.
        """
        answers = [OSError(5, "is down"), "line"]

        def ask(name: str) -> str | None:
            answer = answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return cast(str, answer)

        table = UnixTable("unix:x", ask, lambda: 0.0)
        error = self.assertRaises(TableUnavailable, table.lookup, "a")
        self.assertEqual(str(error), "table unix:x: is down")
        self.assertEqual(table.lookup("a"), "line")

    def test_system_cannot_say(self) -> None:
        """
        Python says "no such name" for an error of the name service too; the
        two are told apart.
        """
        codes = [0, errno.ENOENT, errno.ESRCH, errno.EIO, errno.EAGAIN]
        for ask in (passwd_line, group_line):
            left = iter(codes)

            class Library:
                def __init__(self, name: None) -> None:
                    self.getpwnam_r = self.getgrnam_r = self.answer

                def answer(self, *_arguments: object) -> int:
                    return next(left)  # noqa: B023

            self.patch(ctypes, "CDLL", Library)
            for _ in range(3):
                self.assertIsNone(ask("no-such-name"))
            for _ in range(2):
                self.assertRaises(OSError, ask, "no-such-name")

    def test_unknown_map(self) -> None:
        """
        Only the tables that exist.
        """
        self.assertRaises(ConfigError, UnixType().open, "hosts.byname", context())


class ProxyTests(TableContract, SynchronousTestCase):
    def make_type(self) -> ITableType:
        return ProxyType()

    def make_table(self) -> ITable:
        registry = TableRegistry(lambda: 0.0, print)
        return registry.table("proxy:inline:{key=value}", "x")


class RegistryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        self.path.write_text("root: me\n")
        self.spec = f"hash:{self.path}"
        self.warnings: list[str] = []
        self.registry = TableRegistry(
            lambda: 0.0, self.warnings.append, aliases=[f"proxy:{self.spec}"]
        )

    def test_built_in(self) -> None:
        """
        The built-in types are found as plug-ins, as anybody's are.
        """
        found = {kind.prefix for kind in getPlugins(ITableType)}
        self.assertLessEqual(
            {"hash", "texthash", "inline", "static", "unix", "proxy"}, found
        )
        refused = {"dbm", "sdbm"}
        self.assertEqual(set(self.registry.known_types()), found - refused)

    def test_opened_once(self) -> None:
        """
        All who name a table share it, also through C{proxy:}.
        """
        table = self.registry.table(self.spec, "local_recipient_maps")
        self.assertIs(self.registry.table(self.spec, "alias_maps"), table)
        self.assertIs(self.registry.table(f"proxy:{self.spec}", "x"), table)

    def test_alias_file_anywhere(self) -> None:
        """
        A file of alias_maps is in aliases(5) format also when another
        parameter, as local_recipient_maps does by default, names it.
        """
        table = self.registry.table(self.spec, "local_recipient_maps")
        self.assertEqual(table.lookup("root"), "me")
        self.assertEqual(self.warnings, [])

    def test_unknown_type(self) -> None:
        """
        A type that we do not have is refused, with those that we have.
        """
        error = self.assertRaises(
            ConfigError, self.registry.table, "mongodb:/etc/x.cf", "alias_maps"
        )
        self.assertIn(
            "alias_maps: mongodb:/etc/x.cf: unsupported dictionary type: mongodb",
            str(error),
        )
        self.assertIn("texthash", str(error))

    def test_no_type(self) -> None:
        """
        A bare word is no table.
        """
        error = self.assertRaises(ConfigError, self.registry.table, "root", "x_maps")
        self.assertIn("x_maps: root: not a table", str(error))

    def test_nesting(self) -> None:
        """
        C{proxy:proxy:...} ends.
        """
        self.assertRaises(
            ConfigError, self.registry.table, "proxy:" * 9 + "static:x", "x_maps"
        )

    def test_others(self) -> None:
        """
        Types can be given instead of found.
        """
        registry = TableRegistry(lambda: 0.0, print, types=[StaticType()])
        table = registry.table("static:x", "p")
        assert isinstance(table, StaticTable)
        self.assertEqual(table.value, "x")
        self.assertRaises(ConfigError, registry.table, "hash:/x", "p")
