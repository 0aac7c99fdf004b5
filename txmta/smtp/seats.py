"""
How many sessions a service may have, as master.cf's maxproc says.

Owns: counting them in one process.
Knows nothing of: connections; other processes (L{txmta.master.seats}).

Errors: none.
"""

from __future__ import annotations

from typing import Protocol


class Seats(Protocol):
    """
    Each session has one.
    """

    def take(self) -> int | None:
        """
        @return: which one; L{None}: all are taken.
        """

    def give(self, seat: int) -> None:
        """
        It is free again.
        """

    def used(self) -> int:
        """
        @return: how many are taken.
        """


class CountedSeats:
    """
    All sessions are in this process.
    """

    def __init__(self, limit: int) -> None:
        self._limit = self._free = limit

    def take(self) -> int | None:
        if self._free <= 0:
            return None
        self._free -= 1
        return 0

    def give(self, seat: int) -> None:
        self._free += 1

    def used(self) -> int:
        return self._limit - self._free
