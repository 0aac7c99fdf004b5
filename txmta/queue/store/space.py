"""
Whether there is room for new mail.

Owns: free space, asked once a second.
Knows nothing of: the queue.

Sources: Postfix C{smtpd/smtpd_check.c}, smtpd_check_queue and
C{smtpd_check_size}; queue_minfree and message_size_limit in postconf(5).

Errors: none; a file system that does not answer has no room.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.interfaces import IReactorTime

from txmta.queue.store.content import free_space


class Space:
    def __init__(
        self, directory: Path, clock: IReactorTime, size_limit: int, minimum: int
    ) -> None:
        """
        @param size_limit: octets of the largest message taken, 0 for any.
        @param minimum: octets that must be free at least (queue_minfree).
        """
        self._directory = directory
        self._clock = clock
        self.needed = max(minimum, size_limit + size_limit // 2)
        self._free = 0
        self._until = float("-inf")

    def free(self) -> int:
        """
        @return: free octets, as of at most a second ago.
        """
        seconds = self._clock.seconds()
        if seconds >= self._until:
            self._until = seconds + 1
            try:
                self._free = free_space(self._directory)
            except OSError:
                self._free = 0
        return self._free

    def short(self) -> bool:
        """
        Whether there is too little room for another message.
        """
        return self.free() < self.needed
