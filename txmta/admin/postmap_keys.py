"""
The keys that C{postmap -b -h -m} makes of a message on standard input.

Owns: which lines and headers are keys.
Knows nothing of: tables; the structure of messages (L{txmta.mime}).

Sources: Postfix's postmap(1); C{postmap/postmap.c}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from txmta.mime import Kind, Mime, MimeRules, Piece


def message_keys(
    lines: Iterable[bytes], headers: bool, body: bool, parts: bool
) -> Iterator[str]:
    """
    @param lines: of a message, with their ends.
    @param headers: each header is a key, whole.
    @param body: each line of the body is a key.
    @param parts: look into parts and attached messages; else their headers are
        body.
    """
    mime = Mime(MimeRules(parts=parts))
    # Without -b and -m nothing after the headers matters.
    whole = body or parts
    held = b""
    for piece in _pieces(mime, lines):
        if piece.kind is Kind.END:
            if not whole:
                return
        elif piece.kind is not Kind.BODY:
            if headers:
                yield _text(piece.octets)
        elif body:
            # The last one may go on.
            *complete, held = (held + piece.octets).split(b"\n")
            yield from map(_text, complete)
    if held:
        yield _text(held)


def _pieces(mime: Mime, lines: Iterable[bytes]) -> Iterator[Piece]:
    for line in lines:
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        yield from mime.feed(text + b"\r\n")
    yield from mime.finish()


def _text(octets: bytes) -> str:
    lines = octets.replace(b"\r\n", b"\n").removesuffix(b"\n").removesuffix(b"\r")
    return lines.decode("utf-8", "surrogateescape")
