"""
What a record may say: its fields, and the bounds of each.

Each end of a link takes only the types of its peer's role, each with a
schema; what does not fit is not looked at any further.

Owns: the check of a record against a schema.
Knows nothing of: frames, links, what any record is for.

Errors: L{BadRecord}.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from txmta.master.frames import Record


class BadRecord(ValueError):
    """
    A record that its schema, or whoever handles it, does not take.
    """


class Kind(Protocol):
    """
    What one field may hold.
    """

    def check(self, value: Any) -> str:
        """
        @return: C{""}, or what it should be.
        """


@dataclass(frozen=True)
class Text:
    """
    @ivar max: characters.
    @ivar min: characters.
    @ivar pattern: what the whole of it matches.
    @ivar line: has neither line end nor NUL; for what gets into the log.
    """

    max: int
    min: int = 0
    pattern: re.Pattern[str] | None = None
    line: bool = False

    def check(self, value: Any) -> str:
        if type(value) is not str or not self.min <= len(value) <= self.max:
            return f"text of {self.min} to {self.max} characters"
        if self.pattern is not None and not self.pattern.fullmatch(value):
            return f"text that matches {self.pattern.pattern}"
        if self.line and ("\n" in value or "\r" in value or "\0" in value):
            return "one line of text"
        return ""


@dataclass(frozen=True)
class Number:
    """
    A whole number, from C{low} to C{high}, both included.
    """

    low: int
    high: int

    def check(self, value: Any) -> str:
        # Not isinstance: true is no number.
        if type(value) is int and self.low <= value <= self.high:
            return ""
        return f"a number from {self.low} to {self.high}"


@dataclass(frozen=True)
class Real:
    """
    A number with or without fraction, from C{low} to C{high}, both included;
    so neither infinite nor "not a number".
    """

    low: float
    high: float

    def check(self, value: Any) -> str:
        if type(value) in (int, float) and self.low <= value <= self.high:
            return ""
        return f"a number from {self.low} to {self.high}"


@dataclass(frozen=True)
class Flag:
    """
    True or false.
    """

    def check(self, value: Any) -> str:
        return "" if type(value) is bool else "true or false"


class Choice:
    """
    One of some words.
    """

    def __init__(self, *words: str) -> None:
        self._words = frozenset(words)

    def check(self, value: Any) -> str:
        if type(value) is str and value in self._words:
            return ""
        return f"one of {', '.join(sorted(self._words))}"


@dataclass(frozen=True)
class ListOf:
    """
    @ivar kind: of each item.
    @ivar max: items.
    @ivar min: items.
    """

    kind: Kind
    max: int
    min: int = 0

    def check(self, value: Any) -> str:
        if type(value) is not list or not self.min <= len(value) <= self.max:
            return f"a list of {self.min} to {self.max}"
        check = self.kind.check
        for each in value:
            if wrong := check(each):
                return f"a list of which each is {wrong}"
        return ""


class Tuple:
    """
    A list with a kind for each place: shorter on the way than an object.
    """

    def __init__(self, *kinds: Kind) -> None:
        self._kinds = kinds

    def check(self, value: Any) -> str:
        if type(value) is not list or len(value) != len(self._kinds):
            return f"a list of {len(self._kinds)}"
        for n, (kind, each) in enumerate(zip(self._kinds, value, strict=True)):
            if wrong := kind.check(each):
                return f"a list whose item {n} is {wrong}"
        return ""


@dataclass(frozen=True)
class Optional:
    """
    A field that may be missing; a null stands for nothing.
    """

    kind: Kind

    def check(self, value: Any) -> str:
        return self.kind.check(value)


@dataclass(frozen=True)
class OrNull:
    """
    Of a kind, or null.
    """

    kind: Kind

    def check(self, value: Any) -> str:
        return "" if value is None else self.kind.check(value)


class Fields:
    """
    An object with these fields and no others.
    """

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._checks: list[tuple[str, Callable[[Any], str]]] = [
            (name, kind.check)
            for name, kind in kinds.items()
            if not isinstance(kind, Optional)
        ]
        self._optional = {
            name: kind.check
            for name, kind in kinds.items()
            if isinstance(kind, Optional)
        }

    def check(self, value: Any) -> str:
        if type(value) is not dict:
            return "an object"
        return self.wrong(value, 0)

    def wrong(self, value: dict[str, Any], known: int) -> str:
        """
        @param known: how many fields are somebody else's to check.
        @return: C{""}, or what is wrong.
        """
        for name, check in self._checks:
            if name not in value:
                return f"{name} is missing"
            if wrong := check(value[name]):
                return f"{name} should be {wrong}"
            known += 1
        if known < len(value):
            for name, check in self._optional.items():
                if name in value:
                    if wrong := check(value[name]):
                        return f"{name} should be {wrong}"
                    known += 1
        if known < len(value):
            return "it has a field that is not known"
        return ""


class Schema:
    """
    The fields of a type of record, besides C{"t"}.
    """

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        if "t" in kinds:
            raise ValueError("the type is no field")
        self._fields = Fields(kinds)

    def check(self, record: Record) -> None:
        """
        @param record: has a C{"t"}.
        @raise BadRecord: it does not fit.
        """
        if wrong := self._fields.wrong(record, 1):
            raise BadRecord(wrong)
