"""
What is said to a Redis server, and what it answers.

Owns: the protocol (RESP 2), and how much an answer may be.
Knows nothing of: sockets, commands.

Sources: Redis' protocol specification.

Errors: C{ValueError}: this is no answer, or too much of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Octets of an answer.
MAX_REPLY = 1024 * 1024

#: Octets of a line that says what comes.
_MAX_LINE = 4096


@dataclass(frozen=True, slots=True)
class Reply:
    """
    @ivar values: octets; L{None}: there is nothing.
    @ivar error: what the server says is wrong; C{""}: nothing.
    @ivar is_number: the value is a number, not octets.
    """

    values: tuple[bytes | None, ...]
    error: str = ""
    is_number: bool = False


def command(words: Iterable[bytes]) -> bytes:
    """
    @return: what is sent; no word can be more than a word.
    """
    parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n%s" % (len(parts), b"".join(parts))


class _MoreNeeded(Exception):
    pass


class RespReader:
    """
    Reads one answer.
    """

    def __init__(self, most: int) -> None:
        """
        @param most: values.
        """
        self._most = most
        self._data = b""
        self._at = 0

    def feed(self, data: bytes) -> Reply | None:
        """
        @return: L{None}: there must be more.
        @raise ValueError: this is no answer.
        """
        self._data += data
        if len(self._data) > MAX_REPLY:
            raise ValueError(f"longer than {MAX_REPLY} octets")
        self._at = 0
        try:
            reply = self._reply()
        except _MoreNeeded:
            return None
        if self._at < len(self._data):
            raise ValueError("more than one answer")
        return reply

    def _line(self) -> tuple[bytes, bytes]:
        end = self._data.find(b"\r\n", self._at)
        if end < 0:
            if len(self._data) - self._at > _MAX_LINE:
                raise ValueError("no end of line")
            raise _MoreNeeded
        line = self._data[self._at : end]
        self._at = end + 2
        return line[:1], line[1:]

    def _number(self, text: bytes) -> int:
        digits = text.removeprefix(b"-")
        if not (digits.isdigit() and len(digits) < 20):
            raise ValueError(f"not a number: {text[:40]!r}")
        return int(text)

    def _reply(self) -> Reply:
        kind, text = self._line()
        if kind == b"-":
            return Reply((), text.decode("utf-8", "replace") or "error")
        if kind != b"*":
            return Reply((self._value(kind, text),), is_number=kind == b":")
        count = self._number(text)
        if count > self._most:
            raise ValueError(f"more than {self._most} values")
        return Reply(tuple(self._value(*self._line()) for _ in range(count)))

    def _value(self, kind: bytes, text: bytes) -> bytes | None:
        if kind == b"+":
            return text
        if kind == b":":
            return b"%d" % self._number(text)
        if kind != b"$":
            raise ValueError(f"not a value: {(kind + text)[:40]!r}")
        size = self._number(text)
        if size < 0:
            return None
        if size > MAX_REPLY:
            raise ValueError(f"longer than {MAX_REPLY} octets")
        value = self._data[self._at : self._at + size]
        if len(self._data) < self._at + size + 2:
            raise _MoreNeeded
        self._at += size + 2
        if self._data[self._at - 2 : self._at] != b"\r\n":
            raise ValueError("a value has no end")
        return value
