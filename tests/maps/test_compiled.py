"""
Tests of large texts, which are compiled into LMDB files.
"""

from __future__ import annotations

import gc
import os
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import require_library, require_root
from tests.table_contract import TableContract, context
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable, ITableType
from txmta.maps import compiled, hash
from txmta.maps.compiled import CompiledTable
from txmta.maps.context import Manner, Ways
from txmta.maps.hash import TextTable, TextType
from txmta.maps.source import LOOK_INTERVAL

_TEXT = "key value\nKey other\nbad\nStra\xdfe  two words\n"


class CompiledTests(TableContract, SynchronousTestCase):
    def setUp(self) -> None:
        require_library("lmdb")
        self.patch(hash, "LARGEST_TEXT", 10)
        self.now = 0.0
        self.warnings: list[str] = []
        self.path = Path(self.mktemp()).absolute()
        self.index = self.path.with_name(f"{self.path.name}.compiled.lmdb")
        self.write(_TEXT)

    def tearDown(self) -> None:
        # A process opens an LMDB file once.
        gc.collect()

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")
        stamp = self.path.stat().st_mtime_ns + 3600 * 10**9 + len(text)
        os.utime(self.path, ns=(stamp, stamp))

    def make_type(self) -> ITableType:
        return TextType("hash")

    def make_table(
        self, compiles: bool = True, aliases: bool = False, jailed: bool = False
    ) -> ITable:
        made = context(
            f"hash:{self.path}",
            aliases=aliases,
            seconds=lambda: self.now,
            warn=self.warnings.append,
        )
        ways = Ways(compiles=lambda path: compiles, jailed=jailed)
        return self.make_type().open(str(self.path), replace(made, ways=ways))

    def look(self, table: ITable) -> str | None:
        self.now += LOOK_INTERVAL
        return self.ask(table, "key")

    def test_compiled(self) -> None:
        """
        What is found is what the text has, and so are the warnings, whenever the
        table is opened; nothing but the file is left.
        """
        for _ in range(2):
            self.warnings.clear()
            table = self.make_table()
            self.assertIsInstance(table, CompiledTable)
            self.assertEqual(self.ask(table, "STRASSE"), "two words")
            self.assertEqual(
                [w.partition("line ")[2] for w in self.warnings],
                [
                    "3: expected format: key whitespace value -- ignoring this line",
                    '2: duplicate entry: "key"',
                ][::-1],
            )
        left = {p.name for p in self.path.parent.glob(f"{self.path.name}*")}
        self.assertEqual(left, {self.path.name, self.index.name})

    def test_many_entries(self) -> None:
        """
        More than fit into one transaction, and into the first map.
        """
        self.patch(compiled, "_AT_ONCE", 1000)
        self.write("".join(f"k{n} {n}\n" for n in range(5000)))
        table = self.make_table()
        for n in (0, 999, 1000, 4999):
            self.assertEqual(self.ask(table, f"K{n}"), str(n))

    def test_items(self) -> None:
        """
        All entries, and nothing else, can be listed.
        """
        table = self.make_table()
        assert isinstance(table, CompiledTable)
        self.assertEqual(
            list(table.items()), [("key", "value"), ("strasse", "two words")]
        )

    def test_made_once(self) -> None:
        """
        It is not made again for the same version of the text.
        """
        self.make_table()
        first = self.index.stat().st_ino
        self.make_table()
        self.assertEqual(self.index.stat().st_ino, first)

    def test_others_use_it(self) -> None:
        """
        Who may not make it uses it, or reads the text, and says so.
        """
        self.assertIsInstance(self.make_table(compiles=False), TextTable)
        self.assertIn("in the memory of each process", self.warnings[0])
        self.assertFalse(self.index.exists())
        self.make_table()
        self.assertIsInstance(self.make_table(compiles=False), CompiledTable)

    def test_changed(self) -> None:
        """
        A changed text counts when it has been compiled; until then the version
        before does, which is told once.
        """
        table = self.make_table()
        self.warnings.clear()
        self.write("key new and longer\n")
        self.assertEqual(self.look(table), "value")
        self.assertEqual(self.look(table), "value")
        (warning,) = self.warnings
        self.assertIn("postfix reload", warning)
        self.make_table()
        self.assertEqual(self.look(table), "new and longer")

    def test_formats_apart(self) -> None:
        """
        What was made of a text of postmap does not count for one of aliases.
        """
        self.write("key: value\nother: x\n")
        self.assertEqual(self.ask(self.make_table(), "key:"), "value")
        self.assertEqual(self.ask(self.make_table(aliases=True), "key"), "value")

    def test_not_ours(self) -> None:
        """
        A file that others could have written is not used, and not replaced.
        """
        require_root("changes the owner of a file")
        self.make_table()
        made = self.index.read_bytes()
        gc.collect()
        for owner, mode in ((12345, 0o644), (0, 0o666)):
            os.chown(self.index, owner, owner)
            self.index.chmod(mode)
            self.warnings.clear()
            self.assertIsInstance(self.make_table(), TextTable)
            self.assertIn("others may write to it", self.warnings[0])
            self.assertEqual(self.index.read_bytes(), made)

    def test_not_compiled(self) -> None:
        """
        In a jail, of files that not everybody may read, and where postmap asks
        with C{-f}, the text is read.
        """
        self.assertIsInstance(self.make_table(jailed=True), TextTable)
        self.path.chmod(0o600)
        self.assertIsInstance(self.make_table(), TextTable)
        self.path.chmod(0o644)
        made = context(f"hash:{self.path}", warn=self.warnings.append)
        ways = Ways(manner=Manner(fold=str), compiles=lambda path: True)
        table = self.make_type().open(str(self.path), replace(made, ways=ways))
        self.assertIsInstance(table, TextTable)
        self.assertFalse(self.index.exists())

    def test_long_key(self) -> None:
        """
        A key that LMDB cannot keep: the text is read, and nothing is left.
        """
        self.write(f"{'k' * 600} x\nkey value\n")
        table = self.make_table()
        self.assertIsInstance(table, TextTable)
        self.assertIn("in the memory of each process", self.warnings[0])
        self.assertEqual(list(self.path.parent.glob(f"{self.path.name}.*")), [])

    def test_no_library(self) -> None:
        """
        Without the library the text is read, and the remedy is told.
        """
        self.patch(compiled, "find_spec", lambda name: None)
        self.assertIsInstance(self.make_table(), TextTable)
        self.assertIn("pip install txmta[lmdb]", self.warnings[0])

    def test_damaged(self) -> None:
        """
        A file that is cut short is "cannot say", not "not found".
        """
        self.write("".join(f"k{n} {'v' * 100}\n" for n in range(20_000)))
        table = self.make_table()
        with self.index.open("r+b") as file:
            file.truncate(1 << 20)
        self.assertRaises(TableUnavailable, self.look, table)
        self.assertIn("shorter than it says", self.warnings[-1])
