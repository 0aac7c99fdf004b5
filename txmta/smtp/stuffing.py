"""
Make message content fit for DATA: dot-stuffing, line ends, line length.

Owns: what is between 354 and the final dot, and that there is exactly one
    end of data in it, however a receiver reads line ends.
Knows nothing of: replies, sockets, where the content comes from.

Content comes in wire form (CRLF), but is not trusted: whoever could put a
lone CR or LF, or a NUL, where a lenient receiver takes it for a line end
would send a second message in our name. So what leaves has CR and LF in
pairs only: a lone LF becomes CRLF, a lone CR a space, as Postfix does; and a
line that starts with NUL gets a dot in front as well, which every receiver
takes off again (RFC 5321 section 4.5.2), so that one that drops NULs finds
two dots and no end of data.

All state is carried across blocks: cutting content elsewhere changes nothing.

Sources: RFC 5321 section 4.5.2 (transparency); Postfix C{smtp_text_out()}
in C{src/smtp/smtp_proto.c}, cleanup_replace_stray_cr_lf.

Errors: none; all octets are welcome.
"""

from __future__ import annotations

import re

_LONE_CR = re.compile(rb"\r(?!\n)")
_LONE_LF = re.compile(rb"(?<!\r)\n")


class Stuffer:
    """
    The content of one message, block by block.
    """

    __slots__ = ("_column", "_held", "_limit", "broken")

    def __init__(self, limit: int) -> None:
        """
        @param limit: octets in a line before it is broken with CRLF SPACE,
            without CRLF and without a stuffed dot; 0 for no limit.
        """
        self._limit = limit and max(limit, 2)
        self._column = 0  # octets of the current line that are out already
        self._held = False  # a CR at the end of a block, fate unknown
        self.broken = False

    def feed(self, block: bytes) -> bytes:
        """
        @return: what to send for it, perhaps nothing yet.
        """
        if self._held:
            block = b"\r" + block
        self._held = block[-1:] == b"\r"
        if self._held:
            block = block[:-1]
        return self._stuff(block) if block else b""

    def finish(self) -> bytes:
        """
        @return: the rest, with the one and only end of data.
        """
        rest = self._stuff(b" ") if self._held else b""
        self._held = False
        return rest + (b"\r\n.\r\n" if self._column else b".\r\n")

    def _stuff(self, block: bytes) -> bytes:
        pairs = block.count(b"\r\n")
        if block.count(b"\r") != pairs:
            block = _LONE_CR.sub(b" ", block)
        if block.count(b"\n") != pairs:
            block = _LONE_LF.sub(b"\r\n", block)
        fresh = self._column == 0
        if self._limit:
            block = self._break_lines(block)
        newline = block.rfind(b"\n")
        if newline >= 0:
            self._column = len(block) - newline - 1
            dotted = block.replace(b"\n.", b"\n..")
            if b"\0" in block:
                dotted = dotted.replace(b"\n\0", b"\n.\0")
        else:
            self._column += len(block)
            dotted = block
        if fresh and block[0] in b".\0":
            return b"." + dotted
        return dotted

    def _break_lines(self, block: bytes) -> bytes:
        """
        Insert CRLF SPACE where a line has more than the limit. Whole lines
        that fit are passed over a thousand octets at a time.
        """
        limit = self._limit
        pieces: list[bytes] = []
        copied = start = 0
        room = limit - self._column
        end = len(block)
        while end - start > room:
            # The last line that ends within reach, its CRLF included.
            newline = block.rfind(b"\n", start, start + room + 2)
            if newline >= 0:
                start = newline + 1
                room = limit
                continue
            start += room
            pieces.append(block[copied:start])
            copied = start
            room = limit - 1
        if not pieces:
            return block
        self.broken = True
        pieces.append(block[copied:])
        return b"\r\n ".join(pieces)
