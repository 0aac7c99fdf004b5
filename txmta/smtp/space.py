"""
Whether the queue's file system has room for another message.

Owns: queue_minfree; that a message of the largest size must fit one and a half
    times; what a declared size says.
Knows nothing of: the queue, file systems.

Sources: Postfix C{smtpd/smtpd_check.c} (smtpd_check_size, smtpd_check_queue);
RFC 1870 section 6.1.

Errors: none; where the store cannot tell, there is no room: Postfix gives up
then, and the client tries later.
"""

from __future__ import annotations

from collections.abc import Callable

from txmta.model import Reply

FULL = Reply(452, "4.3.1", "Insufficient system storage")
TOO_BIG = Reply(552, "5.3.4", "Message size exceeds fixed limit")


class Space:
    """
    The room for new mail.
    """

    def __init__(
        self,
        limits: tuple[int, int],
        free: Callable[[], int | None],
        warn: Callable[[str], None],
    ) -> None:
        """
        @param limits: queue_minfree and message_size_limit, in octets.
        @param free: gives the octets that are free, or L{None}.
        @param warn: takes a warning, when room gets short.
        """
        least, self._largest = limits
        self._needed = max(least, self._largest + self._largest // 2)
        self._free = free
        self._warn = warn
        self._short = False

    def refusal(self, size: int | None) -> Reply | None:
        """
        @param size: what MAIL said, in octets.
        @return: C{552} for a message that never fits, C{452} for one that
            does not fit now.
        """
        if size is not None and self._largest and size > self._largest:
            return TOO_BIG
        octets = self._free()
        short = octets is None or octets < self._needed
        if short and not self._short:
            self._warn(
                "not enough free space in mail queue: "
                f"{'unknown' if octets is None else octets} bytes"
                f" < {self._needed}: new mail is refused"
            )
        self._short = short
        if octets is None or short or octets < (size or 0):
            return FULL
        return None
