"""
Tests of C{cidr:} tables.
"""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.table_contract import TableContract, context
from txmta.errors import ConfigError
from txmta.interfaces import ITable, ITableType
from txmta.maps import source
from txmta.maps.cidr import CidrTable, CidrType
from txmta.maps.match import MatchLists
from txmta.maps.regexp import RegexpType


class CidrTests(TableContract, SynchronousTestCase):
    known = "192.0.2.1"
    value = "here"
    unknown = "198.51.100.1"

    def setUp(self) -> None:
        self.warnings: list[str] = []
        self.now = 0.0

    def make_type(self) -> ITableType:
        return CidrType()

    def make_table(self) -> ITable:
        return self.open("192.0.2.0/24 here\n")

    def open(self, text: str) -> CidrTable:
        self.path = Path(self.mktemp()).absolute()
        self.path.write_text(text, encoding="utf-8")
        return self.opened(str(self.path))

    def opened(self, name: str) -> CidrTable:
        return CidrType().open(
            name,
            context(
                f"cidr:{name}", seconds=lambda: self.now, warn=self.warnings.append
            ),
        )

    def test_first_wins(self) -> None:
        """
        The order of the rules decides, not the length of the prefix.
        """
        table = self.open("10.0.0.0/8 wide\n10.1.0.0/16 narrow\n10.0.0.0/8 again\n")
        self.assertEqual(table.lookup("10.1.2.3"), "wide")
        table = self.open("10.1.0.0/16 narrow\n10.0.0.0/8 wide\n")
        self.assertEqual(table.lookup("10.1.2.3"), "narrow")

    def test_blocks(self) -> None:
        """
        What an C{if} has no answer for goes on after its C{endif}.
        """
        table = self.open(
            "if 10.0.0.0/8\n10.1.1.1 inner\n!10.0.0.0/9 upper\n"
            "IF !10.2.0.0/16\n10.2.0.1 never\n10.3.0.1 nested\nENDIF\n"
            "192.0.2.1 never\nendif\n"
            "if 10.0.0.0/8\n10.4.0.1 second\nendif\n10.0.0.0/8 rest\n"
        )
        for key, value in (
            ("10.1.1.1", "inner"),
            ("10.200.0.1", "upper"),
            ("10.2.0.1", "rest"),
            ("10.3.0.1", "nested"),
            ("10.4.0.1", "second"),
            ("192.0.2.1", None),
        ):
            self.assertEqual(table.lookup(key), value, key)
        self.assertEqual(self.warnings, [])

    def test_families(self) -> None:
        """
        A rule says nothing of the other family, not even with C{!}; the
        forms of one address are the same key.
        """
        table = self.open("!192.0.2.0/24 four\n[2001:db8::]/32 six\n::/0 any\n")
        self.assertEqual(table.lookup("2001:0DB8:0::1"), "six")
        self.assertEqual(table.lookup("::ffff:198.51.100.1"), "any")
        self.assertEqual(table.lookup("198.51.100.1"), "four")
        self.assertIsNone(table.lookup("192.0.2.1"))

    def test_bracketed_key(self) -> None:
        """
        A key in brackets is no address, as in Postfix.
        """
        self.assertIsNone(self.make_table().lookup("[192.0.2.1]"))

    def test_mistakes(self) -> None:
        """
        A rule with a mistake is skipped, in Postfix's words.
        """
        table = self.open(
            " 1.2.3.4 a\n192.0.2.1/24 b\n192.0.2.0/33 c\n192.0.2/24 d\n[1 e\n[1]2 f\n"
            "192.0.2.1/x g\n192.0.2.1\nfoo h\nif\nendif x\nendif\nif ::1\n"
            "if ::/0\n192.0.2.1 yes\n"
        )
        self.assertIsNone(table.lookup("192.0.2.1"))
        where = f"cidr map {self.path}, line "
        skip = ": skipping this rule"
        self.assertEqual(
            self.warnings,
            [
                f"{self.path}: logical line must not start with whitespace: "
                '" 1.2.3.4 a"',
                f'{where}2: non-null host address bits in "192.0.2.1/24", perhaps '
                f'you should use "192.0.2.0/24" instead{skip}',
                f'{where}3: bad mask length in "192.0.2.0/33"{skip}',
                f'{where}4: bad network value in "192.0.2/24"{skip}',
                f"{where}5: missing ']' character after \"[1\"{skip}",
                f'{where}6: garbage after "[1]"{skip}',
                f'{where}7: bad mask value in "192.0.2.1/x"{skip}',
                f"{where}8: no lookup result{skip}",
                f'{where}9: bad address pattern: "foo"{skip}',
                f"{where}10: no address pattern{skip}",
                f"{where}11: garbage after ENDIF{skip}",
                f"{where}12: ENDIF without IF{skip}",
                f"{where}14: IF has no matching ENDIF",
                f"{where}13: IF has no matching ENDIF",
            ],
        )

    def test_deep(self) -> None:
        """
        The nesting has a limit, and a file that goes over it is read.
        """
        table = self.open("if 0.0.0.0/0\n" * 5000 + "10.0.0.1 deep\n")
        self.assertEqual(table.lookup("10.0.0.1"), "deep")
        self.assertIn("too many IFs inside each other", self.warnings[0])

    def test_many(self) -> None:
        """
        The index answers as a search from the top does.
        """
        source_of = random.Random(5)
        rules = []
        for i in range(300):
            length = source_of.randint(4, 32)
            number = source_of.getrandbits(32) >> (32 - length) << (32 - length)
            sign = "!" if i > 250 else ""
            rules.append((sign, ip_network((number, length)), f"v{i}"))
        table = self.open("".join(f"{s}{net} {v}\n" for s, net, v in rules))
        for _ in range(500):
            key = ip_address(source_of.getrandbits(32))
            expected = next(v for s, net, v in rules if (key in net) is (s == ""))
            self.assertEqual(table.lookup(str(key)), expected)

    def test_inline(self) -> None:
        """
        The name itself holds the rules.
        """
        table = self.opened("{ { if 10.0.0.0/8 }, {10.0.0.1 in} {endif} {10.1.0.1 o} }")
        self.assertEqual(table.lookup("10.0.0.1"), "in")
        self.assertIsNone(self.opened("{}").lookup("10.0.0.1"))

    def test_inline_mistakes(self) -> None:
        """
        Braces without partner, in Postfix's words.
        """
        for name, words in (
            ("{", "missing '}' in \"{\""),
            ("{x}", "no '{' at start of text in \"x\""),
            ("{ {1.2.3.4 b} }x", "syntax error after '}' in \"{ {1.2.3.4 b} }x\""),
        ):
            error = self.assertRaises(ConfigError, self.opened, name)
            self.assertEqual(str(error), f"test_maps: cidr map: {words}")

    def test_no_file(self) -> None:
        """
        A file that is not there, and a path that could be any, are errors.
        """
        for name in ("/nowhere/x", "x", ""):
            self.assertRaises(ConfigError, self.opened, name)

    def test_change(self) -> None:
        """
        A new version counts; one with a mistake does not, and is told.
        """
        table = self.open("10.0.0.1 old\n")
        for text, value in (
            ("10.0.0.1 newer\n", "newer"),
            ("10.0.0.1 newest!\n10/8 x\n", "newer"),
        ):
            self.path.write_text(text, encoding="utf-8")
            for _ in range(3):
                self.now += source.LOOK_INTERVAL
                table.lookup("10.0.0.1")
            self.assertEqual(table.lookup("10.0.0.1"), value)
        self.assertEqual(
            self.warnings,
            [
                f"cidr:{self.path}: {self.path}: cidr map {self.path}, line 2: bad "
                'network value in "10/8": skipping this rule; using the version read '
                "before"
            ],
        )


class MatchListTests(SynchronousTestCase):
    def test_no_parents(self) -> None:
        """
        A list asks a table of patterns for the whole name only.
        """
        table = RegexpType().open(r"{ {/^example\.com$/ x} }", context())
        lists = MatchLists(lambda item, parameter: table, ["x"], lambda: 0.0, print)
        found = lists.domains("x", ["regexp:y"])
        self.assertTrue(found.match("example.com"))
        self.assertFalse(found.match("sub.example.com"))
