"""
Tests of L{txmta.maps.files}, and of tables whose content was given.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.table_contract import context
from txmta.errors import ConfigError
from txmta.interfaces import ITable
from txmta.maps import files
from txmta.maps.context import Ways
from txmta.maps.files import Keeper, read_file, reader_of
from txmta.maps.hash import TextType
from txmta.maps.source import LOOK_INTERVAL


class FilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.now = 0.0
        self.warnings: list[str] = []

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def test_keeper(self) -> None:
        """
        All are read; those that the others cannot read are kept.
        """
        hidden, plain = self.file("hidden", "a 1\n"), self.file("plain", "b 2\n")
        keeper = Keeper(lambda path: path == hidden)
        self.assertEqual(keeper.read(hidden), read_file(hidden))
        self.assertEqual(keeper.read(plain)[1], "b 2\n")
        self.assertEqual(keeper.files, {hidden: b"a 1\n"})

    def test_bound(self) -> None:
        """
        What is kept is bounded in all; one that is read again counts once.
        """
        self.patch(files, "MAX_KEPT", 10)
        keeper = Keeper(lambda path: True)
        first = self.file("first", "123456")
        keeper.read(first)
        keeper.read(first)
        error = self.assertRaises(OSError, keeper.read, self.file("second", "12345"))
        self.assertIn("larger than 10", str(error))

    def test_given(self) -> None:
        """
        A content that was given is the table's for good: no look is taken at
        the file, and nothing is complained about.
        """
        path = self.file("table", "a new\n")
        ways = Ways(reader_of({path: b"a given\n"}))
        table = self.open(path, ways)
        os.unlink(path)
        self.now += LOOK_INTERVAL
        self.assertEqual(table.lookup("a"), "given")
        self.assertEqual(self.warnings, [])
        other = self.file("other", "a read\n")
        self.assertEqual(self.open(other, ways).lookup("a"), "read")
        self.assertRaises(ConfigError, self.open, path, Ways())

    def test_jailed(self) -> None:
        """
        In a jail a file that was read before is not looked at again.
        """
        path = self.file("table", "a 1\n")
        table = self.open(path, Ways(jailed=True))
        os.unlink(path)
        self.now += LOOK_INTERVAL
        self.assertEqual(table.lookup("a"), "1")
        self.assertEqual(self.warnings, [])

    def open(self, path: str, ways: Ways) -> ITable:
        made = context(
            f"hash:{path}", seconds=lambda: self.now, warn=self.warnings.append
        )
        return TextType("hash").open(path, replace(made, ways=ways))
