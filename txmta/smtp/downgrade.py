"""
Make 8-bit content fit for a server without 8BITMIME.

Owns: that content is converted before it is stuffed and its lines are broken.
Knows nothing of: how either is done.

Sources: RFC 6152 section 3; Postfix C{SMTP_MIME_DOWNGRADE} in
C{src/smtp/smtp_proto.c}.

Errors: none; all octets are welcome.
"""

from __future__ import annotations

from collections.abc import Iterable

from txmta.mime import Mime, MimeRules, Piece
from txmta.smtp.stuffing import Stuffer


class Downgrade:
    """
    Stands in for a L{Stuffer}.
    """

    __slots__ = ("_mime", "_stuffer")

    def __init__(self, rules: MimeRules, stuffer: Stuffer) -> None:
        """
        @param rules: with C{convert}.
        """
        self._mime = Mime(rules)
        self._stuffer = stuffer

    @property
    def broken(self) -> bool:
        """
        As L{Stuffer.broken}.
        """
        return self._stuffer.broken

    def feed(self, block: bytes) -> bytes:
        """
        As L{Stuffer.feed}.
        """
        return self._stuffer.feed(_joined(self._mime.feed(block)))

    def finish(self) -> bytes:
        """
        As L{Stuffer.finish}.
        """
        rest = self._stuffer.feed(_joined(self._mime.finish()))
        return rest + self._stuffer.finish()


def _joined(pieces: Iterable[Piece]) -> bytes:
    return b"".join([piece.octets for piece in pieces])
