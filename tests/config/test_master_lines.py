"""
L{txmta.config.master_lines}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.master_lines import (
    BadFieldCount,
    logical_lines,
    parse,
    split_name_value,
    words,
)

COLUMNS = "smtp unix - n n - 0 smtp"


class LogicalLineTests(SynchronousTestCase):
    def test_continuation(self) -> None:
        """
        White space stays; comments and empty lines end nothing.
        """
        text = "a b\n# c\n\n \t c \n  #d\n e\nf"
        self.assertEqual(
            list(logical_lines(text, self.fail)), [(1, "a b \t c  e"), (7, "f")]
        )

    def test_nothing_to_continue(self) -> None:
        """
        Told, and skipped, with what belongs to it.
        """
        told: list[str] = []
        long = "x" * 40
        self.assertEqual(
            list(logical_lines(f" {long}\n y\nz", told.append)), [(3, "z")]
        )
        self.assertEqual(
            told,
            [f'logical line must not start with whitespace: " {"x" * 29}..."'],
        )


class WordTests(SynchronousTestCase):
    def test_braces(self) -> None:
        """
        White space in braces separates nothing; braces need not match.
        """
        self.assertEqual(
            list(words("a {b c} d{e f}g } h {i j")),
            ["a", "{b c}", "d{e f}g", "}", "h", "{i j"],
        )

    def test_name_value(self) -> None:
        self.assertEqual(split_name_value(" a = b = c "), ("a", "b = c"))
        self.assertEqual(split_name_value("a="), ("a", ""))
        for text, why in (
            ("a", "missing '=' after attribute name"),
            ("a b = c", "missing '=' after attribute name"),
            ("= c", "missing attribute name"),
        ):
            self.assertEqual(
                str(self.assertRaises(ValueError, split_name_value, text)), why
            )


class ParseTests(SynchronousTestCase):
    def arguments(self, text: str) -> tuple[list[str], list[str]]:
        """
        @return: arguments, and what was told.
        """
        told: list[str] = []
        return parse(f"{COLUMNS} {text}", told.append).words[8:], told

    def test_options(self) -> None:
        """
        All forms of an option become one.
        """
        self.assertEqual(
            self.arguments("-o { a = b c } -v -oc=d -vvo x=y -- -o { g = h }"),
            (
                [
                    *("-o", "a=b c", "-v", "-o", "c=d", "-vv", "-o", "x=y"),
                    *("--", "-o", "g = h"),
                ],
                [],
            ),
        )
        self.assertEqual(self.arguments("-v -o"), (["-v", "-o"], []))

    def test_parameters(self) -> None:
        """
        The last of each name; what has no C{=} is none, nor is what follows
        the options.
        """
        line = parse(f"{COLUMNS} -o a=1 -o b -o a=2 x -o c=3", self.fail)
        self.assertEqual(line.parameters(), {"a": "2"})
        self.assertEqual(line.words[line.end_of_options()], "x")

    def test_trouble(self) -> None:
        self.assertEqual(
            self.arguments("{ a b }x { c d"),
            (
                ["a b", "c d"],
                [
                    "syntax error after '}' in \"{ a b }x\"",
                    "missing '}' in \"{ c d\"",
                ],
            ),
        )
        self.assertEqual(
            self.arguments("-o { a }"),
            (["-o", "a"], ["missing '=' after attribute name: \"a\""]),
        )

    def test_columns(self) -> None:
        """
        Each has its values.
        """
        self.assertRaises(BadFieldCount, parse, "smtp unix - n n - 0", self.fail)
        for text, column in (
            ("a xxxx - n n - 0 b", 'type field "xxxx"'),
            ("a inet x n n - 0 b", 'private field "x"'),
            ("a inet - x n - 0 b", 'unprivileged field "x"'),
            ("a inet - n yy - 0 b", 'chroot field "yy"'),
            ("a inet - n n x? 0 b", 'wakeup field "x?"'),
            ("a inet - n n 0 -1 b", 'process_limit field "-1"'),
        ):
            error = self.assertRaises(ValueError, parse, text, self.fail)
            self.assertEqual(str(error), f'invalid {column} in "{text}"')
        for text in ("a pass y - - -? - b", "a fifo n n n 60? 10 b"):
            self.assertEqual(parse(text, self.fail).words, text.split())
