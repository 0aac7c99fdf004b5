"""
The octets that a command reads: line ends, quoting.

Owns: CRLF to the line end that the command wants; dots and C{From } lines.
Knows nothing of: processes, what stands before the content.

Sources: Postfix C{global/mail_copy.c}; pipe(8), flags and eol.

Errors: none; any octets are content.
"""

from __future__ import annotations

from dataclasses import dataclass

#: What is looked for; an end of a block that may be its start is kept back.
_MARK = b"\r\nFrom "


@dataclass(frozen=True, slots=True)
class Style:
    """
    @ivar eol: what ends each line.
    @ivar dot: one more dot before a line that starts with one.
    @ivar quote: C{>} before a line that starts with C{From }.
    @ivar blank: an empty line after the content.
    """

    eol: bytes = b"\n"
    dot: bool = False
    quote: bool = False
    blank: bool = False


class CommandCopy:
    """
    Content in wire form, in blocks cut anywhere, for one command.
    """

    def __init__(self, style: Style) -> None:
        self._style = style
        # As if a line had ended before: the first line is then one like others.
        self._held = b"\r\n"
        self._first = True

    def feed(self, block: bytes) -> bytes:
        """
        @return: what can be written now; at most six octets are kept back.
        """
        data = self._held + block
        kept = _kept_back(data)
        end = len(data) - kept
        self._held = data[end:]
        return self._write(data[:end])

    def finish(self) -> bytes:
        """
        @return: what is left to write; an incomplete last line is ended.
        """
        data, self._held = self._held, b""
        if not data.endswith(b"\r\n"):
            data += b"\r\n"
        return self._write(data) + (self._style.eol if self._style.blank else b"")

    def _write(self, data: bytes) -> bytes:
        if not data:
            return b""
        style = self._style
        if style.quote:
            data = data.replace(b"\r\nFrom ", b"\r\n>From ")
        if style.dot:
            data = data.replace(b"\r\n.", b"\r\n..")
        lines = data if style.eol == b"\r\n" else data.replace(b"\r\n", style.eol)
        if self._first:
            self._first = False
            return lines[len(style.eol) :]
        return lines


def _kept_back(data: bytes) -> int:
    """
    @return: how many octets at the end may be the start of L{_MARK}.
    """
    for length in range(len(_MARK) - 1, 0, -1):
        if data.endswith(_MARK[:length]):
            return length
    return 0
