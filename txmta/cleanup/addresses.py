"""
Complete the addresses in a header, in place.

Owns: finding the addresses in an address header; which octets change.
Knows nothing of: which headers hold addresses, what standard form is.

Only the octets of an address that changes are touched: phrases, comments,
folding and everything that is no well-formed address stay as they are, where
Postfix writes the whole header anew. Work is linear in the header.

Sources: RFC 5322 sections 3.4 and 4.4. Postfix: C{global/tok822_parse.c},
C{cleanup/cleanup_message.c} (cleanup_rewrite_recip).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from txmta.address import quote, unquote
from txmta.mime_fields import after_comment

if TYPE_CHECKING:
    from txmta.interfaces import IAddressResolver

# The headers of nearly all mail: every address has a domain of several labels
# and nothing that rewriting looks at.
_SPACE = rb"[ \t\r\n]*+"
_PLAIN = rb"[A-Za-z0-9#$&'*+/=?^_`{|}~.-]++@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)+"
_BARE = rb'[^"(),:;<>@\\\[\]]*+'
_PHRASE = _BARE + rb'(?:"[^"\\]*+"' + _BARE + rb")*"
_MAILBOX = _SPACE + b"(?:" + _PHRASE + b"<" + _PLAIN + b">|" + _PLAIN + b")" + _SPACE
_COMPLETE = re.compile(_MAILBOX + b"(?:," + _MAILBOX + b")*")
_COMPLETE_ONE = re.compile(_PLAIN)

_TOKEN = re.compile(
    rb"[ \t\r\n]+"
    rb'|(?P<word>"[^"\\]*+(?:\\.[^"\\]*+)*"'
    rb'|(?:\\[^\r\n]|[^ \t\r\n()<>@,;:.\]"\[\\])+)'
    rb"|(?P<literal>\[[^\]\\]*+(?:\\.[^\]\\]*+)*\])"
    rb"|(?P<operator>[()<>@,;:.\]])"
    rb"|(?P<broken>.++)",  # a quote, bracket or backslash that nothing follows
    re.DOTALL,
)
_WORDS = frozenset(("word", "literal"))
_ADDRESS_KINDS = _WORDS | {".", "@"}


class _Token(NamedTuple):
    kind: str
    start: int
    end: int


def _tokens(value: bytes, limit: int) -> Iterator[_Token]:
    """
    @return: words, literals and operators, without white space and comments;
        the kind of an operator is itself. After C{limit} tokens all the rest
        is one of kind C{"broken"}, like a quote without its end.
    """
    at = 0
    while at < len(value):
        match = _TOKEN.match(value, at)
        assert match is not None, "every octet starts a token"
        start, at = at, match.end()
        kind = match.lastgroup
        if kind is None:
            continue
        limit -= 1
        if limit < 0:
            kind, at = "broken", len(value)
        elif kind == "operator":
            kind = match[0].decode()
            if kind == "(":
                at = after_comment(value, start)
                continue
        yield _Token(kind, start, at)


def _found(value: bytes, limit: int) -> Iterator[list[_Token]]:
    """
    @return: the tokens of each address, never empty.
    """
    run: list[_Token] = []
    inside = bracketed = False
    for token in _tokens(value, limit):
        if token.kind == "<":
            run, inside, bracketed = [], True, True
        elif inside and token.kind == ">":
            if run:
                yield run
            run, inside = [], False
        elif not inside and token.kind in ",;:":
            # What precedes a colon is the name of a group.
            if run and not bracketed and token.kind != ":":
                yield run
            run, bracketed = [], False
        else:
            run.append(token)
    if run and not bracketed:
        yield run


class AddressCompletion:
    """
    Brings addresses to standard form with a resolver, or adds a domain.
    """

    def __init__(
        self, domain: str, limit: int, resolver: IAddressResolver | None = None
    ) -> None:
        """
        @param domain: what an address without domain gets.
        @param limit: tokens of one header that are looked at.
        """
        self._at_domain = b"@" + domain.encode("utf-8", "surrogateescape")
        self._limit = limit
        self._resolver = resolver

    #: Says of what stands between two places of a text whether L{complete}
    #: would leave it alone; it may say no where it would.
    is_complete = staticmethod(_COMPLETE.fullmatch)

    def complete(self, value: bytes) -> bytes:
        """
        @param value: all that follows the colon of a header.
        """
        if _COMPLETE.fullmatch(value):
            return value
        out: list[bytes] = []
        kept = 0
        for run in _found(value, self._limit):
            start, end = run[0].start, run[-1].end
            out += value[kept:start], self._completed(value[start:end], run)
            kept = end
        out.append(value[kept:])
        return b"".join(out)

    def _completed(self, text: bytes, run: list[_Token]) -> bytes:
        kinds = [token.kind for token in run]
        if not _ADDRESS_KINDS.issuperset(kinds) or kinds[-1] not in _WORDS:
            return text
        if kinds[0] == "literal" or any(
            a in _WORDS and b in _WORDS for a, b in pairwise(kinds)
        ):
            return text  # two words are not one address
        whole = all(a.end == b.start for a, b in pairwise(run))
        if self._resolver is None or not whole or b"\n" in text:
            return text if "@" in kinds else text + self._at_domain
        if _COMPLETE_ONE.fullmatch(text):
            return text
        address = unquote(text.decode("utf-8", "surrogateescape"))
        standard = self._resolver.rewrite(address, True)
        if standard == address:
            return text
        return quote(standard).encode("utf-8", "surrogateescape")
