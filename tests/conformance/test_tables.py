"""
Postfix's own cases for lookup tables: answers and warnings.

The data are not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import cases
from tests.table_contract import context
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITableType
from txmta.maps.cidr import CidrType
from txmta.maps.context import PLAIN, Manner, Ways
from txmta.maps.fail import FailType
from txmta.maps.hash import TextType
from txmta.maps.inline import InlineType
from txmta.maps.pcre import PcreType
from txmta.maps.regexp import RegexpType
from txmta.maps.static import StaticType
from txmta.maps.text import read_postmap

#: Groups of cases for which there is nothing to test yet, and why.
NOT_YET = {
    "ip_match": "no postscreen lists",
    "tls_policy": "no TLS",
}

TESTED = (
    "dict_cidr",
    "dict_cidr_file",
    "dict_pcre",
    "miss_endif_cidr",
    "miss_endif_pcre",
    "miss_endif_re",
    "miss_endif_regexp",
    "dict_inline",
    "dict_static",
    "dict_thash",
    "quote_test",
    "map",
    "aliases",
    "fail_test",
    # By the command: tests.conformance.test_postmap.
    "file_test",
    "mode_conflict_test",
    "lmdb_abb",
    "smtp_map11",  # tests.conformance.test_smtp_maps
)


class CoverageTests(SynchronousTestCase):
    def test_all_named(self) -> None:
        """
        Each group of cases is tested here, or has its reason.
        """
        for path in cases("postfix-tables").rglob("*"):
            if path.is_dir() or path.name == "README.md":
                continue
            group = re.sub(r"^map-.*", "map", path.name.partition(".")[0])
            self.assertTrue(group in TESTED or group in NOT_YET, path.name)


class InlineTests(SynchronousTestCase):
    def test_errors(self) -> None:
        """
        The words for each malformed table.
        """
        text = (cases("postfix-tables") / "util/dict_inline.ref").read_text()
        found = re.findall(r'error: (.*): "inline:(.*)"; need (.*)', text)
        self.assertGreater(len(found), 4)
        for words, name, need in found:
            spec = f"inline:{name}"
            error = self.assertRaises(
                ConfigError, InlineType().open, name, context(spec)
            )
            self.assertEqual(str(error), f'test_maps: {words}: "{spec}"; need {need}')


class StaticTests(SynchronousTestCase):
    def test_errors(self) -> None:
        """
        The words for malformed braces.
        """
        text = (cases("postfix-tables") / "util/dict_static.ref").read_text()
        found = re.findall(r'error: (bad static:name syntax: .* in "(.*)")', text)
        self.assertEqual(len(found), 2)
        for words, name in found:
            error = self.assertRaises(ConfigError, StaticType().open, name, context())
            self.assertEqual(str(error), f"test_maps: {words}")


class TextTests(SynchronousTestCase):
    def read(self, path: Path, name: str) -> tuple[dict[str, str], list[str]]:
        warnings: list[str] = []
        table = read_postmap(path.read_text(), name, warnings.append)
        return table, [f"postmap: warning: {text}" for text in warnings]

    def test_texthash(self) -> None:
        """
        Entries and warnings of a file with mistakes in it.
        """
        folder = cases("postfix-tables") / "util"
        table, warnings = self.read(folder / "dict_thash.in", "dict_thash.in")
        expected = (folder / "dict_thash.ref").read_text().splitlines()
        entries = [f"{key}\t{value}" for key, value in sorted(table.items())]
        self.assertEqual(warnings, [e for e in expected if e.startswith("postmap")])
        self.assertEqual(entries, sorted(e for e in expected if "\t" in e))

    def test_large_map(self) -> None:
        """
        A file without mistakes is read without a warning.
        """
        path = cases("postfix-tables") / "util/dict_thash.map"
        table, warnings = self.read(path, path.name)
        self.assertEqual(warnings, [])
        self.assertEqual(table['"the answer is"'], "42")
        self.assertEqual(table["allascii.c"], "915")

    def test_quotes(self) -> None:
        """
        postmap's quote_test: which lines have a key and a value.
        """
        folder = cases("postfix-tables") / "postmap"
        commands = (folder / "quote_test.in").read_text()
        lines = re.findall(r"echo '(.*?)' \|", commands)
        self.assertGreater(len(lines), 5)
        warnings: list[str] = []
        table: dict[str, str] = {}
        for line in lines:
            table |= read_postmap(f"{line}\n", "stdin", warnings.append)
        got = [
            f"postmap: warning: {text.replace('line 2', 'line 1')}" for text in warnings
        ]
        got += sorted(f"{key}\t{value}" for key, value in table.items())
        self.assertEqual(got, (folder / "quote_test.ref").read_text().splitlines())

    def test_folding(self) -> None:
        """
        postmap's map cases: keys in any case find the entry.
        """
        folder = cases("postfix-tables") / "postmap"
        table = TextType("hash").open(str(folder / "map.in"), context())
        for name in ("abc", "ghi"):
            expected = (folder / f"map-{name}1.ref").read_text().strip()
            self.assertEqual(table.lookup(name), expected)
            self.assertEqual(table.lookup(name.upper()), expected)
        unfolded = (folder / "map-uABC1.ref").read_text().strip()
        self.assertEqual(table.lookup("ABC"), unfolded)


class FailTests(SynchronousTestCase):
    def test_query(self) -> None:
        """
        postmap's fail_test: the words of a query; the rest of it writes.
        """
        text = (cases("postfix-tables") / "postmap/fail_test.ref").read_text()
        expected = [line for line in text.splitlines() if "query" in line]
        self.assertEqual(len(expected), 3)
        table = FailType().open("aliases", context("fail:aliases"))
        error = self.assertRaises(TableUnavailable, table.lookup, "xx")
        self.assertEqual({f"postmap: fatal: {error}"}, set(expected))


class RuleTests(SynchronousTestCase):
    """
    Tables that are searched from the top.
    """

    def check(
        self, kind: ITableType, name: str, reference: str, ways: Ways = PLAIN
    ) -> None:
        folder = cases("postfix-tables") / "util"
        path = folder / name
        warnings: list[str] = []
        table = kind.open(str(path), replace(context(warn=warnings.append), ways=ways))
        text = (folder / reference).read_text()
        self.assertEqual(
            [warning.replace(str(path), name) for warning in warnings],
            re.findall(r"^\S+ warning: (.*)$", text, re.MULTILINE),
        )
        asked = re.findall(r"^> get (.*)\n(.*)$", text, re.MULTILINE)
        self.assertTrue(asked)
        for key, answer in asked:
            value = table.lookup(key)
            got = f"{key}: not found" if value is None else f"{key}={value}"
            self.assertEqual(got, answer)

    def test_cidr(self) -> None:
        """
        Networks of both families, C{if}, mistakes.
        """
        self.check(CidrType(), "dict_cidr.map", "dict_cidr.ref")
        self.check(CidrType(), "miss_endif_cidr.map", "miss_endif_cidr.ref")

    def test_cidr_files(self) -> None:
        """
        Values that name files; Postfix's test makes these two.
        """
        there = {f"dict_cidr_file{n}": f"this-is-file{n}\n" for n in (1, 2)}

        def read(path: str) -> tuple[None, str]:
            if path.startswith("/"):
                return None, Path(path).read_text()
            if path not in there:
                raise FileNotFoundError(2, "No such file or directory")
            return None, there[path]

        ways = Ways(read=read, manner=Manner(files=True))
        self.check(CidrType(), "dict_cidr_file.map", "dict_cidr_file.ref", ways)

    def test_regexp(self) -> None:
        """
        C{if} without C{endif}.
        """
        self.check(RegexpType(), "miss_endif_re.map", "miss_endif_regexp.ref")

    def test_pcre(self) -> None:
        """
        Conditions, groups, mistakes.
        """
        self.check(PcreType(), "miss_endif_re.map", "miss_endif_pcre.ref")
        self.check(PcreType(), "dict_pcre.map", "dict_pcre.ref")
