"""
Tests of tables that are index files.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tests
from tests.maps.index_files import cdb, write_lmdb
from tests.support import require_library
from tests.table_contract import TableContract, context
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable, ITableType
from txmta.maps import indexed, lmdb
from txmta.maps.context import Ways
from txmta.maps.files import Keeper, reader_of
from txmta.maps.indexed import IndexType, open_cdb, open_lmdb_index
from txmta.maps.source import LOOK_INTERVAL

Entries = Iterable[tuple[bytes, bytes]]

_ENTRIES = (
    (b"key\0", b"value\0"),
    (b"plain", b"bare"),
    (b"strasse\0", "straße\0".encode()),
    (b"latin\0", b"\xe4\0"),
    (b"short\0", b"a\0b\0"),
)

_WRITE = """
import sys
from ast import literal_eval
from pathlib import Path
import tests
from tests.maps.index_files import write_lmdb
write_lmdb(Path(sys.argv[1]), literal_eval(sys.argv[2]))
"""


class _IndexContract(TableContract):
    """
    What C{cdb:} and C{lmdb:} have in common.
    """

    prefix: str

    def setUp(self) -> None:
        self.now = 0.0
        self.warnings: list[str] = []
        self.text = Path(self.mktemp()).absolute()
        self.path = self.text.with_name(f"{self.text.name}.{self.prefix}")
        self.write(_ENTRIES)

    def write(self, entries: Entries) -> None:
        """
        Make a new file, and put it in the place of the old one.
        """
        raise NotImplementedError

    def make_type(self) -> IndexType:
        raise NotImplementedError

    def make_table(self, ways: Ways | None = None, wall: float = 0.0) -> ITable:
        made = context(
            f"{self.prefix}:{self.text}",
            seconds=lambda: self.now,
            warn=self.warnings.append,
        )
        kind = replace(self.make_type(), wall=lambda: wall)
        return kind.open(str(self.text), replace(made, ways=ways) if ways else made)

    def test_octets(self) -> None:
        """
        Keys are folded; they, and values, end with a NUL or not.
        """
        table = self.make_table()
        for key, value in (
            ("KEY", "value"),
            ("plain", "bare"),
            ("Straße", "straße"),
            ("latin", "\udce4"),
            ("short", "a"),
            ("ke", None),
            ("key\0", None),
            ("\ud800", None),
            ("x" * 10_000, None),
        ):
            self.assertEqual(table.lookup(key), value)

    def test_replaced(self) -> None:
        """
        A new file is used a second later; a bad one is told, once, and the
        old one stays; so it does when there is none.
        """
        table = self.make_table()
        self.write([(b"key\0", b"new\0")])
        self.assertEqual(table.lookup("key"), "value")
        self.now += LOOK_INTERVAL
        self.assertEqual(table.lookup("key"), "new")
        for break_it in (self.put_rubbish, self.path.unlink):
            break_it()
            self.warnings.clear()
            for _ in range(3):
                self.now += LOOK_INTERVAL
                self.assertEqual(table.lookup("key"), "new")
            (warning,) = self.warnings
            self.assertIn(f"{self.prefix}:{self.text}: {self.path}: ", warning)
            self.assertIn("using the file opened before", warning)
        self.write([(b"key\0", b"newest\0")])
        self.now += LOOK_INTERVAL
        self.assertEqual(table.lookup("key"), "newest")

    def put_rubbish(self) -> None:
        other = self.path.with_suffix(".rubbish")
        other.write_bytes(b"no database\n" * 1000)
        other.rename(self.path)

    def test_no_database(self) -> None:
        """
        What is no database stops the start, with the remedy.
        """
        self.put_rubbish()
        error = self.assertRaises(ConfigError, self.make_table)
        self.assertIn(
            f"test_maps: {self.prefix}:{self.text}: open database {self.path}: not a",
            str(error),
        )
        self.assertIn("make it again, with postmap or postalias", str(error))
        self.path.unlink()
        self.path.mkdir()
        before = os.listdir("/proc/self/fd")
        error = self.assertRaises(ConfigError, self.make_table)
        self.assertEqual(os.listdir("/proc/self/fd"), before, str(error))

    def test_text(self) -> None:
        """
        Without an index file the text is read; without either the text is
        what is missed.
        """
        self.path.unlink()
        self.text.write_text("key text\n")
        self.assertEqual(self.make_table().lookup("KEY"), "text")
        self.text.unlink()
        error = self.assertRaises(ConfigError, self.make_table)
        self.assertIn(f"open {self.text}: No such file or directory", str(error))

    def test_relative(self) -> None:
        """
        The path must not depend on the current folder.
        """
        error = self.assertRaises(
            ConfigError, self.make_type().open, "x", context(f"{self.prefix}:x")
        )
        self.assertIn("not a full path", str(error))

    def test_old(self) -> None:
        """
        An index older than its text is told, unless somebody is at it.
        """
        self.text.write_text("key text\n")
        os.utime(self.path, (1000, 1000))
        for written, wall, told in (
            (2000, 3000.0, True),
            (2000, 2050.0, False),
            (900, 3000.0, False),
        ):
            os.utime(self.text, (written, written))
            self.warnings.clear()
            self.make_table(wall=wall)
            expected = f"database {self.path} is older than source file {self.text}"
            self.assertEqual(self.warnings, [expected] if told else [])


class CdbTableTests(_IndexContract, SynchronousTestCase):
    prefix = "cdb"

    def write(self, entries: Entries) -> None:
        other = self.path.with_suffix(".new")
        other.write_bytes(cdb(entries))
        other.rename(self.path)

    def make_type(self) -> IndexType:
        return IndexType("cdb", open_cdb, public=False)

    def test_cut(self) -> None:
        """
        A file cut short under the server is "cannot say".
        """
        self.patch(indexed, "SMALL", 0)
        table = self.make_table()
        os.truncate(self.path, 2050)
        self.assertRaises(TableUnavailable, table.lookup, "key")

    def test_hidden(self) -> None:
        """
        What only root can read is read for others.
        """
        keeper = Keeper(lambda path: True)
        self.make_table(Ways(keeper.read))
        self.put_rubbish()
        table = self.make_table(Ways(reader_of(keeper.files)))
        self.now += LOOK_INTERVAL
        self.assertEqual(table.lookup("key"), "value")
        self.assertEqual(self.warnings, [])


class LargeCdbTableTests(CdbTableTests):
    """
    Files that are read where they are asked.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(indexed, "SMALL", 0)

    def test_hidden(self) -> None:
        """
        Large files are not kept for others.
        """
        keeper = Keeper(lambda path: True)
        self.make_table(Ways(keeper.read))
        self.assertEqual(keeper.files, {})


