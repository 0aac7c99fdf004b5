"""
Content that will be wanted again soon: of messages just committed or read.

Owns: a bound on the octets kept.
Knows nothing of: where content comes from.

Errors: none.
"""

from __future__ import annotations

#: Octets of content kept in all.
CACHE = 8 * 1024 * 1024


class ContentCache:
    """
    First in, first out.
    """

    def __init__(self, limit: int = CACHE) -> None:
        self._limit = limit
        self._size = 0
        self._data: dict[int, bytes] = {}
        self.get = self._data.get

    def put(self, number: int, data: bytes) -> None:
        self.drop(number)
        self._data[number] = data
        self._size += len(data)
        while self._size > self._limit:
            self.drop(next(iter(self._data)))

    def drop(self, number: int) -> None:
        data = self._data.pop(number, None)
        if data is not None:
            self._size -= len(data)
