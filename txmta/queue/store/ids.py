"""
Queue ids: a number in the store, Postfix's long form everywhere else.

The number is microseconds since 1970, shifted left by eight bits, plus the
slot of the process that made it. The text is Postfix's long queue id: seconds
(six digits of base 52), microseconds (four), C{z}, and where Postfix has the
inode number, the slot (two digits of base 51). It has no vowels, sorts like
the number, and is what fail2ban, pflogsumm and grok patterns expect.

Owns: the two forms, and that no id is made twice.
Knows nothing of: how a process gets its slot.

Sources: Postfix C{global/mail_queue.h} (MQID_LG_*), C{global/safe_ultostr.c}.

Errors: none; text that is no queue id decodes to L{None}.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

#: Digits without vowels, in ASCII order.
ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"

#: Slots that fit beside the microseconds.
SLOTS = 256

_VALUES = {digit: value for value, digit in enumerate(ALPHABET)}
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]
_SLOTS = [ALPHABET[slot // 51] + ALPHABET[slot % 51] for slot in range(SLOTS)]
_SLOT_VALUES = {text: slot for slot, text in enumerate(_SLOTS)}
_SQUARE = 52 * 52
_LENGTH = 6 + 4 + 1 + 2


def encode(number: int) -> str:
    """
    @return: the queue id of a message number.
    """
    seconds, microseconds = divmod(number >> 8, 1_000_000)
    high, low = divmod(microseconds, _SQUARE)
    return f"{_seconds(seconds)}{_PAIRS[high]}{_PAIRS[low]}z{_SLOTS[number & 255]}"


def _seconds(seconds: int) -> str:
    seconds, low = divmod(seconds, _SQUARE)
    high, middle = divmod(seconds, _SQUARE)
    return _PAIRS[high % _SQUARE] + _PAIRS[middle] + _PAIRS[low]


@lru_cache(4096)
def decode(text: str) -> int | None:
    """
    @return: the message number of a queue id, L{None} if it is none of ours.
    """
    if len(text) != _LENGTH or text[10] != "z":
        return None
    slot = _SLOT_VALUES.get(text[11:])
    try:
        seconds = _number(text[:6])
        microseconds = _number(text[6:10])
    except KeyError:
        return None
    if slot is None or microseconds >= 1_000_000 or seconds >= 1 << 33:
        return None
    return (seconds * 1_000_000 + microseconds) << 8 | slot


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 52 + _VALUES[digit]
    return value


class IdMaker:
    """
    Makes the ids of one process: each one greater than the one before, also
    when the wall clock stands still or goes back.
    """

    def __init__(self, now: Callable[[], float], slot: int) -> None:
        """
        @param now: wall time.
        @param slot: held by this process alone, 0 to 255.
        """
        self._now = now
        self._slot = slot
        self._last = 0
        self._second = -1
        self._prefix = ""

    def after(self, number: int) -> None:
        """
        Make only ids greater than this one, which is in the queue already.
        """
        self._last = max(self._last, number >> 8)

    def make(self) -> str:
        """
        @return: a new queue id.
        """
        microseconds = max(int(self._now() * 1_000_000), self._last + 1)
        self._last = microseconds
        second, rest = divmod(microseconds, 1_000_000)
        if second != self._second:
            self._second = second
            self._prefix = _seconds(second)
        high, low = divmod(rest, _SQUARE)
        return f"{self._prefix}{_PAIRS[high]}{_PAIRS[low]}z{_SLOTS[self._slot]}"
