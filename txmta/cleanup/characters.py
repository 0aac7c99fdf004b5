r"""
Characters that content must not have.

Owns: how they are written in main.cf, and finding them.
Knows nothing of: replies, headers.

Line ends cannot be named: a CR or LF that is not part of one is the business
of cleanup_replace_stray_cr_lf.

Sources: Postfix: message_reject_characters, message_strip_characters;
C{util/unescape.c}.

Errors: none; all octets are welcome.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_NAMED = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}

#: Octets of a line that are shown.
SHOWN = 200


def characters(text: str) -> bytes:
    r"""
    @param text: as in main.cf, with C{\a \b \f \n \r \t \v \nnn \\}.
    """

    def plain(escape: re.Match[bytes]) -> bytes:
        what = escape[1]
        if what.isdigit():
            return bytes((int(what, 8) & 0xFF,))
        return _NAMED.get(what, what)

    return _ESCAPE.sub(plain, text.encode("utf-8", "surrogateescape"))


class CharacterFilter:
    """
    @ivar refused: the line that has a character for which the message is
        refused, up to it, if there was one.
    """

    __slots__ = ("_reject", "_strip", "refused")

    def __init__(self, reject: bytes, strip: bytes) -> None:
        """
        @param reject: the message is refused for one of these.
        @param strip: these are taken out.
        """
        wanted = bytes(set(reject) - set(b"\r\n"))
        self._reject = re.compile(b"[" + re.escape(wanted) + b"]") if wanted else None
        self._strip = bytes(set(strip) - set(b"\r\n"))
        self.refused: bytes | None = None

    def feed(self, block: bytes) -> bytes:
        """
        @return: the block without what is taken out.
        """
        if self._reject is not None and (found := self._reject.search(block)):
            start = block.rfind(b"\n", 0, found.start()) + 1
            self.refused = block[start : found.start()][:SHOWN]
        return block.translate(None, self._strip)
