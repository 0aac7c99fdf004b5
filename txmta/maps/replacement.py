"""
C{$1}, C{${1}} and C{$(1)} in the results of pattern tables.

Sources: Postfix: C{util/mac_parse.c}, C{util/dict_regexp.c}.

Errors: L{BadReplacement}, in Postfix's words.
"""

from __future__ import annotations

import re

#: Text, or the number of a group.
Part = str | int

_NAME = re.compile(r"[A-Za-z0-9_]*")
_PARTNER = {"{": "}", "(": ")"}


class BadReplacement(Exception):
    """
    A result that cannot be used.

    @ivar placed: Postfix says in which line.
    """

    def __init__(self, text: str, placed: bool) -> None:
        super().__init__(text)
        self.placed = placed


def parse_replacement(text: str, range_words: str) -> tuple[Part, ...]:
    """
    @param range_words: how this type of table says "out of range".
    """
    parts: list[Part] = []
    literal = ""
    place = 0
    while (dollar := text.find("$", place)) >= 0:
        literal += text[place:dollar]
        place = dollar + 1
        if text[place : place + 1] == "$":
            literal += "$"
            place += 1
            continue
        name, place = _name(text, place)
        if literal:
            parts.append(literal)
            literal = ""
        parts.append(_number(name, range_words))
    literal += text[place:]
    if literal or not parts:
        parts.append(literal)
    return tuple(parts)


def _name(text: str, place: int) -> tuple[str, int]:
    opening = text[place : place + 1]
    if opening in _PARTNER:
        depth = 0
        for end in range(place, len(text)):
            depth += (text[end] == opening) - (text[end] == _PARTNER[opening])
            if depth == 0:
                break
        else:
            raise BadReplacement(f'truncated macro reference: "{text}"', False)
        name, place = text[place + 1 : end], end + 1
    else:
        match = _NAME.match(text, place)
        name = match[0] if match else ""
        place += len(name)
    if not name:
        raise BadReplacement(f'empty macro name: "{text}"', False)
    return name, place


def _number(name: str, range_words: str) -> int:
    if not (name.isascii() and name.isdigit()):
        raise BadReplacement(f'non-numeric replacement index "{name}"', True)
    # As C's atoi has it: the words of later messages depend on it.
    number = int(name[-30:]) & 0xFFFFFFFF
    if number == 0 or number >= 1 << 31:
        raise BadReplacement(f'{range_words} replacement index "{name}"', True)
    return number
