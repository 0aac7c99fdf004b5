"""
Read the right-hand side of an alias.

Owns: cutting it into addresses, and telling addresses from commands, files
    and C{:include:} lists.
Knows nothing of: what happens to them.

Sources: aliases(5); Postfix C{global/tok822_parse.c}, C{local/token.c}.

Errors: none: any text is legal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain

from txmta.address import join, scan

_QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*"?'
# Addresses are separated by commas and semicolons; white space separates them
# too, but not the words before an address in angle brackets.
_PIECE = re.compile(rf'(?:{_QUOTED}|<[^>]*>?|\([^)]*\)?|[^,;"<(])+', re.DOTALL)
_WORD = re.compile(rf'(?:{_QUOTED}|<[^>]*>?|\([^)]*\)?|[^\s"<(])+', re.DOTALL)


class Kind(Enum):
    """
    What a target is; the value says so in a deferral.
    """

    ADDRESS = "address"
    COMMAND = "command"
    FILE = "file"
    INCLUDE = ":include: list"


@dataclass(frozen=True, slots=True)
class Target:
    """
    @ivar text: for an address, internal form.
    """

    kind: Kind
    text: str


def targets(text: str) -> Iterator[Target]:
    """
    @param text: what an alias table has for a name.
    """
    for piece in _PIECE.finditer(text):
        for word in _addresses(piece[0]):
            # "name:" opens a group (RFC 5322 section 3.4)
            if not word.endswith(":") or word.startswith(":"):
                target = join(scan(word.removeprefix("<").removesuffix(">")))
                if target:
                    yield Target(_kind(target), target)


def listed_targets(text: str, limit: int) -> Iterator[Target]:
    """
    @param text: of an C{:include:} or .forward file: each line as an alias has
        it, but for those that begin with C{#}.
        A null byte ends a line, as in Postfix.
    @param limit: line_length_limit; longer lines are cut into several.
    """
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        end = min(end, start + limit)
        if text[start] != "#":
            yield from targets(text[start:end].partition("\0")[0])
        start = end


def _addresses(piece: str) -> Iterator[str]:
    # One by one: there may be a million.
    words = (word[0] for word in _WORD.finditer(piece))
    if "<" not in piece:
        return words
    routes = (word for word in words if word.startswith("<"))
    first = next(routes, None)
    if first is None:
        return (word[0] for word in _WORD.finditer(piece))
    return chain((first,), routes)


def _kind(target: str) -> Kind:
    if target[0] == "|":
        return Kind.COMMAND
    if target[0] in "/~":
        return Kind.FILE
    if target[:9].lower() == ":include:":
        return Kind.INCLUDE
    return Kind.ADDRESS