class LmdbTableTests(_IndexContract, SynchronousTestCase):
    prefix = "lmdb"

    def setUp(self) -> None:
        require_library("lmdb")
        super().setUp()

    def write(self, entries: Entries) -> None:
        other = self.path.with_suffix(".new")
        write_lmdb(other, entries)
        other.rename(self.path)

    def make_type(self) -> IndexType:
        return IndexType("lmdb", open_lmdb_index, public=True)

    def test_in_place(self) -> None:
        """
        What postmap writes into the file counts at once, also when the file
        has grown beyond what was mapped.
        """
        table = self.make_table()
        many = [(b"key%05d\0" % n, b"x" * 1000) for n in range(100)]
        entries = [(b"key\0", b"new\0"), *many]
        # Another process: here it is open already.
        arguments = [sys.executable, "-c", _WRITE, str(self.path), repr(entries)]
        root = str(Path(tests.__path__[0]).parent)
        subprocess.run(arguments, check=True, env={**os.environ, "PYTHONPATH": root})
        self.assertEqual(table.lookup("key"), "new")
        self.assertEqual(table.lookup("key00007"), "x" * 1000)

    def test_twice(self) -> None:
        """
        The tables of two configurations may have the same file open, which
        LMDB forbids.
        """
        first, second = self.make_table(), self.make_table()
        self.assertEqual(first.lookup("key"), "value")
        del first
        self.assertEqual(second.lookup("key"), "value")

    def test_closed(self) -> None:
        """
        Files of tables that are gone are closed.
        """
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            self.write(_ENTRIES)
            self.make_table()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_mapped_anew(self) -> None:
        """
        A large file is mapped anew after some questions.
        """
        self.patch(lmdb, "SMALL", 0)
        table = self.make_table()
        opened = []
        real = lmdb.LmdbFile._reopen

        def reopen(file: lmdb.LmdbFile) -> None:
            opened.append(file)
            real(file)

        self.patch(lmdb.LmdbFile, "_reopen", reopen)
        for _ in range(lmdb.QUESTIONS * 3 + 1):
            self.assertEqual(table.lookup("key"), "value")
        self.assertEqual(len(opened), 3)

    def test_cut(self) -> None:
        """
        A file much shorter than it says is not opened, and told when it is.
        """
        self.write((b"key%05d\0" % n, b"x" * 100) for n in range(5000))
        table = self.make_table()
        size = self.path.stat().st_size
        os.truncate(self.path, size // 2)
        self.assertRaises(ConfigError, self.make_table)
        self.now += LOOK_INTERVAL
        self.assertRaises(TableUnavailable, table.lookup, "key00001")
        self.assertIn("damaged: shorter than it says", self.warnings[-1])

    def test_private(self) -> None:
        """
        A file that only its owner can read cannot be read for others: the
        text is, with a warning.
        """
        self.path.chmod(0o600)
        self.assertEqual(self.make_table().lookup("key"), "value")
        self.text.write_text("key text\n")
        self.assertEqual(self.make_table().lookup("key"), "text")
        self.assertIn(f"{self.path}: only its owner can read it", self.warnings[-1])


class NoLibraryTests(SynchronousTestCase):
    def test_remedy(self) -> None:
        """
        Without the library an LMDB file is refused with what to do.
        """
        self.patch(sys, "modules", {**sys.modules, "lmdb": None})
        text = Path(self.mktemp()).absolute()
        path = text.with_name(f"{text.name}.lmdb")
        path.touch()
        kind: ITableType = IndexType("lmdb", open_lmdb_index, public=True)
        error = self.assertRaises(
            ConfigError, kind.open, str(text), context(f"lmdb:{text}")
        )
        self.assertEqual(
            str(error),
            f"test_maps: lmdb:{text}: {path} is there, but not the Python library for "
            f"it: pip install txmta[lmdb], or write hash:{text}, which reads the text "
            "file",
        )
