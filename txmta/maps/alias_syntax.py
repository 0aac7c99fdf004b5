"""
Lines of alias files: tokens of RFC 822, as Postfix's postalias takes them.

A name is kept without quotes; a value is written anew, with one way of quoting and
of spacing, for it is cut into addresses again when it is used.

Owns: how a line is cut into a name and a value, and how each is written.
Knows nothing of: files; what a value means.

Sources: Postfix's aliases(5); C{postalias/postalias.c}, C{global/tok822_parse.c}.

Errors: C{ValueError}, in Postfix's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from txmta.address import after_comment

_TOKEN = re.compile(
    r"[ \t\r\n]+"
    r"|(?P<comment>\()"
    r'|"(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*)(?:"|\\?\Z)'
    r"|\[(?P<literal>[^\]\\]*+(?:\\.[^\]\\]*+)*)(?:\]|\\?\Z)"
    r"|(?P<operator>[|%!)<>@,;:.\]])"
    r'|(?P<atom>(?:\\.|[^ \t\r\n|%!()<>@,;:.\]\["\\])+)(?:\\\Z)?'
    r"|(?P<nothing>\\\Z)",
    re.DOTALL,
)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_SPACE = re.compile(r"[\t\r\n]")
_IN_QUOTES = re.compile(r'(["\\\r\n])')
_IN_LITERAL = re.compile(r"([\\\r\n])")

#: An atom that has one of these, by a backslash, is a quoted string.
_SPECIAL = re.compile(r'[\x00-\x20\x7f|%!()<>@,;:.\[\]"\\]')

_OPERATOR = "operator"


class Token(NamedTuple):
    """
    @ivar text: without quotes and brackets; a comment with its parentheses.
    """

    kind: str
    text: str


def name_and_value(line: str) -> tuple[str, str]:
    """
    @param line: C{name: value}.
    @raise ValueError: it is none.
    """
    tokens = _scan(line)
    try:
        colon = tokens.index(Token(_OPERATOR, ":"))
    except ValueError:
        colon = 0
    name, value = tokens[:colon], tokens[colon + 1 :]
    signs = {token.text for token in name if token.kind == _OPERATOR}
    if not name or not value or "," in signs:
        raise ValueError("need name:value pair")
    if signs & {"@", "%"}:
        raise ValueError("name must be local")
    return _written(name, False), _written(value, True)


def _scan(text: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None, "every character starts a token"
        start, at = at, match.end()
        kind = match.lastgroup
        if kind is None:
            continue
        value = match[kind]
        if kind == "comment":
            at = after_comment(text, start)
            value = text[start:at]
        elif kind == "nothing":
            kind, value = "atom", ""
        elif kind != _OPERATOR:
            if "\\" in value:
                value = _PAIR.sub(r"\1", value)
                if kind == "atom" and _SPECIAL.search(value):
                    kind = "quoted"
            value = _SPACE.sub(" ", value)
        tokens.append(Token(kind, value))
    return tokens


def _written(tokens: Sequence[Token], quotes: bool) -> str:
    """
    @param quotes: write them.
    """
    pieces: list[str] = []
    for i, (kind, text) in enumerate(tokens):
        if kind == "literal":
            if quotes:
                text = _IN_LITERAL.sub(r"\\\1", text)
            text = f"[{text}]"
        elif kind == "quoted" and quotes:
            text = '"' + _IN_QUOTES.sub(r"\\\1", text) + '"'
        pieces.append(text)
        following = tokens[i + 1] if i + 1 < len(tokens) else None
        if _apart(tokens[i], following):
            pieces.append(" ")
    return "".join(pieces)


def _apart(token: Token, following: Token | None) -> bool:
    """
    @return: a space goes behind it.
    """
    if token == (_OPERATOR, ","):
        return True
    if following is None:
        return False
    if token.kind == _OPERATOR:
        return following == (_OPERATOR, "<")
    return following.kind != _OPERATOR or following.text == "<"
