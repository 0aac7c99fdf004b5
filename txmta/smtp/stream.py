"""
The octets of a session that have arrived and are not used yet.

Owns: cutting them into command lines of bounded length.
Knows nothing of: commands, content.

Sources: RFC 5321 section 4.5.3.1.4 (command lines); Postfix
C{global/smtp_stream.c} (smtp_get: the rest of a long line is skipped).

Errors: none.
"""

from __future__ import annotations


class Stream:
    """
    @ivar limit: octets of a line, line end not counted.
    @ivar overlong: the line given last was cut.
    @ivar bare: the line given last ended in LF without CR.
    @ivar pending: there is anything.
    """

    __slots__ = (
        *("_at", "_buffer", "_cr", "_cut", "_more"),
        *("bare", "limit", "overlong", "pending"),
    )

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = b""
        self._at = 0
        self._more: list[bytes] = []
        self._cut: bytes | None = None
        self._cr = False
        self.overlong = False
        self.bare = False
        self.pending = False

    def feed(self, data: bytes) -> None:
        if self.pending:
            # Joined only when somebody looks: a client that sends octets one
            # by one while we are busy must not make us copy each time.
            self._more.append(data)
        else:
            self._buffer = data
            self._at = 0
            self.pending = bool(data)

    def __len__(self) -> int:
        """
        How many octets are kept.
        """
        return len(self._buffer) - self._at + sum(map(len, self._more))

    def line(self) -> bytes | None:
        """
        @return: the next line without its end, or its start if it is too long;
            L{None} if there is no whole one.
        """
        if self._more:
            self._join()
        end = self._buffer.find(b"\n", self._at)
        if end < 0:
            self._bound()
            return None
        line = self._buffer[self._at : end]
        self._at = end + 1
        self.pending = self._at < len(self._buffer)
        self.bare = not (line.endswith(b"\r") or (not line and self._cr))
        self._cr = False
        self.overlong = self._cut is not None or len(line) > self.limit
        if self._cut is not None:
            line, self._cut = self._cut, None
        return line[: self.limit] if self.overlong else line.rstrip(b"\r")

    def take(self) -> bytes:
        """
        @return: everything.
        """
        if self._more:
            self._join()
        data = self._buffer[self._at :] if self._at else self._buffer
        self._buffer = b""
        self._at = 0
        self.pending = False
        return data

    def push(self, data: bytes) -> None:
        """
        Put back what L{take} gave too much.
        """
        self._buffer = data
        self._at = 0
        self.pending = bool(data)

    def clear(self) -> None:
        """
        Forget everything.
        """
        self.take()
        self._cut = None
        self._cr = False

    def start(self, length: int) -> bytes:
        """
        @return: the first octets, which stay.
        """
        if self._more:
            self._join()
        return self._buffer[self._at : self._at + length]

    def _join(self) -> None:
        more = self._more
        if self._at < len(self._buffer):
            more.insert(0, self._buffer[self._at :])
        self._buffer = more[0] if len(more) == 1 else b"".join(more)
        self._at = 0
        self._more = []

    def _bound(self) -> None:
        """
        There is no line end: keep no more than the start of a line.
        """
        rest = self._buffer[self._at :]
        if self._cut is None:
            if len(rest) <= self.limit:
                return
            self._cut = rest[: self.limit]
        if rest:
            self._cr = rest.endswith(b"\r")
        self.push(b"")
