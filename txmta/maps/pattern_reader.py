"""
Rules of C{regexp:} and C{pcre:} tables, as they are written.

Owns: the syntax around expressions.
Knows nothing of: expressions, files (L{txmta.maps.rule_source}).

Sources: Postfix's regexp_table(5), pcre_table(5); C{util/dict_regexp.c},
C{util/dict_pcre.c}.

Errors: none; a rule that cannot be used is skipped with Postfix's warning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from txmta.maps.pattern_rules import BadExpression, Expression, Rule, RuleSet, Test
from txmta.maps.replacement import BadReplacement, Part, parse_replacement
from txmta.maps.rule_source import MAX_NESTING, Skips, rule_lines


class Dialect(Protocol):
    """
    What is different between C{regexp:} and C{pcre:}.

    @ivar name: the type of the table.
    @ivar flags: letters that may follow an expression.
    @ivar ignored: letters that have no meaning any more.
    @ivar pairs: whether C{/this/!/but not this/} is possible.
    @ivar unclosed: what is said of an expression without its end.
    @ivar range_words: what is said of C{$0}.
    """

    name: str
    flags: str
    ignored: str
    pairs: bool
    unclosed: str
    range_words: str

    def compile(self, text: str, flags: str, grouped: bool) -> Expression:
        """
        @param flags: the letters that are set an odd number of times.
        @param grouped: whether the groups will be asked for.
        @raise BadExpression: in the library's words.
        """


class RuleReader:
    """
    Reads a file of rules.
    """

    def __init__(
        self,
        dialect: Dialect,
        path: str,
        skips: Skips,
        substitution: bool,
        convert: Callable[[str], str] | None = None,
    ) -> None:
        """
        @param substitution: whether results may have C{$1}.
        @param convert: makes of a result what the table answers; then nothing
            in it is replaced.
        """
        self._convert = convert
        self._dialect = dialect
        self._map = f"{dialect.name} map {path}, line "
        self._path = path
        self._skips = skips
        self._substitution = substitution
        self._rules: list[Rule] = []
        self._open: list[Rule] = []

    def read(self, text: str) -> RuleSet:
        for number, line in rule_lines(text, self._path, self._skips):
            try:
                self._statement(number, line)
            except _Skip as e:
                self._skips.skip(f"{self._map}{number}: {e}")
        for rule in reversed(self._open):
            self._skips.warn(f"{self._map}{rule.line}: IF has no matching ENDIF")
        return RuleSet(self._rules)

    def _warn(self, number: int, text: str) -> None:
        self._skips.warn(f"{self._map}{number}: {text}")

    def _statement(self, number: int, line: str) -> None:
        if not (line[0].isascii() and line[0].isalnum()):
            self._rule(number, line)
        elif _is_word(line, "if"):
            self._if(number, line[2:].lstrip())
        elif _is_word(line, "endif"):
            if not self._open:
                self._warn(number, "ignoring ENDIF without matching IF")
                return
            if line[5:].strip():
                self._warn(number, "ignoring extra text after ENDIF")
            self._open.pop().after = len(self._rules)
        else:
            raise _Skip("ignoring unrecognized request")

    def _if(self, number: int, line: str) -> None:
        sign, text, flags, rest = self._expression(line, number)
        if rest := rest.strip():
            self._warn(number, f'ignoring extra text after IF statement: "{rest}"')
            self._warn(
                number,
                "do not prepend whitespace to statements between IF and ENDIF",
            )
        if len(self._open) >= MAX_NESTING:
            raise _Skip("too many IFs inside each other: skipping this rule")
        test = Test(self._compile(text, flags, False), sign)
        rule = Rule(number, (test,), None)
        self._rules.append(rule)
        self._open.append(rule)

    def _rule(self, number: int, line: str) -> None:
        sign, text, flags, rest = self._expression(line, number)
        second = None
        if self._dialect.pairs and rest.startswith("!"):
            second = self._expression(rest, number)
            rest = second[3]
        result = rest.strip()
        if not result:
            self._warn(number, "no replacement text: using empty string")
        parts = self._replacement(number, result)
        highest = max((p for p in parts if isinstance(p, int)), default=0)
        if highest and not sign:
            raise _Skip(
                "$number found in negative match replacement text: skipping this rule"
            )
        if highest and not self._substitution:
            raise _Skip(
                "regular expression substitution is not allowed: skipping this rule"
            )
        grouped = highest > 0
        tests = [Test(self._compile(text, flags, grouped), sign, grouped)]
        if highest > tests[0].expression.groups:
            raise _Skip(
                f'out of range replacement index "{highest}": skipping this rule'
            )
        if second is not None:
            tests.append(Test(self._compile(second[1], second[2], False), second[0]))
        self._rules.append(Rule(number, tuple(tests), parts))

    def _replacement(self, number: int, result: str) -> tuple[Part, ...]:
        if self._convert is not None:
            try:
                return (self._convert(result),)
            except ValueError as e:
                raise _Skip(f"{e}: skipping this rule") from e
        try:
            return parse_replacement(result, self._dialect.range_words)
        except BadReplacement as e:
            if e.placed:
                self._warn(number, str(e))
            else:
                self._skips.warn(str(e))
            raise _Skip("bad replacement syntax: skipping this rule") from e

    def _compile(self, text: str, flags: str, grouped: bool) -> Expression:
        try:
            return self._dialect.compile(text, flags, grouped)
        except BadExpression as e:
            raise _Skip(str(e)) from e

    def _expression(self, line: str, number: int) -> tuple[bool, str, str, str]:
        """
        @return: whether it must match; the expression; letters that are set;
            the rest of the line.
        """
        wanted = True
        while line.startswith("!"):
            wanted = not wanted
            line = line[1:].lstrip()
        if not line:
            raise _Skip("no regexp: skipping this rule")
        end = self._closing(line)
        if end < 0:
            raise _Skip(
                f'no closing regexp delimiter "{line[0]}": {self._dialect.unclosed}'
            )
        flags: set[str] = set()
        place = end + 1
        while place < len(line) and not line[place].isspace():
            flag = line[place]
            if flag == "!" and self._dialect.pairs:
                break
            if flag in self._dialect.ignored:
                self._warn(number, f'ignoring obsolete regexp option "{flag}"')
            elif flag in self._dialect.flags:
                flags ^= {flag}
            else:
                raise _Skip(f'unknown regexp option "{flag}": skipping this rule')
            place += 1
        return wanted, line[1:end], "".join(sorted(flags)), line[place:]

    def _closing(self, line: str) -> int:
        place = 1
        while place < len(line):
            if line[place] == "\\":
                if place + 1 == len(line) and self._dialect.pairs:
                    return place  # Postfix takes it for the end
                place += 1
            elif line[place] == line[0]:
                return place
            place += 1
        return -1


class _Skip(Exception):
    """
    A rule does not count; why.
    """


def _is_word(line: str, word: str) -> bool:
    following = line[len(word) : len(word) + 1]
    return line[: len(word)].lower() == word and not following.isalnum()
