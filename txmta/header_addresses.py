"""
The addresses in a header: find them, and replace some in place.

Owns: which octets of the value of a header are addresses, as Postfix reads it;
    what stays when one is replaced.
Knows nothing of: which headers hold addresses, what an address is replaced by.

Only the octets of an address that changes are touched: phrases, comments,
folding and everything that is no well-formed address stay as they are, where
Postfix writes the whole header anew. Work is linear in the header.

The header is read from its end, as Postfix does it: only so is it known of a
phrase that it is one, and of a word before a colon that it names a group.

Sources: RFC 5322 sections 3.4 and 4.4. Postfix: C{global/tok822_parse.c},
C{cleanup/cleanup_message.c} (cleanup_rewrite_recip).

Errors: none; any octets are legal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple

from txmta.address import join, quote, scan
from txmta.mime_fields import after_comment

# The headers of nearly all mail: one address, perhaps with a name before it.
_SIMPLE = rb"[A-Za-z0-9#$&'*+/=?^_`{}~-]++(?:\.[A-Za-z0-9#$&'*+/=?^_`{}~-]++)*"
_ADDRESS = _SIMPLE + b"@" + _SIMPLE
_SIMPLE_ADDRESS = re.compile(_ADDRESS)
_ONE = re.compile(
    rb"[ \t\r\n]*+(?:"
    rb'(?:"[^"\\]*+"|[^"()<>@,;:.\\\[\]]++)*<(?P<named>' + _ADDRESS + rb")>"
    rb"|(?P<bare>" + _ADDRESS + rb"))[ \t\r\n]*+"
)

_TOKEN = re.compile(
    rb"[ \t\r\n]+"
    rb'|(?P<quoted>"[^"\\]*+(?:\\.[^"\\]*+)*")'
    rb'|(?P<word>(?:\\.|[^ \t\r\n|%!()<>@,;:.\]"\[\\])+)(?P<broken>\\)?'
    rb"|(?P<literal>\[[^\]\\]*+(?:\\.[^\]\\]*+)*\])"
    rb"|(?P<operator>[|%!()<>@,;:.\]])"
    # A quote, bracket or backslash that nothing follows.
    rb'|(?P<open>["\[].*+|\\)',
    re.DOTALL,
)
_KINDS = {"quoted": "word", "open": "broken"}
_WORDS = frozenset(("word", "literal", "broken"))
_PLAIN = frozenset(("word", "literal", ".", "@", "!", "%", "|"))


_SIMPLE_KINDS = ("word", "@", "word")


class Token(NamedTuple):
    """
    @ivar kind: C{"word"}, C{"literal"}, C{"broken"} for a word that has no end,
        or the operator itself.
    """

    kind: str
    start: int
    end: int


class HeaderAddress(NamedTuple):
    """
    One address.

    @ivar start: its first octet.
    @ivar end: what follows its last.
    @ivar kinds: of its tokens; never empty.
    @ivar plain: well formed, and set off from others by a comma or brackets.
    @ivar whole: no white space or comment is in it.
    """

    start: int
    end: int
    kinds: tuple[str, ...]
    plain: bool
    whole: bool

    def internal(self, value: bytes) -> str:
        """
        @param value: where it was found.
        @return: it in internal form; L{txmta.model}.
        """
        octets = value[self.start : self.end]
        if _SIMPLE_ADDRESS.fullmatch(octets):
            return octets.decode()
        return join(scan(octets.decode("utf-8", "surrogateescape")))


def tokens(value: bytes, limit: int) -> tuple[list[Token], bool]:
    """
    @param limit: how many there may be, comments among them.
    @return: words, literals and operators, without white space and comments;
        and whether the limit has cut off the rest.
    """
    found: list[Token] = []
    at, end, left = 0, len(value.rstrip(b"\r\n")), limit
    while at < end:
        match = _TOKEN.match(value, at, end)
        assert match is not None, "every octet starts a token"
        start, at = at, match.end()
        kind = match.lastgroup
        if kind is None:
            continue
        left -= 1
        if kind == "operator":
            kind = match[0].decode()
            if kind == "(":
                at = min(after_comment(value, start), end)
        if kind != "(":
            found.append(Token(_KINDS.get(kind, kind), start, at))
        if left == 0:
            return found, at < end
    return found, False


class _Reader:
    """
    Groups the tokens of one header into addresses, from the last to the first.

    @ivar right: where the address at hand ends.
    @ivar parted: what is there sets it off.
    """

    def __init__(self, found: list[Token], cut: bool) -> None:
        self._tokens = found
        self.right = len(found)
        self.parted = not cut
        self.addresses: list[HeaderAddress] = []

    def group(self, left: int, parted: bool) -> None:
        """
        What is between the token C{left} and C{right} is an address; what is
        before it ends there.

        @param parted: the one sets off the other.
        """
        run = self._tokens[left + 1 : max(self.right, 0)]
        if run:
            kinds = tuple([token.kind for token in run])
            plain = parted and self.parted and _is_plain(kinds)
            whole = all(a.end == b.start for a, b in pairwise(run))
            self.addresses.append(
                HeaderAddress(run[0].start, run[-1].end, kinds, plain, whole)
            )
        self.right, self.parted = left, parted


def _is_plain(kinds: tuple[str, ...]) -> bool:
    """
    Whether these can be one address.
    """
    if kinds[-1] == "." and len(kinds) > 2:
        kinds = kinds[:-1]  # a domain may have one dot at its end
    if not _PLAIN.issuperset(kinds) or kinds[-1] not in _WORDS:
        return False
    return kinds[0] not in ("literal", "@") and not any(
        a in _WORDS and b in _WORDS for a, b in pairwise(kinds)
    )


def find(value: bytes, limit: int) -> list[HeaderAddress]:
    """
    @param value: what follows the colon of a header.
    @param limit: header_address_token_limit.
    """
    few = not limit or len(value) < limit
    if few and (one := _ONE.fullmatch(value)):
        start, end = one.span("named" if one["named"] else "bare")
        return [HeaderAddress(start, end, _SIMPLE_KINDS, True, True)]
    found, cut = tokens(value, limit)
    kinds = [token.kind for token in found]
    reader = _Reader(found, cut)
    at = len(kinds) - 1
    in_group, after_word = False, False
    while at >= 0:
        kind = kinds[at]
        if kind == ",":
            reader.group(at, True)
            after_word = False
        elif kind == ";":
            reader.group(at, True)
            in_group, after_word = True, False
        elif kind == ":" and in_group:
            reader.group(at, True)
            at = _back(kinds, at, ",")
            reader.right = at
            continue
        elif kind == ">":
            reader.group(at, False)
            start = _back(kinds, at, "<")
            reader.parted = start >= 0
            reader.group(start, start >= 0)
            at = reader.right = _back(kinds, start, ">;,:")
            reader.parted, after_word = True, False
            continue
        elif kind in _WORDS:
            if after_word:
                reader.group(at, False)
                # This word is of the address before that.
                reader.right = at + 1
            after_word = True
        else:
            after_word = False
        at -= 1
    reader.group(-1, True)
    return reader.addresses[::-1]


def _back(kinds: list[str], at: int, among: str) -> int:
    """
    @return: where the last one before or at C{at} is that is C{among}; or -1.
    """
    while at >= 0 and kinds[at] not in among:
        at -= 1
    return at


def replace(value: bytes, changes: Iterable[tuple[HeaderAddress, str]]) -> bytes:
    """
    @param changes: addresses in the order of L{find}, and what each becomes, in
        internal form.
    """
    out: list[bytes] = []
    kept = 0
    for address, text in changes:
        out += value[kept : address.start], _external(text)
        if not address.whole:
            out += _comments(value[address.start : address.end])
        kept = address.end
    out.append(value[kept:])
    return b"".join(out)


def _external(address: str) -> bytes:
    return (quote(address) or '""').encode("utf-8", "surrogateescape")


def _comments(octets: bytes) -> list[bytes]:
    """
    @return: the comments inside an address, each with a space before it.
    """
    out: list[bytes] = []
    at = 0
    while match := _TOKEN.match(octets, at):
        start, at = at, match.end()
        if match[0] == b"(":
            at = after_comment(octets, start)
            out.append(b" " + octets[start:at])
    return out


def edit(value: bytes, limit: int, change: Callable[[str], str]) -> bytes:
    """
    Replace the plain addresses that C{change} changes.

    @param change: gets and gives internal form.
    @return: the same object, if none changes.
    """
    changes: list[tuple[HeaderAddress, str]] = []
    for address in find(value, limit):
        if address.plain:
            before = address.internal(value)
            after = change(before)
            if after != before:
                changes.append((address, after))
    return replace(value, changes) if changes else value
