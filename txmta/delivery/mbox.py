"""
The octets of a mailbox file (mbox).

Owns: the From_ line, the quoting of lines that look like one, the empty line
    at the end.
Knows nothing of: files, clocks; the other header lines
    (L{txmta.delivery.copy}).

Sources: mbox(5); Postfix C{global/mail_copy.c} (MAIL_COPY_MBOX).

Errors: none; any octets are content.
"""

from __future__ import annotations

from txmta.delivery.copy import LineEnds, Stamp, external

_FROM = b"From "


def separator(sender: str, date: str) -> bytes:
    """
    The line that begins a message.

    @param sender: envelope sender, internal form.
    @param date: as C{asctime} writes it, local time.
    """
    who = external(sender) if sender else "MAILER-DAEMON"
    return f"From {who}  {date}\n".encode("utf-8", "surrogateescape")


def head(stamp: Stamp, date: str) -> bytes:
    """
    @return: what stands before the content, with LF.
    """
    return separator(stamp.sender, date) + stamp.encode()


def quoted(lines: bytes) -> bytes:
    """
    @param lines: whole lines with LF.
    @return: the same, with C{>} before each C{From }, in headers too.
    """
    quoted = lines.replace(b"\nFrom ", b"\n>From ")
    return b">" + quoted if quoted.startswith(_FROM) else quoted


class MboxLines:
    """
    Content in wire form, in blocks cut anywhere, to what stands in the file.
    """

    def __init__(self) -> None:
        self._ends = LineEnds()
        self._starts = True  # the next octet is the first of a line
        self._kept = b""  # what may become C{From }

    def feed(self, block: bytes) -> bytes:
        """
        @return: what can be written now; at most five octets are kept back.
        """
        lines = self._kept + self._ends.feed(block)
        last = lines.rfind(b"\n") + 1
        tail = lines[last : last + len(_FROM)]
        begins = last > 0 or self._starts
        if begins and len(tail) < len(_FROM) and _FROM.startswith(tail):
            lines, self._kept = lines[:last], tail
        else:
            self._kept = b""
        return self._quote(lines)

    def _quote(self, lines: bytes) -> bytes:
        if not lines:
            return b""
        result = lines.replace(b"\nFrom ", b"\n>From ")
        if self._starts and result.startswith(_FROM):
            result = b">" + result
        self._starts = lines.endswith(b"\n")
        return result

    def finish(self) -> bytes:
        """
        @return: what is left to write, the empty line included.
        """
        return self._quote(self._kept + self._ends.finish()) + b"\n"
