"""
A small configuration file that is read again when it has changed.

Errors: none; what cannot be read is empty, as for libc.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: Octets of a file that are read. Block lists of hosts may have some 100,000
#: lines.
MAX_SIZE = 16 * 1024 * 1024

#: Seconds between two looks at the file.
LOOK_INTERVAL = 1.0

_Stamp = tuple[int, int, int, int]


class WatchedFile(Generic[T]):
    """
    C{get} costs one stat() a second at most when nothing has changed.
    """

    def __init__(
        self, path: str, parse: Callable[[str], T], seconds: Callable[[], float]
    ) -> None:
        """
        @param seconds: a monotonic clock.
        """
        self._path = path
        self._parse = parse
        self._seconds = seconds
        self._next_look = -math.inf
        self._stamp: _Stamp | None = None
        self._value: T | None = None

    def get(self) -> T:
        """
        @return: what the parser made of the file, as it was a second ago at
            the earliest.
        """
        now = self._seconds()
        if self._value is not None and now < self._next_look:
            return self._value
        self._next_look = now + LOOK_INTERVAL
        stamp = self._stat()
        if self._value is None or stamp != self._stamp:
            self._stamp = stamp
            self._value = self._parse(self._read())
        return self._value

    def _stat(self) -> _Stamp | None:
        try:
            s = os.stat(self._path)
        except OSError:
            return None
        return s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns

    def _read(self) -> str:
        try:
            with open(self._path, "rb") as f:
                return f.read(MAX_SIZE).decode("utf-8", "replace")
        except OSError:
            return ""
