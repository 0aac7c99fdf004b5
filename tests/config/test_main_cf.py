"""
Tests of reading main.cf.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txmta.config import lines
from txmta.config.main_cf import MAX_DEFINITIONS, BadLines, parse_main_cf, read_main_cf
from txmta.errors import ConfigError


def values(text: str) -> dict[str, str]:
    return {n: d.text for n, d in parse_main_cf("main.cf", text).definitions.items()}


class ParseTests(SynchronousTestCase):
    def bad(self, text: str) -> tuple[str, ...]:
        error = self.assertRaises(ConfigError, parse_main_cf, "main.cf", text)
        assert isinstance(error, ConfigError)
        return error.problems

    def test_white_space(self) -> None:
        """
        White space round the equal sign and at the end of the line does not
        count; inside the value it does.
        """
        self.assertEqual(
            values("a=1\nb = 2  \nc\t=\t3 4\r\nd =\ne = x = y\n"),
            {"a": "1", "b": "2", "c": "3 4", "d": "", "e": "x = y"},
        )

    def test_continuation(self) -> None:
        """
        A line that starts with white space continues the one before; comments
        and empty lines between them do not end it.
        """
        text = "a = 1,\n  2\n# comment\n\n   # indented\n   \n\t3\nb\n = x\n"
        self.assertEqual(values(text), {"a": "1,  2\t3", "b": "x"})

    def test_comment_at_end_of_line_is_none(self) -> None:
        """
        As in Postfix, "#" is a comment only as the first character.
        """
        self.assertEqual(values("a = 1 # 2\n"), {"a": "1 # 2"})

    def test_last_wins(self) -> None:
        """
        The last definition counts, the earlier one is warned of as Postfix
        does, with the line that overrides.
        """
        main_cf = parse_main_cf("main.cf", "a = 1\nb = 2\na = 3\n")
        self.assertEqual(main_cf.definitions["a"].text, "3")
        self.assertEqual(main_cf.definitions["a"].where, "main.cf, line 3")
        self.assertEqual(
            main_cf.warnings, ("main.cf, line 3: overriding earlier entry: a=1",)
        )

    def test_continues_nothing(self) -> None:
        """
        Postfix ignores it with a warning, and so do we.
        """
        main_cf = parse_main_cf("main.cf", "# first\n  a = 1\nb = 2\n")
        self.assertEqual(list(main_cf.definitions), ["b"])
        self.assertIn("line 2: logical line must not start", main_cf.warnings[0])

    def test_all_problems(self) -> None:
        """
        Every bad line is told, with its number and what to do.
        """
        problems = self.bad("a = 1\nnonsense\n= x\ntwo words = 3\n{ a = b }\n")
        self.assertEqual(len(problems), 4)
        self.assertIn("main.cf, line 2: missing '='", problems[0])
        self.assertIn("write name = value", problems[0])
        self.assertIn("main.cf, line 3: missing parameter name", problems[1])
        self.assertIn("main.cf, line 4: missing '='", problems[2])
        self.assertIn("main.cf, line 5: missing '='", problems[3])

    def test_good_lines(self) -> None:
        """
        The good lines come with the error, so that all can be told at once.
        """
        error = self.assertRaises(
            BadLines, parse_main_cf, "main.cf", "a = 1\nnonsense\nb = 2\n"
        )
        assert isinstance(error, BadLines)
        self.assertEqual(list(error.main_cf.definitions), ["a", "b"])

    def test_octets(self) -> None:
        """
        Control and non-UTF-8 octets in a value are refused, not guessed at;
        in a comment they do no harm.
        """
        (problem,) = self.bad("a = \0\n")
        self.assertIn("NUL", problem)
        self.assertEqual(values("# \udce9\na = é\n"), {"a": "é"})
        (problem,) = self.bad("a = \udce9\n")
        self.assertIn("UTF-8", problem)

    def test_bounds(self) -> None:
        """
        Lines and definitions are bounded.
        """
        (problem,) = self.bad("a = " + "x" * lines.MAX_LINE + "\n")
        self.assertIn("longer than", problem)
        many = "".join(f"p{n} = 1\n" for n in range(MAX_DEFINITIONS + 5))
        (problem,) = self.bad(many)
        self.assertIn("more than", problem)


class ReadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def read(self) -> dict[str, str]:
        found = read_main_cf(str(self.path)).definitions
        return {name: definition.text for name, definition in found.items()}

    def test_missing(self) -> None:
        error = self.assertRaises(ConfigError, self.read)
        self.assertIn("cannot be read: No such file", str(error))
        self.assertIn(str(self.path), str(error))

    def test_too_large(self) -> None:
        self.path.write_bytes(b"#" * (lines.MAX_FILE + 1))
        error = self.assertRaises(ConfigError, self.read)
        self.assertIn("larger than", str(error))

    def test_myorigin_from_file(self) -> None:
        """
        Debian: C{myorigin = /etc/mailname} is the first line of that file.
        """
        mailname = Path(self.mktemp())
        mailname.write_text("example.com\nother\n")
        self.path.write_text(f"myorigin = {mailname.absolute()}\n")
        self.assertEqual(self.read(), {"myorigin": "example.com"})

    def test_myorigin_from_empty_file(self) -> None:
        mailname = Path(self.mktemp())
        mailname.write_text("\n")
        self.path.write_text(f"# c\nmyorigin = {mailname.absolute()}\n")
        error = self.assertRaises(ConfigError, self.read)
        self.assertIn("line 2: myorigin", str(error))
