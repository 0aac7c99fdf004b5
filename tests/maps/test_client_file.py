"""
Tests of L{txmta.maps.client_file}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.errors import ConfigError
from txmta.maps.client_file import ClientSettings, from_file, from_main_cf

NAMES = ("query", "dbpath", "password", "expansion_limit")


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.warnings: list[str] = []

    def read(self, text: str) -> ClientSettings:
        return from_file("/x.cf", text, NAMES, self.warnings.append)

    def test_syntax(self) -> None:
        """
        As main.cf, but C{$} means nothing.
        """
        found = self.read("# c\nquery = SELECT $x\n   FROM t\n\ndbpath=/a b\n")
        self.assertEqual(found.text("query"), "SELECT $x   FROM t")
        self.assertEqual(found.text("dbpath"), "/a b")
        self.assertEqual(self.warnings, [])

    def test_unknown(self) -> None:
        """
        Names that this client does not have are told, with their line.
        """
        self.read("query = x\nqueri = y\nzzz =\n")
        self.assertEqual(
            self.warnings,
            [
                "/x.cf, line 2: queri: unknown name, ignored: did you mean query?",
                "/x.cf, line 3: zzz: unknown name, ignored",
            ],
        )

    def test_bad_line(self) -> None:
        """
        A line that is none refuses the file.
        """
        error = self.assertRaises(ConfigError, self.read, "query SELECT\n")
        self.assertIn("/x.cf, line 1", error.problems[0])

    def test_twice(self) -> None:
        """
        The last one counts, and is told without what may be a password.
        """
        found = self.read("password = old\npassword = new\n")
        self.assertEqual(found.text("password"), "new")
        self.assertEqual(
            self.warnings, ["/x.cf, line 2: overriding earlier entry: password"]
        )

    def test_kinds(self) -> None:
        """
        All wrong values are told at once, by name.
        """
        found = self.read("expansion_limit = x\npassword = perhaps\n")
        self.assertEqual(found.count("expansion_limit", 0, 0, 9), 0)
        self.assertEqual(found.flag("password", True), False)
        self.assertEqual(found.required("dbpath", "/file"), "")
        self.assertEqual(
            found.problems,
            [
                '/x.cf: expansion_limit: "x" is not a number: write digits only',
                '/x.cf: password: "perhaps": write yes or no',
                "/x.cf: dbpath: is missing: write dbpath = /file",
            ],
        )

    def test_bounds(self) -> None:
        """
        A number must be in its bounds; a time may have a unit.
        """
        found = self.read("expansion_limit = 10\nquery = 2m\n")
        self.assertEqual(found.seconds("query", 1, 0, 600), 120)
        self.assertEqual(found.count("expansion_limit", 3, 0, 9), 3)
        self.assertEqual(len(found.problems), 1)


class MainCfTests(SynchronousTestCase):
    def test_old_form(self) -> None:
        """
        C{name_query} in main.cf.
        """
        main_cf = {"mine_query": "SELECT 1", "other_dbpath": "/x"}
        found = from_main_cf("mine", NAMES, main_cf.get)
        self.assertEqual(found.texts, {"query": "SELECT 1"})
        found.required("dbpath", "/file")
        self.assertEqual(
            found.problems,
            ["main.cf: mine_dbpath: is missing: write mine_dbpath = /file"],
        )

    def test_nothing(self) -> None:
        """
        A name without anything is no table.
        """
        self.assertRaises(ConfigError, from_main_cf, "mine", NAMES, {}.get)
