"""
How a key goes through the rules of a C{regexp:} or C{pcre:} table.

Owns: order, C{if}, results with C{$1}; the time that one lookup may take.
Knows nothing of: expressions (L{txmta.maps.posix_regex}, L{txmta.maps.pcre2}),
    how rules are written (L{txmta.maps.pattern_reader}).

Sources: Postfix's regexp_table(5), pcre_table(5); C{util/dict_regexp.c},
C{util/dict_pcre.c}.

Errors: L{TooSlow}.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from txmta.maps.replacement import Part

#: Seconds of processor time for one lookup, all rules together. What smtpd
#: asks about is written by strangers; meanwhile all other sessions wait.
TIME_LIMIT = 0.25

#: What a group matched; L{None}: nothing.
Groups = list[bytes | None]


class TooSlow(Exception):
    """
    A search is given up: it can say neither "matches" nor "does not match".
    """


class BadExpression(Exception):
    """
    An expression that cannot be compiled; why, in the library's words.
    """


class Budget:
    """
    The time that one lookup has.
    """

    __slots__ = ("_clock", "_end")

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        """
        @param clock: processor time of this thread: a machine that is busy
            with others makes no pattern slow.
        """
        self._clock = clock
        self._end = clock() + seconds

    def check(self) -> None:
        """
        @raise TooSlow: it is used up.
        """
        if self._clock() > self._end:
            raise TooSlow("takes too long")


class Expression(Protocol):
    """
    A compiled expression.

    @ivar groups: how many it has.
    """

    groups: int

    def search(self, key: bytes, budget: Budget) -> bool:
        """
        @raise TooSlow: it cannot be said.
        """

    def find(self, key: bytes, budget: Budget) -> Groups | None:
        """
        @return: the groups, from 1 on, of the match.
        @raise TooSlow: it cannot be said.
        """


@dataclass(frozen=True, slots=True)
class Test:
    """
    An expression, and whether it must match or must not.

    @ivar grouped: the result names its groups.
    """

    expression: Expression
    wanted: bool
    grouped: bool = False


@dataclass(slots=True)
class Rule:
    """
    A rule, or an C{if}.

    @ivar tests: all must come true.
    @ivar result: of a rule; L{None} for an C{if}.
    @ivar after: of an C{if}: the place after its C{endif}.
    """

    line: int
    tests: tuple[Test, ...]
    result: tuple[Part, ...] | None
    after: int = -1


@dataclass(slots=True)
class RuleSet:
    """
    The rules of a table.
    """

    rules: list[Rule] = field(default_factory=list)
    clock: Callable[[], float] = time.thread_time
    limit: float = TIME_LIMIT

    def find(self, key: str) -> str | None:
        """
        @return: the result of the first rule that the key fits.
        @raise TooSlow: it takes too long; with the line of the rule.
        """
        rules = self.rules
        octets = key.encode("utf-8", "surrogateescape")
        budget = Budget(self.clock, self.limit)
        place, end = 0, len(rules)
        while 0 <= place < end:
            rule = rules[place]
            try:
                if place & 15 == 15:
                    budget.check()
                found = _apply(rule, octets, budget)
            except TooSlow as e:
                raise TooSlow(f"line {rule.line}: {e}") from e
            if rule.result is None:
                # Without its endif an if has the rest of the file.
                place = place + 1 if found is not None else rule.after
            elif found is not None:
                return found
            else:
                place += 1
        return None


def _apply(rule: Rule, key: bytes, budget: Budget) -> str | None:
    """
    @return: the result, C{""} for an C{if}; L{None}: the key does not fit.
    """
    groups: Groups | None = None
    for test in rule.tests:
        if test.grouped:
            groups = test.expression.find(key, budget)
            if groups is None:
                return None
        elif test.expression.search(key, budget) is not test.wanted:
            return None
    return "" if rule.result is None else _expand(rule.result, groups or [])


def _expand(result: tuple[Part, ...], groups: Groups) -> str:
    if len(result) == 1 and isinstance(result[0], str):
        return result[0]
    pieces = []
    for part in result:
        if isinstance(part, str):
            pieces.append(part)
        elif (group := groups[part - 1]) is not None:
            pieces.append(group.decode("utf-8", "surrogateescape"))
    return "".join(pieces)
