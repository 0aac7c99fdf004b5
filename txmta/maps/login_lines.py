"""
Logins by IMAP and POP3, as Dovecot logs them; and from where there were some of late.

Owns: the form of the lines, how old a line is, how many addresses are known.
Knows nothing of: files, sockets.

A line counts only if it is Dovecot's from its beginning: the rest holds names that
anybody may make up.

Sources: Dovecot's C{login_log_format_elements} and C{login_log_format}, by default
C{user=<%u> method=%m rip=%r ...} and C{%$: %s}; its own log files, and syslog.

Errors: none; other lines say nothing.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Iterator

#: Addresses that are known at a time; the oldest go first.
MOST = 100_000

_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)

_LINE = re.compile(
    r"(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?P<zone>Z|[+-]\d\d:?\d\d)?) "
    # Of syslog; Dovecot's own files do without.
    r"(?:[\w.-]{1,255} dovecot(?:\[\d+\])?: )?"
    r"(?:imap|pop3)-login: (?:Info: )?Login: "
    r"user=<[^<>]{0,500}>, method=[\w-]{0,50}, rip=(?P<address>[0-9a-fA-F.:]{2,45}), "
)


def plain(text: str) -> str | None:
    """
    @return: an IP address as tables are asked for it; L{None}: it is none.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    four = getattr(address, "ipv4_mapped", None)
    return str(four or address)


def login(line: str, now: float) -> tuple[float, str] | None:
    """
    @param now: wall time.
    @return: wall time and address of a login, if the line tells of one.
    """
    match = _LINE.match(line)
    # A name may not look like the rest of the line.
    if match is None or line.count("rip=") != 1:
        return None
    address = plain(match["address"])
    when = _wall_time(match["time"], match["zone"], now)
    if address is None or when is None:
        return None
    return when, address


def _wall_time(text: str, zone: str | None, now: float) -> float | None:
    try:
        if text[0].isdigit():
            moment = time.strptime(text[:19].replace("T", " "), "%Y-%m-%d %H:%M:%S")
            if zone is None:
                return time.mktime(moment)
            return _utc(moment) - _offset(zone)
        month = _MONTHS.index(text[:3]) + 1
        clock = [int(part) for part in text[7:].split(":")]
        year = time.localtime(now).tm_year
        # There is no year: it is the last time that there was such a day.
        for each in (year, year - 1):
            hour, minute, second = clock
            day = (each, month, int(text[4:6]), hour, minute, second, 0, 0, -1)
            when = time.mktime(day)
            if when <= now + 86400:
                return when
    except (ValueError, OverflowError):
        pass
    return None


def _utc(moment: time.struct_time) -> float:
    import calendar

    return float(calendar.timegm(moment))


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


class Seen:
    """
    Addresses, and when there was a login from each for the last time.
    """

    def __init__(self, lifetime: float) -> None:
        """
        @param lifetime: seconds for which a login counts.
        """
        self._lifetime = lifetime
        self._last: dict[str, float] = {}

    def add(self, address: str, when: float) -> None:
        if when <= self._last.get(address, when - 1):
            return
        # The newest are last.
        self._last.pop(address, None)
        if len(self._last) >= MOST:
            del self._last[next(iter(self._last))]
        self._last[address] = when

    def has(self, address: str, now: float) -> bool:
        when = self._last.get(address)
        # A clock that was wrong lets nobody in for ever.
        return when is not None and abs(now - when) <= self._lifetime


class Lines:
    """
    Octets of a log, in any pieces, to lines.
    """

    #: Octets of one line; what is longer is no login.
    LONGEST = 4096

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, octets: bytes) -> Iterator[str]:
        *lines, rest = (self._rest + octets).split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
            elif len(line) <= self.LONGEST:
                yield line.decode("utf-8", "replace")
        if len(rest) > self.LONGEST:
            rest, self._skipping = b"", True
        self._rest = rest

    def skip(self) -> None:
        """
        What comes next begins in the middle of a line.
        """
        self._rest, self._skipping = b"", True

    def clear(self) -> None:
        """
        What comes next begins a file.
        """
        self._rest, self._skipping = b"", False
