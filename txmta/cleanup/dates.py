"""
Dates as mail has them.

Owns: the form of RFC 5322 dates, in local time, with Postfix's comment.
Knows nothing of: headers.

Sources: RFC 5322 section 3.3. Postfix: C{global/mail_date.c}.
"""

from __future__ import annotations

import time
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


# Messages of the same second share the text; the names are English under any
# locale, which is why this is not strftime.
@lru_cache(maxsize=16)
def mail_date(second: int) -> bytes:
    """
    @param second: wall time.
    @return: C{Tue, 24 Nov 2026 03:50:52 +0000 (UTC)}, in local time.
    """
    t = time.localtime(second)
    sign = "-" if t.tm_gmtoff < 0 else "+"
    hours, minutes = divmod(abs(t.tm_gmtoff) // 60, 60)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:2d} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04d}"
        f" {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"
        f" {sign}{hours:02d}{minutes:02d} ({t.tm_zone})"
    ).encode("ascii", "replace")


@lru_cache(maxsize=16)
def compact_date(second: int) -> bytes:
    """
    @param second: wall time.
    @return: C{20261124035052}, in UTC, as message ids have it.
    """
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(second)).encode("ascii")
