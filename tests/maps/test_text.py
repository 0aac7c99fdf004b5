"""
Tests of L{txmta.maps.text}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.maps.text import logical_lines, read_aliases, read_postmap


class LogicalLineTests(SynchronousTestCase):
    def test_continuation(self) -> None:
        """
        White space at the start continues a line; comments and empty lines
        in between do not end it.
        """
        text = "# one\na b\n  c\n\n# two\n\td\ne f\r\n"
        self.assertEqual(list(logical_lines(text)), [(2, "a b  c\td"), (7, "e f")])


class PostmapTests(SynchronousTestCase):
    def read(self, text: str) -> tuple[dict[str, str], list[str]]:
        warnings: list[str] = []
        return read_postmap(text, "/m", warnings.append), warnings

    def test_entries(self) -> None:
        """
        The key ends at white space outside quotes and keeps its quotes; it is
        folded to lower case, the value is not.
        """
        table, warnings = self.read(
            'User@Example.COM\tVal Ue \n"a b"@c  d\ng\\ h i\n\u00c4@b c\n'
        )
        self.assertEqual(
            table,
            {
                "user@example.com": "Val Ue",
                '"a b"@c': "d",
                "g\\ h": "i",
                "\u00e4@b": "c",
            },
        )
        self.assertEqual(warnings, [])

    def test_bad_lines(self) -> None:
        """
        postmap's warnings, with file and line; the other lines count.
        """
        table, warnings = self.read(' x y\n"un balanced\nonlykey\na: b\nk 1\nK 2\n')
        self.assertEqual(table, {"a:": "b", "k": "1"})
        self.assertEqual(
            warnings,
            [
                '/m: logical line must not start with whitespace: " x y"',
                "/m, line 2: unbalanced '\"' in '\"un balanced' -- ignoring this line",
                "/m, line 3: expected format: key whitespace value "
                "-- ignoring this line",
                '/m, line 4: record is in "key: value" format; is this an alias file?',
                '/m, line 6: duplicate entry: "k"',
            ],
        )

    def test_backslash(self) -> None:
        """
        A backslash at the end of a line is part of the key, as in Postfix.
        """
        table, warnings = self.read("a\\\nb\\ c d\n")
        self.assertEqual(table, {"b\\ c": "d"})
        self.assertEqual(
            warnings,
            ["/m, line 1: expected format: key whitespace value -- ignoring this line"],
        )

    def test_only_like_white_space(self) -> None:
        """
        White space outside ASCII is part of keys and values, as in Postfix.
        """
        table, warnings = self.read("a\xa0b c\u3000\n\x1cd e\n\u2003\x85 f\ng\vh\f\n")
        self.assertEqual(
            table, {"a\xa0b": "c\u3000", "\x1cd": "e", "\u2003\x85": "f", "g": "h"}
        )
        self.assertEqual(warnings, [])

    @given(st.text(alphabet='ab"\\ \t\n#:\x00\udcff', max_size=40))
    def test_total(self, text: str) -> None:
        """
        Any text is a table, perhaps an empty one.
        """
        table, _warnings = self.read(text)
        self.assertTrue(all(k and v for k, v in table.items()))

    def test_linear(self) -> None:
        """
        A line of any length is read, or found to be no entry; with a square
        law it would not be while anybody waits.
        """
        for piece in ('"', "\\", 'a"', '""', '"a\\""', "a", '"\\'):
            self.read(piece * (300_000 // len(piece)))


class AliasesTests(SynchronousTestCase):
    def read(self, text: str) -> tuple[dict[str, str], list[str]]:
        warnings: list[str] = []
        return read_aliases(text, "/a", warnings.append), warnings

    def test_entries(self) -> None:
        """
        aliases(5): name, colon, value; quotes in the name are taken off, the
        value is in external form, written as postalias does.
        """
        table, warnings = self.read(
            "Postmaster: root\n"
            "list: a@b,\n  c@d\n"
            '"odd: name" : x\n'
            'prog: "|/bin/prog -a"\n'
            "inc: :include:/etc/list\n"
            "tight:value\n"
            'a  (c) b: x\\y <a@b>;c [1.2] ,d "e" "f\\"\n'
        )
        self.assertEqual(
            table,
            {
                "postmaster": "root",
                "list": "a@b, c@d",
                "odd: name": "x",
                "prog": '"|/bin/prog -a"',
                "inc": ":include:/etc/list",
                "tight": "value",
                "a (c) b": 'xy <a@b>;c [1.2], d "e" "f\\""',
            },
        )
        self.assertEqual(warnings, [])

    def test_bad_lines(self) -> None:
        """
        postalias's warnings; the other lines count.
        """
        table, warnings = self.read(
            "noname\n: x\nempty:\na, b: c\nu@d: e\np%q: r\nok: 1\nOK: 2\n"
        )
        self.assertEqual(table, {"ok": "1"})
        self.assertEqual(
            warnings,
            [
                "/a, line 1: need name:value pair",
                "/a, line 2: need name:value pair",
                "/a, line 3: need name:value pair",
                "/a, line 4: need name:value pair",
                "/a, line 5: name must be local",
                "/a, line 6: name must be local",
                '/a, line 8: duplicate entry: "ok"',
            ],
        )

    @given(st.text(alphabet='ab"\\ \t\n#:,@(\x00', max_size=40))
    def test_total(self, text: str) -> None:
        """
        Any text is an alias file, perhaps an empty one. A lone backslash is an
        empty value, as in Postfix.
        """
        table, _warnings = self.read(text)
        self.assertTrue(all(v or "\\" in text for v in table.values()))

    def test_linear(self) -> None:
        """
        As above.
        """
        for piece in ('"', "\\", 'a"', '""', '"a\\""', "a", '"\\', '":"', "\\:"):
            self.read(piece * (300_000 // len(piece)))
