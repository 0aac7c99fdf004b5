"""
What Content-Type and Content-Transfer-Encoding say.

Owns: how the values of these two headers are read.
Knows nothing of: where they stand, what follows from them.

Sources: RFC 2045 sections 5.1 and 6.1, RFC 2046 section 5.1; Postfix
C{global/header_token.c}, C{mime_state_content_type()} in
C{global/mime_state.c}.

Errors: none; what cannot be understood says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple


class MediaType(Enum):
    """
    Content types that matter.
    """

    OTHER = 0
    MULTIPART = 1
    MESSAGE = 2  # and no headers that we look at, such as message/partial
    RFC822 = 3
    GLOBAL = 4


class Part(NamedTuple):
    """
    What the headers at hand say of what follows them.

    @ivar encoding: what Content-Transfer-Encoding says.
    @ivar domain: C{"7bit"}, C{"8bit"} or C{"binary"}.
    @ivar split: message/partial or message/external-body.
    """

    type: MediaType = MediaType.OTHER
    encoding: bytes = b"7bit"
    domain: bytes = b"7bit"
    split: bool = False


class ContentType(NamedTuple):
    """
    @ivar split: as in L{Part}.
    @ivar boundaries: of a multipart. More than one is wrong, but one of them
        may be the one that a mail reader uses.
    @ivar default: the type of parts that name none.
    """

    type: MediaType
    split: bool = False
    boundaries: tuple[bytes, ...] = ()
    default: MediaType = MediaType.OTHER


_DOMAINS = {
    b"7bit": b"7bit",
    b"8bit": b"8bit",
    b"binary": b"binary",
    b"quoted-printable": b"7bit",
    b"base64": b"7bit",
}

_LWSP = rb"[ \t\r\n]+"
_COMMENT = re.compile(rb"\\.|[()]", re.DOTALL)
_ESCAPE_OR_SPACE = re.compile(rb"\\(.?)|[ \t\n]+", re.DOTALL)


def _lexer(specials: bytes) -> re.Pattern[bytes]:
    """
    @param specials: what is a token of its own.
    """
    special = b"[" + re.escape(specials) + rb"\0-\x1f\x7f]"
    word = b"[^" + re.escape(specials) + rb"\0-\x20\x7f]+"
    return re.compile(
        rb"(?P<space>" + _LWSP + rb")|(?P<comment>\()"
        rb'|"(?P<quoted>(?:[^"\\]|\\.)*\\?)(?:"|\Z)'
        rb"|(?P<word>" + word + rb")|(?P<special>" + special + rb")",
        re.DOTALL,
    )


_TYPE_LEXER = _lexer(b'()<>@,;:\\"/[]?=')  # RFC 2045 section 5.1
_ENCODING_LEXER = _lexer(b'()<>@,;:\\".[]')  # RFC 822 section 3.3

_Token = tuple[str, bytes]


def _tokens(lexer: re.Pattern[bytes], value: bytes) -> Iterator[_Token]:
    """
    @return: C{word}, C{quoted} and C{special}; comments and space are left out.
    """
    at = 0
    while found := lexer.match(value, at):
        at = found.end()
        kind = found.lastgroup or ""
        if kind == "comment":
            at = after_comment(value, found.start())
        elif kind == "quoted":
            yield kind, _ESCAPE_OR_SPACE.sub(_unquoted, found["quoted"])
        elif kind != "space":
            yield kind, found[0]


def _unquoted(found: re.Match[bytes]) -> bytes:
    """
    @return: what is escaped; white space, less what comes before a line end.
    """
    if found[1] is not None:
        return found[1]
    return found[0].rpartition(b"\n")[2]


def after_comment(value: bytes, start: int) -> int:
    """
    @param start: where a comment opens.
    @return: where it ends, nested ones and quoted characters considered
        (RFC 5322 section 3.2.2); the end of C{value} if it does not.
    """
    depth = 0
    for part in _COMMENT.finditer(value, start):
        depth += (part[0] == b"(") - (part[0] == b")")
        if depth == 0:
            return part.end()
    return len(value)


def _parameters(value: bytes) -> list[list[_Token]]:
    """
    @return: what stands between semicolons.
    """
    items: list[list[_Token]] = [[]]
    for token in _tokens(_TYPE_LEXER, value):
        if token == ("special", b";"):
            items.append([])
        else:
            items[-1].append(token)
    return items


def _media_type(item: list[_Token]) -> tuple[bytes, bytes]:
    """
    @return: type and subtype in lower case, C{b""} for what is not there.
    """
    words = [text.lower() if kind == "word" else b"" for kind, text in item[:3]]
    slash = len(item) > 2 and item[1] == ("special", b"/")
    return words[0] if words else b"", words[2] if slash else b""


def content_type(value: bytes) -> ContentType | None:
    """
    @param value: what follows the colon, folded or not.
    """
    first, *others = _parameters(value.replace(b"\r\n", b"\n"))
    if not first:
        return None
    kind, subtype = _media_type(first)
    if kind == b"message":
        named = {b"rfc822": MediaType.RFC822, b"global": MediaType.GLOBAL}
        split = subtype in (b"partial", b"external-body")
        return ContentType(named.get(subtype, MediaType.MESSAGE), split)
    if kind == b"multipart":
        default = MediaType.RFC822 if subtype == b"digest" else MediaType.OTHER
        boundaries = tuple(item[2][1] for item in others if _is_boundary(item))
        return ContentType(MediaType.MULTIPART, False, boundaries, default)
    return ContentType(MediaType.OTHER)


def _is_boundary(item: list[_Token]) -> bool:
    if len(item) < 3 or item[1] != ("special", b"="):
        return False
    kind, name = item[0]
    return kind == "word" and name.lower() == b"boundary"


def content_encoding(value: bytes) -> tuple[bytes, bytes] | None:
    """
    @param value: what follows the colon, folded or not.
    @return: encoding and domain, as in L{Part}.
    """
    text = value.replace(b"\r\n", b"\n")
    kind, word = next(_tokens(_ENCODING_LEXER, text), ("", b""))
    word = word.lower()
    if kind != "word" or word not in _DOMAINS:
        return None
    return word, _DOMAINS[word]
