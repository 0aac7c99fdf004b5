"""
Take message content out of the octets of a session, in blocks.

Owns: where content ends, dot-unstuffing, and line ends: content leaves here in
    wire form, every line ended by CR LF.
Knows nothing of: commands, sizes, who takes the content.

Nothing but CR LF . CR LF ends DATA. A line that ends in a bare LF becomes a line,
a dot at its start is taken for a stuffed one; a lone CR is content. No step is
taken for each line: all work is done by searching whole blocks.

Sources: RFC 5321 sections 2.3.8, 4.1.1.4, 4.5.2; RFC 3030 section 2 (BDAT).
Postfix: C{smtpd/smtpd.c} (data_cmd, bdat_cmd), C{global/smtp_stream.c}.

Errors: none; any octets are content.
"""

from __future__ import annotations

import re

from txmta.lines import in_order

_END = b"\r\n.\r\n"

# Both are applied to text that holds no stuffed dot after CR LF any more.
_BARE_LF_DOT = re.compile(rb"(?<!\r)\n\.?")
_BARE_LF = re.compile(rb"(?<!\r)\n")


class DataReader:
    """
    The content that follows DATA.

    @ivar bare_newline: a line ended in LF without CR.
    @ivar size: octets given out.
    """

    __slots__ = ("_held", "_skip", "bare_newline", "size")

    def __init__(self) -> None:
        # The CR LF of the DATA command is also that before a dot which
        # directly follows (RFC 5321 section 4.1.1.4).
        self._held = b"\r\n"
        self._skip = 2
        self.bare_newline = False
        self.size = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """
        @return: content, perhaps empty, and what follows the end of data, or
            L{None} if that is still to come.
        """
        data = self._held + data
        # Most content has no line that begins with a dot but the last one:
        # one search finds that out, and the end.
        dot = data.find(b"\r\n.")
        end = data.find(_END, dot) if dot >= 0 else -1
        if end >= 0:
            return self._plain(data[: end + 2], dot < end), data[end + 5 :]
        held = _held_back(data)
        self._held = data[held:]
        return self._plain(data[:held], 0 <= dot < held) if held else b"", None

    def _plain(self, text: bytes, stuffed: bool) -> bytes:
        if stuffed:
            text = text.replace(b"\r\n.", b"\r\n")
        # A stray CR alone is content, and for cleanup to judge.
        if not in_order(text) and _BARE_LF.search(text):
            self.bare_newline = True
            text = _BARE_LF_DOT.sub(b"\r\n", text)
        if self._skip:
            text = text[self._skip :]
            self._skip = 0
        self.size += len(text)
        return text


def _held_back(data: bytes) -> int:
    """
    @return: where the octets begin that mean nothing without the next ones:
        the start of an end of data, or a line end that a dot may follow.
    """
    if data.endswith(b"\r\n.\r"):
        return len(data) - 4
    if data.endswith(b"\r\n."):
        return len(data) - 3
    if data.endswith(b"\r\n"):
        return len(data) - 2
    if data.endswith((b"\r", b"\n")):
        return len(data) - 1
    return len(data)


class ChunkReader:
    """
    The content of all BDAT chunks of one message.

    @ivar left: octets still to come in this chunk.
    @ivar bare_newline: as in L{DataReader}.
    @ivar size: octets given out.
    """

    __slots__ = ("_held", "_last", "bare_newline", "left", "size")

    def __init__(self) -> None:
        self._held = b""
        self._last = b""
        self.left = 0
        self.bare_newline = False
        self.size = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """
        @return: as L{DataReader.feed}, for the end of the chunk.
        """
        text, rest = data[: self.left], data[self.left :]
        self.left -= len(text)
        out = self._plain(self._held + text) if text else b""
        return out, rest if self.left == 0 else None

    def finish(self) -> bytes:
        """
        The last chunk is complete.

        @return: what was held back, and the line end that is missing.
        """
        rest, self._held = self._held, b""
        if not (rest or self._last):
            return b""
        if self._last + rest != b"\n":
            rest += b"\r\n"
        self.size += len(rest)
        return rest

    def _plain(self, text: bytes) -> bytes:
        # A CR at the end may be half of a line end.
        held = len(text) - text.endswith(b"\r")
        self._held, text = text[held:], text[:held]
        if not in_order(text) and _BARE_LF.search(text):
            self.bare_newline = True
            text = _BARE_LF.sub(b"\r\n", text)
        if text:
            self._last = text[-1:]
        self.size += len(text)
        return text
