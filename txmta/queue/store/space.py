"""
How much room there is for new mail.

Owns: free space, asked once a second.
Knows nothing of: how much is enough (queue_minfree: L{txmta.smtp.space}).

Sources: statvfs(3).

Errors: none; L{None} for a file system that does not answer.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.interfaces import IReactorTime

from txmta.queue.store.content import free_space


class FreeSpace:
    """
    Free space in the file system of one directory.
    """

    def __init__(self, directory: Path, clock: IReactorTime) -> None:
        self._directory = directory
        self._clock = clock
        self._free: int | None = None
        self._until = float("-inf")

    def octets(self) -> int | None:
        """
        @return: free octets, as of at most a second ago.
        """
        seconds = self._clock.seconds()
        if seconds >= self._until:
            self._until = seconds + 1
            try:
                self._free = free_space(self._directory)
            except OSError:
                self._free = None
        return self._free
