"""
Whether the queue's file system has room for another message.

Owns: queue_minfree, and the rule that a message of the largest size must fit one
    and a half times.
Knows nothing of: the queue.

Sources: Postfix C{smtpd/smtpd_check.c} (smtpd_check_size, smtpd_check_queue).

Errors: none; a file system that does not tell is taken to have room, since the
store says so itself when it has not.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from txmta.model import Reply

FULL = Reply(452, "4.3.1", "Insufficient system storage")

#: Seconds for which an answer is good.
_FRESH = 1.0


def free_octets(path: str) -> int | None:
    """
    @return: octets that we may use, or L{None} if nobody knows.
    """
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


class Space:
    """
    The room in one file system.
    """

    def __init__(
        self,
        limits: tuple[int, int],
        free: Callable[[], int | None],
        seconds: Callable[[], float],
    ) -> None:
        """
        @param limits: queue_minfree and message_size_limit, in octets.
        @param free: gives the octets that are free.
        @param seconds: monotonic.
        """
        self._least, self._largest = limits
        self._free = free
        self._seconds = seconds
        self._asked = -_FRESH
        self._octets: int | None = None

    def refusal(self, size: int | None) -> Reply | None:
        """
        @param size: what MAIL said, in octets.
        @return: C{552} for a message that never fits, C{452} for one that
            does not fit now.
        """
        if size is not None and self._largest and size > self._largest:
            return Reply(552, "5.3.4", "Message size exceeds fixed limit")
        octets = self._room()
        if octets is None:
            return None
        tight = octets < self._least or octets < 1.5 * self._largest
        return FULL if tight or octets < (size or 0) else None

    def _room(self) -> int | None:
        now = self._seconds()
        if now - self._asked >= _FRESH:
            self._asked = now
            self._octets = self._free()
        return self._octets
