"""
The C{%} expansions of database clients: C{query}, C{result_format},
C{key_format}.

Owns: what C{%s %u %d %S %U %D %1} to C{%9} stand for, which keys cannot fill
    them, how values become one answer.
Knows nothing of: SQL, databases, where templates are written.

Sources: Postfix's sqlite_table(5), pgsql_table(5), mysql_table(5),
memcache_table(5); C{global/db_common.c}.

Errors: C{ValueError}, with what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

#: Characters of an answer; what is longer cannot be passed on to another
#: process, and is no address list but a fault.
MAX_ANSWER = 80_000


@dataclass(frozen=True, slots=True)
class Piece:
    """
    @ivar code: one of C{sudSUD1-9}; C{""}: the text as it is.
    """

    text: str
    code: str = ""


def parse(template: str) -> tuple[Piece, ...]:
    """
    @raise ValueError: C{%} with something else behind it.
    """
    pieces: list[Piece] = []
    text = ""
    chars = iter(template)
    for c in chars:
        if c != "%":
            text += c
            continue
        code = next(chars, "")
        if code == "%":
            text += "%"
        elif code and code in "sudSUD123456789":
            pieces += [Piece(text)] if text else []
            pieces.append(Piece("%" + code, code))
            text = ""
        else:
            raise ValueError(f'"%{code}": write one of %s %u %d %S %U %D %1 to %9, %%')
    return (*pieces, Piece(text)) if text else tuple(pieces)


@dataclass(frozen=True)
class Parts:
    """
    A key or a value.

    @ivar user: before the last C{@}; all, if there is none.
    @ivar labels: of the domain, the last one first.
    """

    whole: str
    user: str
    domain: str
    is_address: bool
    labels: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Parts:
        user, at, domain = text.rpartition("@")
        if not at:
            return cls(text, text, "", False, ())
        labels = tuple(label for label in reversed(domain.split(".")) if label)
        return cls(text, user, domain, True, labels)

    def get(self, code: str) -> str:
        if code.isdigit():
            return self.labels[int(code) - 1]
        return {"s": self.whole, "u": self.user, "d": self.domain}[code.lower()]


def fill(pieces: Iterable[Piece], key: Parts, value: Parts) -> str:
    """
    @param key: what upper case and digits stand for; it has all that is
        needed.
    @param value: what lower case stands for.
    """
    return "".join(
        (value if p.code.islower() else key).get(p.code) if p.code else p.text
        for p in pieces
    )


class Templates:
    """
    What is asked, and what is made of the answer.
    """

    def __init__(
        self, query: Sequence[Piece], result: Sequence[Piece], limit: int = 0
    ) -> None:
        """
        @param limit: expansion_limit; 0: none.
        """
        self._result = tuple(result)
        self._limit = max(0, limit)
        asked = {p.code for p in query if p.code}
        made = {p.code for p in result if p.code}
        of_key = {c.lower() for c in asked} | {c.lower() for c in made if c.isupper()}
        digits = {int(c) for c in asked | made if c.isdigit()}
        self._labels = max(digits, default=0)
        self._domain = "d" in of_key or bool(digits)
        self._user = "u" in of_key
        self._value_user, self._value_domain = "u" in made, "d" in made

    def can_ask(self, key: Parts) -> bool:
        """
        @return: the key has all that the templates name; else it is "not
            found", and nobody is asked.
        """
        if not key.whole or (self._domain and not key.domain):
            return False
        if self._user and key.is_address and not key.user:
            return False
        return len(key.labels) >= self._labels

    def answer(self, key: Parts, values: Iterable[str | None]) -> str | None:
        """
        @return: the values in result_format, joined with commas.
        @raise ValueError: they are more than expansion_limit, or too long.
        """
        found: list[str] = []
        size = 0
        for text in self._made(key, values):
            found.append(text)
            size += len(text) + 1
            if self._limit and len(found) > self._limit:
                raise ValueError("Expansion limit exceeded")
            if size > MAX_ANSWER:
                raise ValueError(f"the answer is longer than {MAX_ANSWER} characters")
        return ",".join(found) or None

    def _made(self, key: Parts, values: Iterable[str | None]) -> Iterator[str]:
        for text in values:
            if not text:
                continue
            value = Parts.of(text)
            if self._value_domain and not value.domain:
                continue
            if self._value_user and value.is_address and not value.user:
                continue
            yield fill(self._result, key, value)
