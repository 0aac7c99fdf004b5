"""
Tests of C{regexp:} and C{pcre:} tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.table_contract import TableContract, context
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable, ITableType
from txmta.maps import pcre2, source
from txmta.maps.pattern_rules import BadExpression, RuleSet
from txmta.maps.pattern_table import PatternTable
from txmta.maps.pcre import PcreType
from txmta.maps.posix_syntax import has_back_reference, to_pcre
from txmta.maps.regexp import RegexpType
from txmta.maps.registry import TableRegistry

if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    _Base = object


class PatternTests(TableContract, _Base):
    """
    What both types do.
    """

    kind: RegexpType | PcreType
    known = "key@example.com"
    value = "value"
    unknown = "other"

    def setUp(self) -> None:
        self.warnings: list[str] = []
        self.now = 0.0
        self.path = Path(self.mktemp()).absolute()

    def make_type(self) -> ITableType:
        return self.kind

    def make_table(self) -> ITable:
        return self.open("/^key@/ value\n")

    def open(self, text: str, parameter: str = "test_maps") -> PatternTable:
        self.path.write_text(text, encoding="utf-8")
        return self.opened(str(self.path), parameter)

    def opened(self, name: str, parameter: str = "test_maps") -> PatternTable:
        spec = f"{self.kind.prefix}:{name}"
        plain = context(spec, seconds=lambda: self.now, warn=self.warnings.append)
        # Only the parameter is another one.
        given = type(plain)(
            spec, parameter, False, plain.open_table, plain.seconds, plain.warn
        )
        return self.kind.open(name, given)

    def check(self, text: str, answers: dict[str, str | None]) -> None:
        table = self.open(text)
        self.assertEqual({key: table.lookup(key) for key in answers}, answers)

    def test_order(self) -> None:
        """
        The first rule that fits has the result; keys are as they are.
        """
        self.check(
            "/a/ first\n/ab/ second\n!/x/ third $$\n!!/x/ fourth\n",
            {"ab": "first", "b": "third $", "xb": "fourth", "XA": "first"},
        )

    def test_groups(self) -> None:
        """
        Groups keep the case of the key; one that matched nothing is empty.
        """
        self.check(
            "/^(.*)-list@(b)?(.*)$/ ${1}/$(2)/$3 and $$1\n",
            {"Own-List@Example.com": "Own//Example.com and $1"},
        )

    def test_if(self) -> None:
        """
        Rules between if and endif, also nested, count if its expression fits.
        """
        self.check(
            "if /a/\nif !/b/\n/c/ ac\nENDIF\n/d/ ad\nendif\n/c|d/ other\n",
            {"ac": "ac", "abc": "other", "abd": "ad", "c": "other", "e": None},
        )
        self.assertEqual(self.warnings, [])

    def test_open_if(self) -> None:
        """
        An if without endif has the rest of the file.
        """
        self.check("/x/ 1\nif /a/\n/b/ 2\n", {"b": None, "ab": "2", "x": "1"})
        self.assertIn("line 2: IF has no matching ENDIF", self.warnings[0])

    def test_flags(self) -> None:
        """
        Letters turn over what is so by default.
        """
        self.check(
            "/^a$/i small\n/^b$/mii lines\n|^/c\\|$| bars\n",
            {"A": None, "a": "small", "x\nB\ny": "lines", "/c|": "bars"},
        )

    def test_lines(self) -> None:
        """
        Comments, and lines that go on.
        """
        self.check("# a\n/a/\n   one\n# b\n  two\n\n/b/ x\n", {"a": "one  two"})

    def test_inline(self) -> None:
        """
        The name itself holds the rules.
        """
        table = self.opened("{ { if /a{2}/ }, {/b/ in} {endif} {/b/ out} }")
        self.assertEqual(table.lookup("aab"), "in")
        self.assertEqual(table.lookup("ab"), "out")

    def test_mistakes(self) -> None:
        """
        A rule with a mistake is skipped, in Postfix's words.
        """
        table = self.open(
            "/a/\n/b/q x\nif\nif /c/ x\nendif x\nendif\nword x\n!/(d)/ $1\n"
            "/e/ $1\n/e/ $x\n/e/ ${1\n/e/ $\n/f\nif /(/\n"
        )
        self.assertEqual(table.lookup("a"), "")
        self.assertIsNone(table.lookup("bcdef"))
        text = "\n".join(self.warnings).replace(
            f"{self.kind.prefix} map {self.path}, line ", ""
        )
        skip = ": skipping this rule"
        closing = "ignoring" if self.kind.prefix == "pcre" else "skipping"
        self.assertEqual(
            text.split("\n")[:-1],
            [
                "1: no replacement text: using empty string",
                f'2: unknown regexp option "q"{skip}',
                f"3: no regexp{skip}",
                '4: ignoring extra text after IF statement: "x"',
                "4: do not prepend whitespace to statements between IF and ENDIF",
                "5: ignoring extra text after ENDIF",
                "6: ignoring ENDIF without matching IF",
                "7: ignoring unrecognized request",
                f"8: $number found in negative match replacement text{skip}",
                f'9: out of range replacement index "1"{skip}',
                '10: non-numeric replacement index "x"',
                f"10: bad replacement syntax{skip}",
                'truncated macro reference: "${1"',
                f"11: bad replacement syntax{skip}",
                'empty macro name: "$"',
                f"12: bad replacement syntax{skip}",
                f'13: no closing regexp delimiter "/": {closing} this rule',
            ],
        )
        self.assertIn("14: ", text.split("\n")[-1])

    def test_no_substitution(self) -> None:
        """
        A sender must not choose the next hop, nor the owner of a file.
        """
        text = "/^(.*)$/ $1\n/./ fixed\n"
        for parameter in ("transport_maps", "alias_maps", "virtual_uid_maps"):
            self.assertEqual(self.open(text, parameter).lookup("x"), "fixed")
        self.assertIn(
            "regular expression substitution is not allowed", self.warnings[0]
        )
        self.assertEqual(self.open(text, "virtual_alias_maps").lookup("x"), "x")

    def test_octets(self) -> None:
        """
        A key that is no UTF-8 does not get past a rule.
        """
        table = self.open("/^(x.)y/ found $1\n")
        self.assertEqual(table.lookup("x\udcffy"), "found x\udcff")

    def test_deep(self) -> None:
        """
        The nesting has a limit.
        """
        table = self.open("if /./\n" * 500 + "/a/ deep\n")
        self.assertEqual(table.lookup("a"), "deep")
        self.assertIn("too many IFs inside each other", self.warnings[0])

    def test_change(self) -> None:
        """
        A new version with a mistake is told, and the one before counts.
        """
        table = self.open("/a/ old\n")
        for text, value in (("/a/ newer\n", "newer"), ("/a/ last one\n/(/ x", "newer")):
            self.path.write_text(text, encoding="utf-8")
            for _ in range(3):
                self.now += source.LOOK_INTERVAL
                table.lookup("a")
            self.assertEqual(table.lookup("a"), value)
        self.assertEqual(len(self.warnings), 1)
        self.assertIn("line 2: ", self.warnings[0])
        self.assertIn("using the version read before", self.warnings[0])

    def test_time(self) -> None:
        """
        The time of a lookup is limited over all rules, and its end is "cannot
        say".
        """
        table = self.open("/q/ x\n" * 40)
        ticks = iter(range(1000))

        def clock() -> float:
            return next(ticks) / 10

        rules = self.kind.open(str(self.path), context())._rules()
        slow = RuleSet(rules.rules, clock, 0.15)
        table = PatternTable(lambda: slow, "t:x", self.warnings.append)
        error = self.assertRaises(TableUnavailable, table.lookup, "a")
        self.assertIn("line 32: takes too long", str(error))
        self.assertIn("t:x: line 32: takes too long", self.warnings[-1])


class RegexpTests(PatternTests, SynchronousTestCase):
    kind = RegexpType()

    def test_longest(self) -> None:
        """
        POSIX: of all matches at the first place the longest.
        """
        self.check("/x(a|ab)(c|bcd)?/ $1,$2\n", {"xabcd": "a,bcd"})
        self.check("/^(a|ab)/ $1\n", {"abc": "ab"})

    def test_brackets(self) -> None:
        """
        Classes; a backslash in brackets is itself.
        """
        self.check(
            r"/^[[:digit:]]+$/ digits" "\n" r"/^[\.]$/ bracket" "\n",
            {"12": "digits", "\\": "bracket", ".": "bracket", "a": None},
        )

    def test_pair(self) -> None:
        """
        C{/this/!/not that/}.
        """
        self.check("/a/!/b/ a without b\n", {"a": "a without b", "ab": None})

    def test_basic(self) -> None:
        """
        The x turned off: basic expressions.
        """
        self.check(r"/^\(a+\)$/x $1" "\n", {"a+": "a+", "aa": None})

    def test_back_reference(self) -> None:
        """
        They count, and have limits.
        """
        table = self.open(r"/^([a-z]*)([a-z]*)([a-z]*)-\1\2\3\3x$/ $1" "\n")
        self.assertEqual(table.lookup("ab-abx"), "ab")
        self.assertIsNone(table.lookup("ab-bax"))
        key = "a" * 3000 + "-" + "a" * 3000
        self.assertRaises(TableUnavailable, table.lookup, key)

    def test_bad_back_reference(self) -> None:
        """
        What cannot be searched with limits is refused, not searched without.
        """
        self.open(r"/(a)[[.a.]]\1/ x" "\n" r"/(a)\1+*/ x" "\n" r"/\(a\)\1/x x" "\n")
        self.assertEqual(len(self.warnings), 3)
        for text in self.warnings:
            self.assertIn("back-reference", text)

    def test_catastrophe(self) -> None:
        """
        An expression that is tried at each of 50,000 places, to the end.
        """
        table = self.open("/(.*)(.*)(.*)(.*)(.*)=/ x\n")
        error = self.assertRaises(TableUnavailable, table.lookup, "ab" * 25000)
        self.assertIn("line 1: takes too long", str(error))
        self.assertIsNone(table.lookup("ab" * 20))

    def test_long(self) -> None:
        """
        What is searched in pieces has the same answer.
        """
        table = self.open("/(needle.)$/ $1\n/^(x)x*(y+)/ $1$2\n")
        self.assertEqual(table.lookup("x" * 60000 + "needle!"), "needle!")
        self.assertEqual(table.lookup("x" * 3000 + "yy"), "xyy")

    def test_forgets(self) -> None:
        """
        An expression that is compiled anew goes on to answer.
        """
        table = self.open("/^(a|b)*a(a|b){9}c$/ yes\n")
        keys = ["ab" * 90 + "b" * n for n in range(40)]
        self.assertEqual({table.lookup(key) for key in keys}, {None})
        self.assertEqual(table.lookup("b" + "a" * 10 + "c"), "yes")


class PcreTests(PatternTests, SynchronousTestCase):
    kind = PcreType()

    def setUp(self) -> None:
        try:
            pcre2.library()
        except OSError as e:
            raise SkipTest(str(e)) from e
        super().setUp()

    def test_perl(self) -> None:
        """
        What only Perl's expressions have.
        """
        self.check(
            "/^(?!owner-)(?<n>\\w+?)-out/ $1\n/(?<=x)y\\K(z)/ $1\n",
            {"a-out": "a", "owner-out": None, "xyz": "z"},
        )

    def test_letters(self) -> None:
        """
        The letters that regexp: does not have.
        """
        self.check(
            "/a.b/s 1\n/c d/x 2\n/e/A 3\n/^f$/E 4\n/(g+)/U $1\n/h/X 5\n",
            {"a\nb": None, "cd": "2", "xe": None, "f\n": None, "ggg": "g", "h": "5"},
        )
        self.assertIn('ignoring obsolete regexp option "X"', self.warnings[0])

    def test_octets_of_letters(self) -> None:
        """
        A dot is an octet, unless the expression itself begins with (*UTF).
        """
        self.check("/^.$/ one\n/^..$/ two\n", {"é": "two", "e": "one"})
        self.check("/(*UTF)^.x$/ one\n", {"éx": "one", "\udcffx": None})
        self.open("/\\x{20ac}/ euro\n")
        self.assertIn("error in regex at offset 7", self.warnings[0])

    def test_catastrophe(self) -> None:
        """
        Expressions that take for ever have no answer; short keys have one.
        """
        for text in (
            r"/^(([a-z])+.)+[A-Z]([a-z])+$/i x",
            "/(a|aa)+$/ x",
            r"/^(a+)*\1+$/ x",
            "/(.*)(.*)(.*)(.*)(.*)[=;]/ x",
        ):
            table = self.open(text + "\n")
            error = self.assertRaises(TableUnavailable, table.lookup, "a" * 3000 + "!")
            self.assertIn("line 1: ", str(error))
            self.assertIsNone(table.lookup("!"))

    def test_slow_places(self) -> None:
        """
        Steps are limited by place; the clock limits all places together.
        """
        table = self.open("/é(.*)(.*)[=;]/ x\n")
        ticks = iter(range(10000))

        def clock() -> float:
            return next(ticks) / 10

        slow = RuleSet(table._rules().rules, clock, 0.35)
        table = PatternTable(lambda: slow, "t:x", self.warnings.append)
        error = self.assertRaises(TableUnavailable, table.lookup, "é" * 400)
        self.assertIn("too long", str(error))

    def test_long(self) -> None:
        """
        What is searched in pieces has the same answer.
        """
        table = self.open("/(?<=é)(needle.)$/ $1\n/\\G(x)x*(y+)/ $1$2\n")
        self.assertEqual(table.lookup("é" * 30000 + "needle!"), "needle!")
        self.assertEqual(table.lookup("x" * 30000 + "yy"), "xyy")
        self.assertIsNone(table.lookup("-" + "x" * 300 + "yy"))

    def test_bad(self) -> None:
        """
        The library's words, with the offset.
        """
        error = self.assertRaises(BadExpression, pcre2.Expression, b"a(", 0)
        self.assertRegex(str(error), "^error in regex at offset 2: missing ")


class RegistryTests(SynchronousTestCase):
    def test_parameters(self) -> None:
        """
        A table that may have C{$1} for one parameter is another one for those
        that may not, whichever comes first.
        """
        registry = TableRegistry(lambda: 0.0, lambda text: None, types=[RegexpType()])
        item = "regexp:{ {/^(a)/ $1}, {/./ fixed} }"
        for parameter, value in (
            ("virtual_alias_maps", "a"),
            ("transport_maps", "fixed"),
            ("canonical_maps", "a"),
        ):
            self.assertEqual(registry.table(item, parameter).lookup("a"), value)


class PosixSyntaxTests(SynchronousTestCase):
    def test_back_reference(self) -> None:
        """
        Not in brackets, and not behind another backslash.
        """
        for text in (r"(a)\1", r"([a])[]\]\9", r"(a)\\\1", r"(a)[[:alpha:]]\1"):
            self.assertTrue(has_back_reference(text), text)
        for text in (r"(a)\\1", r"(a)[\1]", r"[]\1]", r"[^]\1]", r"[[:a:]\1]", "a"):
            self.assertFalse(has_back_reference(text), text)

    def test_written(self) -> None:
        """
        What is another thing for Perl.
        """
        for text, expected in (
            (r"\<a\>", r"\b(?=\w)a\b(?<=\w)"),
            (r"[\d]", r"[\\d]"),
            (r"\d\w\.\1", r"d\w\.\1"),
        ):
            self.assertEqual(to_pcre(text), expected)
