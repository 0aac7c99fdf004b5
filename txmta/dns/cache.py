"""
A bounded cache of things that get old.

Owns: what is forgotten when.
Knows nothing of: what is kept, clocks.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """
    The least recently used entries go first when there are too many.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[K, tuple[float, V]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, now: float) -> V | None:
        """
        @param now: monotonic.
        """
        entry = self._entries.pop(key, None)
        if entry is None or entry[0] <= now:
            return None
        self._entries[key] = entry  # now the youngest
        return entry[1]

    def put(self, key: K, value: V, until: float) -> None:
        """
        @param until: monotonic; not kept if it is over.
        """
        self._entries.pop(key, None)
        self._entries[key] = (until, value)
        if len(self._entries) > self._size:
            del self._entries[next(iter(self._entries))]
