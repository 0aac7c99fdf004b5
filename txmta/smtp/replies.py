"""
Read a server's replies from a stream of octets.

Owns: the reply grammar as servers really speak it, and the limits on what a
    server may send us.
Knows nothing of: sockets, clocks, what was asked, what an answer is for.

Sources: RFC 5321 section 4.2 (replies), 4.5.3.1.5 (512 octets a line);
RFC 2034 section 4 and RFC 3463 (enhanced codes). Postfix:
C{src/smtp/smtp_chat.c}: the last line's code counts, and its enhanced code
only if its class agrees.

Errors: L{BadReply}, after which the reader must be thrown away.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from txmta.errors import BadReply

#: Octets in one line that count; what follows is skipped. As Postfix's
#: line_length_limit, four times what RFC 5321 section 4.5.3.1.5 lets a server
#: send.
MAX_REPLY_LINE = 2048

#: Lines in one reply, and octets in all of them. Our own choice: EHLO
#: answers, the longest replies in normal use, are far below both. As many
#: octets again may be skipped in one reply.
MAX_REPLY_LINES = 100
MAX_REPLY = 32768

# The enhanced code at the start of a reply's text; at most three digits a
# part (RFC 3463 section 2).
_STATUS = re.compile(r" *([245])(\.[0-9]{1,3}\.[0-9]{1,3})(?= |$)")

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffd]")


class ServerReply:
    """
    One complete reply.

    @ivar code: 200 to 599, of the last line.
    @ivar lines: each line with its code, without its end; never empty.
    """

    __slots__ = ("code", "lines")

    def __init__(self, code: int, lines: tuple[bytes, ...]) -> None:
        self.code = code
        self.lines = lines

    @property
    def text(self) -> str:
        """
        The reply in one line, C{"550 5.1.1 no"}; what cannot be printed is
        C{?}, so that nothing a server says can forge a log line or a header.
        """
        octets = self.lines[0] if len(self.lines) == 1 else b" ".join(self.lines)
        text = octets.decode("utf-8", "replace")
        if text.isprintable() and "\ufffd" not in text:
            return text
        return _UNPRINTABLE.sub("?", text)

    @property
    def status(self) -> str:
        """
        The enhanced code, or C{"5.0.0"} and its like where the server gave
        none, or one whose class contradicts the reply code.
        """
        last = self.lines[-1]
        match = _STATUS.match(last[4:20].decode("ascii", "replace"))
        first = last[:1].decode("ascii")
        if match is not None and match[1] == first:
            return match[1] + match[2]
        return first + ".0.0"


class ReplyReader:
    """
    Turns octets, in any pieces, into replies. A bare LF ends a line too, as
    in Postfix: some servers send it.

    @ivar strict: a line that is no reply is an error; else it is taken for a
        continuation line, and L{garbage} is set.
    @ivar garbage: there was such a line.
    """

    __slots__ = ("_buffer", "_lines", "_size", "_skipped", "garbage", "strict")

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[bytes] = []
        self._size = 0
        self._skipped = 0
        self.strict = False
        self.garbage = False

    def add(self, data: bytes) -> None:
        """
        Take octets from the network.
        """
        self._buffer = self._buffer + data if self._buffer else data

    def next(self) -> ServerReply | None:
        """
        @return: the next complete reply, or L{None} until more arrives.
        @raise BadReply: the peer does not speak SMTP, or talks too much.
        """
        buffer = self._buffer
        while (end := buffer.find(b"\n")) >= 0:
            line = buffer[:end]
            buffer = self._buffer = buffer[end + 1 :]
            if end > MAX_REPLY_LINE:
                line = self._cut(line)
            if line[-1:] == b"\r":
                line = line[:-1]
            code = line[:3]
            # isdigit() on octets means 0-9 only; on text it would not.
            if line[3:4] == b" " and code.isdigit():
                number = int(code)
                if self._lines or not 200 <= number <= 599:
                    return self._complete(line, number)
                self._skipped = 0
                return ServerReply(number, (line,))
            reply = self._line(line)
            if reply is not None:
                return reply
        if len(buffer) > MAX_REPLY_LINE:
            self._buffer = self._cut(buffer)
        return None

    @property
    def empty(self) -> bool:
        """
        Nothing waits here: not a reply, not a part of one.
        """
        return not self._buffer and not self._lines

    def _cut(self, line: bytes) -> bytes:
        self._skipped += len(line) - MAX_REPLY_LINE
        if self._skipped > MAX_REPLY:
            raise BadReply("response line too long", line[:80])
        return line[:MAX_REPLY_LINE]

    def _line(self, line: bytes) -> ServerReply | None:
        code = line[:3]
        if len(code) == 3 and code.isdigit():
            mark = line[3:4]
            if not mark:
                return self._complete(line, int(code))
            if mark != b"-":
                self._not_a_reply(line)
        else:
            self._not_a_reply(line)
        self._keep(line)
        return None

    def _complete(self, line: bytes, code: int) -> ServerReply:
        if not 200 <= code <= 599:
            raise BadReply("unknown reply code", line[:80])
        self._skipped = 0
        if not self._lines:
            return ServerReply(code, (line,))
        self._keep(line)
        lines = tuple(self._lines)
        self._lines = []
        self._size = 0
        return ServerReply(code, lines)

    def _keep(self, line: bytes) -> None:
        self._lines.append(line)
        self._size += len(line)
        if len(self._lines) > MAX_REPLY_LINES or self._size > MAX_REPLY:
            raise BadReply("response too long", line[:80])

    def _not_a_reply(self, line: bytes) -> None:
        # While several commands are unanswered, a skipped line would give
        # one recipient the answer that was meant for another.
        if self.strict:
            raise BadReply("non-SMTP response", line[:80])
        self.garbage = True


class FilteringReader(ReplyReader):
    """
    A reader of replies that are changed before they are understood, line by
    line. What is too long to be one line stays as it is.
    """

    __slots__ = ("_change", "_long", "_partial")

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        """
        @param change: gets and gives a line without its end.
        """
        super().__init__()
        self._change = change
        self._partial = b""
        self._long = False  # the start of a line has been passed on

    def add(self, data: bytes) -> None:
        """
        See L{ReplyReader.add}.
        """
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            if not self._long and len(line) <= MAX_REPLY_LINE:
                changed = self._change(line.removesuffix(b"\r"))
                line = changed.translate(None, b"\r\n")
            super().add(line + b"\n")
            self._long = False
        if self._long or len(self._partial) > MAX_REPLY_LINE:
            super().add(self._partial)
            self._partial, self._long = b"", True

    @property
    def empty(self) -> bool:
        """
        See L{ReplyReader.empty}.
        """
        return not self._partial and super().empty
