"""
Make message content fit for DATA: dot-stuffing, line ends, line length.

Owns: what is between 354 and the final dot, and that there is exactly one
    end of data in it, however a receiver reads line ends.
Knows nothing of: replies, sockets, where the content comes from.

Content comes in wire form (CRLF), but is not trusted: whoever could put a
lone CR or LF, or a NUL, where a lenient receiver takes it for a line end
would send a second message in our name. So what leaves has CR and LF in
pairs only: a lone LF becomes CRLF, a lone CR a space, as Postfix does. And a
line of NULs and then a dot is stuffed in front of the NULs: every receiver
takes that dot off again (RFC 5321 section 4.5.2), and one that drops NULs
finds two dots and no end of data.

All state is carried across blocks: cutting content elsewhere changes nothing.

Sources: RFC 5321 section 4.5.2 (transparency); Postfix C{smtp_text_out()}
in C{src/smtp/smtp_proto.c}, cleanup_replace_stray_cr_lf.

Errors: none; all octets are welcome.
"""

from __future__ import annotations

import re

_LONE_CR = re.compile(rb"\r(?!\n)")
_LONE_LF = re.compile(rb"(?<!\r)\n")
_NULS_DOT = re.compile(rb"\0+\.")
_LINE_NULS_DOT = re.compile(rb"(?<=\n)\0+\.")


#: NULs at the start of a line that are kept back when lines have no limit.
MAX_NULS = 65536


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
        self._held = b""  # the end of a block whose fate the next decides
        self.broken = False

    def feed(self, block: bytes) -> bytes:
        """
        @return: what to send for it, perhaps nothing yet.
        """
        if self._held:
            block = self._held + block
        hold = self._undecided(block) if block[-1:] in (b"\r", b"\0") else 0
        end = len(block) - hold
        self._held = block[end:]
        if hold:
            block = block[:end]
        return self._stuff(block) if block else b""

    def finish(self) -> bytes:
        """
        @return: the rest, with the one and only end of data.
        """
        rest = self._stuff(self._held) if self._held else b""
        self._held = b""
        return rest + (b"\r\n.\r\n" if self._column else b".\r\n")

    def _undecided(self, block: bytes) -> int:
        """
        @return: how many octets at the end mean something else if LF, or a
            dot, comes next.
        """
        if block[-1:] == b"\r":
            return 1
        start = len(block.rstrip(b"\0"))
        nuls = len(block) - start
        at_start = block[start - 1 : start] == b"\n" if start else not self._column
        # More NULs than a line may have are broken in any case.
        return nuls if at_start and nuls <= (self._limit or MAX_NULS) else 0

    def _stuff(self, block: bytes) -> bytes:
        # Three times as quick as to count CR, LF and pairs.
        rest = block.replace(b"\r\n", b"")
        if b"\r" in rest:
            block = _LONE_CR.sub(b" ", block)
        if b"\n" in rest:
            block = _LONE_LF.sub(b"\r\n", block)
        fresh = self._column == 0
        if self._limit:
            block = self._break_lines(block)
        newline = block.rfind(b"\n")
        if newline >= 0:
            self._column = len(block) - newline - 1
            dotted = block.replace(b"\n.", b"\n..")
            if b"\0" in block:
                dotted = _LINE_NULS_DOT.sub(rb".\g<0>", dotted)
        else:
            self._column += len(block)
            dotted = block
        first = block[:1]
        if fresh and (first == b"." or (first == b"\0" and _NULS_DOT.match(block))):
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
