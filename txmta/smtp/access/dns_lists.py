"""
Lists in the DNS: how they are written in main.cf, and what their answers mean.

A list is C{domain}, C{domain=d.d.d.d} or, where lists have weights,
C{domain=d.d.d.d*weight}. Each C{d} is a number, or C{[3;5..9]}, which is one of them.

Owns: the form of filters and lists, the name that is asked for, weights.
Knows nothing of: how the DNS is asked, what follows.

Sources: RFC 5782; Postfix C{util/ip_match.c}, C{postscreen/postscreen_dnsbl.c};
postconf(5) (reject_rbl_client, postscreen_dnsbl_sites).

Errors: L{FilterError}, with Postfix's words; C{ValueError} for a weight.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from txmta.address import valid_domain

#: Characters of a filter.
MAX_FILTER = 1000

_NUMBER = re.compile(r"[0-9]*")
_SITE = re.compile(r"([^=*]*)(?:=([^*]*))?(?:\*(.*))?", re.DOTALL)
_WEIGHT = re.compile(r"[+-]?[0-9]{1,9}")


class FilterError(ValueError):
    """
    A filter makes no sense.
    """


@dataclass(frozen=True, slots=True)
class Filter:
    """
    Which answers count.

    @ivar octets: for each octet of an address: first and last of what fits.
    @ivar text: as written, without brackets around it all.
    """

    octets: tuple[tuple[tuple[int, int], ...], ...]
    text: str

    def matches(self, address: str) -> bool:
        """
        @param address: IPv4.
        """
        parts = address.split(".")
        return len(parts) == len(self.octets) and all(
            any(low <= int(part) <= high for low, high in ranges)
            for part, ranges in zip(parts, self.octets, strict=True)
        )


def read_filter(text: str) -> Filter:
    """
    @raise FilterError: naming the place.
    """
    if len(text) > MAX_FILTER:
        raise FilterError("the filter is too long")
    if text[:1] == "[":
        # The whole may stand in brackets, too.
        end = _end(text)
        if end < 0:
            raise FilterError('missing "]" character')
        if end == len(text) - 1:
            text = text[1:-1]
    return _Reader(text).read()


def _end(text: str) -> int:
    """
    @return: where the first bracket is closed, or -1.
    """
    level = 0
    for i, c in enumerate(text):
        level += (c == "[") - (c == "]")
        if not level:
            return i
    return -1


class _Reader:
    """
    Reads one filter from left to right.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self) -> Filter:
        octets = []
        for i in range(4):
            if i and not self._take("."):
                raise self._wrong('need "." at')
            octets.append(self._octet())
        if self._at < len(self._text):
            raise self._wrong("garbage after pattern at")
        return Filter(tuple(octets), self._text)

    def _octet(self) -> tuple[tuple[int, int], ...]:
        if not self._take("["):
            number = self._number('need decimal number 0..255 or "[" at')
            return ((number, number),)
        ranges = [self._range()]
        while self._take(";"):
            ranges.append(self._range())
        if not self._take("]"):
            raise self._wrong('need ";" or "]" at')
        return tuple(ranges)

    def _range(self) -> tuple[int, int]:
        low = self._number("need decimal number 0..255 at")
        if self._text.startswith("..", self._at):
            self._at += 2
            start = self._at
            high = self._number("numeric range error at")
            if high < low:
                self._at = start
                raise self._wrong("numeric range error at", self._digits(start))
            return low, high
        if self._take("."):
            raise self._wrong("numeric range error at", self._digits(self._at))
        return low, low

    def _digits(self, at: int) -> int:
        found = _NUMBER.match(self._text, at)
        return max(1, len(found[0]) if found else 0)

    def _number(self, wrong: str) -> int:
        found = _NUMBER.match(self._text, self._at)
        digits = found[0] if found else ""
        if not digits or len(digits) > 3 or int(digits) > 255:
            raise self._wrong(wrong, max(1, len(digits)))
        self._at += len(digits)
        return int(digits)

    def _take(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def _wrong(self, what: str, size: int = 1) -> FilterError:
        text, at = self._text, self._at
        end = at + size
        return FilterError(f'{what} "{text[:at]}>{text[at:end]}<{text[end:]}"')


@dataclass(frozen=True, slots=True)
class Site:
    """
    One list.

    @ivar domain: where it is.
    @ivar filter: which of its answers count; L{None}: all.
    @ivar weight: what it adds to a score.
    @ivar text: domain and filter, as written.
    """

    domain: str
    filter: Filter | None = None
    weight: int = 1
    text: str = ""

    def lists(self, answers: Iterable[str]) -> bool:
        """
        @param answers: the addresses that the list gave.
        """
        if self.filter is None:
            return any(True for _ in answers)
        return any(map(self.filter.matches, answers))


def read_site(text: str, weights: bool = False) -> Site:
    """
    @param weights: there may be one.
    @raise ValueError: the filter, or the weight, makes no sense.
    """
    found = _SITE.fullmatch(text)
    assert found is not None, "it matches anything"
    domain, condition, weight = found.groups()
    if weight is not None and not (weights and _WEIGHT.fullmatch(weight)):
        raise ValueError(f'bad DNSBL weight factor "{weight}" in "{text}"')
    if not valid_domain(domain):
        raise ValueError(f'bad DNSBL domain name "{domain}" in "{text}"')
    return Site(
        domain.lower(),
        None if condition is None else read_filter(condition),
        1 if weight is None else int(weight),
        text if weight is None else text[: found.start(3) - 1],
    )


def score(sites: Iterable[tuple[Site, Sequence[str]]]) -> int:
    """
    @param sites: each with the addresses that it gave.
    @return: the sum of the weights of those that list the client.
    """
    return sum(site.weight for site, answers in sites if site.lists(answers))


def reversed_address(address: str) -> str:
    """
    @param address: of a client.
    @return: as names in lists begin.
    @raise ValueError: it is no address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    name = ip.reverse_pointer
    return name.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def listable(domain: str) -> bool:
    """
    Whether lists of domains can be asked for a name.
    """
    last = domain.rpartition(".")[2]
    return domain.isascii() and valid_domain(domain) and not last.isdigit()
