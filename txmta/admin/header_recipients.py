"""
Find recipients in headers and on a command line.

Owns: which headers name recipients (C{sendmail -t}); the addresses in one.
Knows nothing of: completion, which addresses can be.

Light on purpose: C{sendmail} starts anew for each message, and L{txmta.address}
takes longer to import than the rest takes to run. Addresses are cut out of their
surroundings here; what they mean is found out by pickup.

Sources: RFC 5322 sections 3.4 and 3.6; Postfix C{global/tok822_parse.c},
C{global/header_opts.c}, C{global/is_header.c}, C{sendmail/sendmail.c}
(output_header).

Errors: none; any octets are legal.
"""

from __future__ import annotations

import re

#: Headers that name recipients, and whether they are of a message resent.
_HEADERS = {
    "to": False,
    "cc": False,
    "bcc": False,
    "resent-to": True,
    "resent-cc": True,
    "resent-bcc": True,
}

_HEADER = re.compile(r"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)

_TOKEN = re.compile(
    r'[ \t\r\n]+|"((?:[^"\\]|\\.)*)(?:"|\\?\Z)|(\[(?:[^\]\\]|\\.)*(?:\]|\\?\Z))'
    r"|([()<>,;:@.\]])|((?:\\.|[^ \t\r\n()<>@,;:.\]\[\"\\])+)(?:\\\Z)?|\\\Z",
    re.DOTALL,
)
_COMMENT = re.compile(r"\\.|[()]", re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_SPACE = re.compile(r"[\t\r\n]+")

#: Kinds of token that are words; two in a row are two addresses.
_WORD = "w"


def tokens(text: str) -> list[tuple[str, str]]:
    """
    @return: kind and text of each token, without white space and comments.
    """
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None, "every character starts a token"
        at = match.end()
        quoted, literal, operator, atom = match.groups()
        if operator == "(":
            at = _after_comment(text, match.start())
        elif operator:
            found.append((operator, operator))
        elif quoted is not None:
            found.append((_WORD, _SPACE.sub(" ", _PAIR.sub(r"\1", quoted))))
        elif literal or atom:
            found.append((_WORD, literal or _PAIR.sub(r"\1", atom)))
    return found


def _after_comment(text: str, start: int) -> int:
    depth = 0
    for part in _COMMENT.finditer(text, start):
        depth += (part[0] == "(") - (part[0] == ")")
        if depth == 0:
            return part.end()
    return len(text)


def addresses(text: str) -> list[str]:
    """
    @param text: a list of addresses in external form.
    @return: each in internal form; names of groups and phrases are dropped, and
        C{<>} is no address.
    """
    found: list[str] = []
    run: list[tuple[str, str]] = []
    inside = bracketed = False
    for kind, value in tokens(text):
        if kind == "<":
            run, inside, bracketed = [], True, True
        elif kind == ">" and inside:
            found += [_joined(run)] if run else []
            run, inside = [], False
        elif inside or (kind == ":" and run and run[0][0] == "@"):
            run.append((kind, value))
        elif kind in ",;:":
            if not bracketed and kind != ":":
                found += _split(run)
            run, bracketed = [], False
        else:
            run.append((kind, value))
    if inside:
        found += [_joined(run)] if run else []
    elif not bracketed:
        found += _split(run)
    return found


def _joined(run: list[tuple[str, str]]) -> str:
    out, before = "", ""
    for kind, value in run:
        out += f" {value}" if kind == before == _WORD else value
        before = kind
    return out


def _split(run: list[tuple[str, str]]) -> list[str]:
    parts: list[list[tuple[str, str]]] = []
    before = _WORD
    for kind, value in run:
        if kind == before == _WORD:
            parts.append([])
        parts = parts or [[]]
        parts[-1].append((kind, value))
        before = kind
    return [_joined(part) for part in parts]


class HeaderRecipients:
    """
    The recipients in the headers of one message; those of a message resent
    count alone.
    """

    def __init__(self) -> None:
        self._found: list[str] = []
        self._resent: list[str] = []
        self._is_resent = False

    def header(self, text: str) -> bool:
        """
        @param text: a header with its continuation lines.
        @return: it is one; else the header section has ended before it.
        """
        match = _HEADER.match(text)
        if match is None:
            return False
        resent = _HEADERS.get(match[1].lower())
        if resent is not None:
            if resent:
                self._is_resent = True
                self._resent += addresses(match[2])
            elif not self._is_resent:
                self._found += addresses(match[2])
        return True

    def all(self) -> list[str]:
        return self._resent if self._is_resent else self._found
