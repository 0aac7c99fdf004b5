"""
Tells transactions apart before they have a queue id, as policy servers want it.

Sources: Postfix C{smtpd/smtpd_check.c} (smtpd_check_rcpt, C{instance}).
"""

from __future__ import annotations

import os
from itertools import count

_numbers = count()


def make_instance(now: float) -> str:
    """
    @param now: wall time.
    @return: what no other transaction has: process, time and number.
    """
    seconds, rest = divmod(now, 1)
    return f"{os.getpid():x}.{int(seconds):x}.{int(rest * 1e6):x}.{next(_numbers):x}"
