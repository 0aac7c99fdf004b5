"""
An SQL query template, split into SQL text and values to bind.

A quoted string that has a C{%} expansion becomes one value as a whole, as does
an expansion that stands alone. So what is looked up is never SQL text, and
how it would have to be quoted is no question.

Owns: where strings, names and comments begin and end.
Knows nothing of: databases; whether the SQL is right.

Sources: Postfix's C{global/db_common.c}; the lexical rules of SQLite,
PostgreSQL (section 4.1) and MariaDB.

Errors: C{ValueError}: an expansion where no value can stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from txmta.maps.templates import Parts, Piece, fill, parse


@dataclass(frozen=True)
class Dialect:
    """
    @ivar strings: quotes around strings.
    @ivar names: quotes around names: none may hold an expansion.
    @ivar backslash: escapes in strings.
    @ivar dollar: C{$tag$ ... $tag$} is a string.
    @ivar hash: C{#} begins a comment.
    """

    strings: str = "'"
    names: str = '"'
    backslash: bool = False
    dollar: bool = False
    hash: bool = False


#: What SQLite does not know as a name is a string, and many write it so.
SQLITE = Dialect(strings="'\"", names="`[")
PGSQL = Dialect(dollar=True)
MYSQL = Dialect(strings="'\"", names="`", backslash=True, hash=True)

_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
_TAG = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_WORD = re.compile(r"[\w.$]")

#: A character of the template, or an expansion.
_Unit = str | Piece


@dataclass(frozen=True)
class Statement:
    """
    @ivar texts: SQL, one more than values.
    @ivar values: what is bound between them.
    """

    texts: tuple[str, ...]
    values: tuple[tuple[Piece, ...], ...]

    def bind(self, key: Parts) -> tuple[str, ...]:
        """
        @param key: has all that the values name.
        """
        return tuple(fill(value, key, key) for value in self.values)


def read(template: str, dialect: Dialect) -> Statement:
    """
    @raise ValueError: an expansion is wrong, or stands where no value can.
    """
    units: list[_Unit] = []
    for piece in parse(template):
        units.extend([piece] if piece.code else piece.text)
    return _Reader(units, dialect).read()


@dataclass
class _Reader:
    units: Sequence[_Unit]
    dialect: Dialect
    at: int = 0
    texts: list[str] = field(default_factory=lambda: [""])
    values: list[tuple[Piece, ...]] = field(default_factory=list)

    def read(self) -> Statement:
        while self.at < len(self.units):
            unit = self.units[self.at]
            if isinstance(unit, Piece):
                self._alone(unit)
            elif unit in self.dialect.strings:
                self._string(unit)
            elif unit in self.dialect.names:
                self._through("]" if unit == "[" else unit, "a quoted name")
            elif end := self._begins():
                self._through(*end)
            else:
                self.texts[-1] += unit
                self.at += 1
        return Statement(tuple(self.texts), tuple(self.values))

    def _begins(self) -> tuple[str, str] | None:
        """
        @return: how what begins here ends, and what it is called.
        """
        ahead = self.units[self.at : self.at + 64]
        here = "".join(u if isinstance(u, str) else "\0" for u in ahead)
        if here.startswith("--") or (self.dialect.hash and here.startswith("#")):
            return "\n", "a comment"
        if here.startswith("/*"):
            return "*/", "a comment"
        if self.dialect.dollar and (tag := _TAG.match(here)):
            return tag[0], "a string in dollars"
        return None

    def _through(self, end: str, what: str) -> None:
        """
        Copy what may have no expansion.
        """
        text = ""
        first = self.at
        while self.at < len(self.units):
            unit = self.units[self.at]
            if isinstance(unit, Piece):
                raise ValueError(f'"{unit.text}" stands in {what}: {_REMEDY}')
            text += unit
            self.at += 1
            if text.endswith(end) and self.at - first > len(end):
                break
        self.texts[-1] += text

    def _alone(self, piece: Piece) -> None:
        after = self.units[self.at + 1 : self.at + 2]
        around = self.texts[-1][-1:] + "".join(u for u in after if isinstance(u, str))
        if _WORD.search(around) or any(isinstance(u, Piece) for u in after):
            raise ValueError(f'"{piece.text}" is part of a word: {_REMEDY}')
        self._add((piece,))
        self.at += 1

    def _add(self, value: tuple[Piece, ...]) -> None:
        self.values.append(value)
        self.texts.append("")

    def _string(self, quote: str) -> None:
        begin, pieces, text = self.at, list[Piece](), ""
        self.at += 1
        while True:
            if self.at >= len(self.units):
                raise ValueError(f"a string has no closing {quote}")
            unit = self.units[self.at]
            self.at += 1
            if isinstance(unit, Piece):
                pieces += [Piece(text), unit]
                text = ""
            elif unit == quote and self._peek() != quote:
                break
            elif unit == quote or (unit == "\\" and self.dialect.backslash):
                text += self._escaped(unit)
            else:
                text += unit
        if not pieces:
            self.texts[-1] += "".join(
                u for u in self.units[begin : self.at] if isinstance(u, str)
            )
            return
        if _WORD.match(self.texts[-1][-1:]):
            raise ValueError(
                f'"{pieces[1].text}" stands in a string with a prefix: {_REMEDY}'
            )
        self._add((*pieces, Piece(text)))

    def _peek(self) -> _Unit:
        return self.units[self.at] if self.at < len(self.units) else ""

    def _escaped(self, unit: str) -> str:
        following = self._peek()
        if isinstance(following, Piece) or not following:
            return unit
        self.at += 1
        if unit != "\\":
            return unit
        # \% and \_ are left to LIKE.
        kept = unit + following if following in "%_" else following
        return _ESCAPES.get(following, kept)


_REMEDY = "there no value can be bound: write it in quotes of its own: '%s'"
