"""
Tests of C{$name} and its kin. What Postfix does with the same text is asked in
L{tests.interop.test_postconf}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.expansion import (
    MAX_DEPTH,
    MacroError,
    expand,
    level,
    references,
    scan,
)

#: Text and what it becomes, where $a is "A", $b is "B" and others are empty.
#: Each right side is what C{postconf -x} of Postfix 3.7 prints.
GOOD = {
    "": "",
    "plain": "plain",
    "$a": "A",
    "${a}": "A",
    "$(a)": "A",
    "${ a }": "A",
    "$a.$b-x": "A.B-x",
    "$ab": "",
    "$$a": "$a",
    "$$$a": "$A",
    "${a?yes}": "yes",
    "${x?yes}": "",
    "${a:no}": "",
    "${x:no}": "no",
    "$(a?yes)": "yes",
    "${a?}": "",
    "${x:}": "",
    "${a? b c }": " b c ",
    "${a?b:c}": "b:c",
    "${a?{yes}:{no}}": "yes",
    "${x?{yes}:{no}}": "no",
    "${a ? {yes} : {no}}": "yes",
    "${a?{yes}:no}": "yes",
    "${x?{yes}: no }": " no ",
    "${a?{ yes }}": " yes ",
    "${x?{yes}}": "",
    "${a:{no}}": "",
    "${x:{no}}": "no",
    "${a?{$b}}": "B",
    "${a?b{c}d}": "b{c}d",
    "${a?b}c}": "bc}",
    "${x?{a}:{${y?{b}:{c$a}}}}": "cA",
    "${{a}=={a}?{yes}:{no}}": "yes",
    "${{a} == {b} ? {yes} : {no}}": "no",
    "${{$a} == {A} ? {yes}:{no}}": "yes",
    "${{a} != {b} ? {yes}}": "yes",
    "${{a}=={a}}": "true",
    "${{a}=={b}}": "",
    "${{a}=={a}?yes:no}": "yes:no",
    "${{a}=={b}:{no}}": "no",
    "${{10} > {9} ? {yes}:{no}}": "yes",
    "${{10} >= {10} ? {yes}:{no}}": "yes",
    "${{9} <= {10} ? {yes}:{no}}": "yes",
    "${{1}=={01}?{yes}:{no}}": "yes",
    "${{10a} > {9} ? {yes}:{no}}": "no",
    "${{ 10 } > {9} ? {yes}:{no}}": "no",
    "${{3.11} >=level {3.9} ? {yes}:{no}}": "yes",
    "${{3.11} >= {3.9} ? {yes}:{no}}": "no",
    "${{3.6}<level{3.10}?{yes}:{no}}": "yes",
    "${{3} ==level {3.0.0} ? {yes}:{no}}": "yes",
}

#: Text and what is wrong with it; what C{postconf} of Postfix 3.7 warns of.
BAD = {
    "$": 'empty macro name: "$"',
    "a $ b": 'empty macro name: "a $ b"',
    "$-": 'empty macro name: "$-"',
    "${": 'truncated macro reference: "${"',
    "${a": 'truncated macro reference: "${a"',
    "$(a}": 'truncated macro reference: "$(a}"',
    "${}": 'empty macro name: "${}"',
    "${-}": 'attribute name syntax error at: "...>>>-"',
    "${a-b}": 'attribute name syntax error at: "...a>>>-b"',
    "${ a b}": 'attribute name syntax error at: "... a>>> b"',
    "${a{b}}": 'attribute name syntax error at: "...a>>>{b}"',
    "${a?{b} junk}": '":" expected at: "...b}>>>junk"',
    "${a?{b}:{c} junk}": 'unexpected input at: "...c}>>>junk"',
    "${a:{b} junk}": 'unexpected input at: "...b}>>>junk"',
    "${{a} ~ {b}?{c}}": '"==" or "!="" or "<"" or "<="" or ">="" or ">" expected at: '
    '"...a}>>>~ {b}?{c}"',
    "${{a} == b?{c}}": '"{expression}" expected at: "...{a} ==>>> b?{c}"',
    "${{a} <=levels {3}?{c}}": 'bad operator suffix at: "...<=>>>levels"',
    "${{x} <level {3} ? {a} : {b}}": 'malformed compatibility level syntax: "x"',
    "${{a}=={b} c}": '"?" or ":" expected at: "...}>>>c"',
    "${a?{${b} ${-}}:c}": 'attribute name syntax error at: "...>>>-"',
}


def lookup(name: str) -> str:
    return {"a": "A", "b": "B"}.get(name, "")


class ExpandTests(SynchronousTestCase):
    def test_good(self) -> None:
        """
        The whole grammar of postconf(5).
        """
        for text, expected in GOOD.items():
            self.assertEqual(expand(text, lookup), expected, text)

    def test_bad(self) -> None:
        """
        Malformed text is an error, not a guess.
        """
        for text, expected in BAD.items():
            error = self.assertRaises(MacroError, expand, text, lookup)
            self.assertEqual(error.what, expected, text)
            self.assertIn(expected, str(error))

    def test_branch_not_taken(self) -> None:
        """
        What is not chosen is not expanded, so it may refer to anything.
        """

        def only_a(name: str) -> str:
            self.assertEqual(name, "a")
            return "A"

        self.assertEqual(expand("${a?{1}:{$b}}", only_a), "1")

    def test_depth(self) -> None:
        """
        Nesting is bounded.
        """
        deep = MAX_DEPTH + 2
        text = "${a?{" * deep + "x" + "}}" * deep
        error = self.assertRaises(ValueError, expand, text, lookup)
        self.assertIn("deep", str(error))

    def test_size(self) -> None:
        """
        The result is bounded.
        """
        error = self.assertRaises(
            ValueError, expand, "$big" * 2000, lambda name: "x" * 1000
        )
        self.assertIn("grows", str(error))

    def test_large_numbers(self) -> None:
        """
        A number with very many digits is compared, or an error of ours.
        """
        text = "${{" + "9" * 5000 + "} > {1} ? {yes} : {no}}"
        self.assertEqual(expand(text, lookup), "yes")


class LevelTests(SynchronousTestCase):
    def test_order(self) -> None:
        """
        Levels are compared part by part: 3.9 is below 3.11.
        """
        self.assertLess(level("3.9"), level("3.11"))
        self.assertLess(level("2"), level("3.0.1"))
        self.assertEqual(level("3"), level("3.0"))

    def test_bad(self) -> None:
        for text in (
            "",
            "x",
            "3.",
            "3.6.1.2",
            "-1",
            "9999999999",
            "3.1024",
            "3.0.1024",
        ):
            self.assertRaises(MacroError, level, text)
        self.assertEqual(level("3.1023.1023"), (3, 1023, 1023))


class ReferencesTests(SynchronousTestCase):
    def test_all_forms(self) -> None:
        """
        Names in each form and in each branch are found; $$ is none.
        """
        text = "$a ${b} $(c) ${d?{$e}:{$f}} $$g ${{$h} == {i} ? {j}}"
        self.assertEqual(list(references(text)), list("abcdefh"))


class ScanTests(SynchronousTestCase):
    def test_order(self) -> None:
        """
        In order, in all parts, in numbers.
        """
        text = "$a ${b?{$c}:$(d)}$$x${{$e} == {${f}}?{$g $a}:h}${ i:{$j}}"
        self.assertEqual(list(scan(text)), list("abcdefgaij"))
        self.assertEqual(list(references(text)), list("abcdefgaij"))

    def test_bad(self) -> None:
        """
        What is malformed anywhere; a level is none before it is known.
        """
        for text in BAD:
            if "level {" not in text:
                self.assertRaises(MacroError, list, scan(text))
        self.assertRaises(MacroError, list, scan("${a?{}:{${-}}}"))
        deep = "${a?{" * (MAX_DEPTH + 2) + "x" + "}}" * (MAX_DEPTH + 2)
        self.assertRaises(ValueError, list, scan(deep))
