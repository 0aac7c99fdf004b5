"""
Quoted-printable, as Postfix writes it.

Owns: which octets are escaped, and where lines are broken.
Knows nothing of: what is encoded, and why.

Sources: RFC 2045 section 6.7; Postfix C{mime_state_downgrade()} in
C{global/mime_state.c}.

Errors: none; all octets are welcome.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(rb"[^\t\n -<>-~]+")

#: A line is broken at the first chance after so many octets.
WIDTH = 73


class QuotedPrintable:
    """
    One text in blocks that are cut anywhere but between CR and LF.
    """

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line = b""  # encoded, its end not known yet

    def feed(self, octets: bytes) -> bytes:
        """
        @return: lines of at most 76 octets, the last one held back until it
            ends.
        """
        safe = _ESCAPED.sub(_escape, octets.replace(b"\r\n", b"\n"))
        lines = safe.split(b"\n")
        lines[0] = self._line + lines[0]
        rest = lines.pop()
        out: list[bytes] = []
        for line in lines:
            out += _hard_end(_soft_breaks(line, out)), b"\r\n"
        self._line = _soft_breaks(rest, out)
        return b"".join(out)

    def finish(self) -> bytes:
        """
        @return: what was held back, without a line end.
        """
        line, self._line = self._line, b""
        return _hard_end(line)


def _escape(octets: re.Match[bytes]) -> bytes:
    return b"=" + octets[0].hex("=").upper().encode()


def _soft_breaks(line: bytes, out: list[bytes]) -> bytes:
    """
    @param line: in quoted-printable.
    @return: what is left of it.
    """
    start = 0
    while len(line) - start > WIDTH:
        end = start + WIDTH
        # No escape is torn apart.
        if line[end - 1] == ord("="):
            end += 2
        elif line[end - 2] == ord("="):
            end += 1
        if end >= len(line):
            break
        out += line[start:end], b"=\r\n"
        start = end
    return line[start:]


def _hard_end(line: bytes) -> bytes:
    """
    White space at the end of a line would get lost.
    """
    if line.endswith((b" ", b"\t")):
        return line[:-1] + (b"=20" if line.endswith(b" ") else b"=09")
    return line
