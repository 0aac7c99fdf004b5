"""
C{/etc/resolv.conf}, as far as it matters to us.

Owns: which servers are asked, in which order, how long and how often.
Knows nothing of: files. Search lists are not used: mail names are complete.

Sources: resolv.conf(5) of glibc: bounds, defaults, C{trust-ad}.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

#: As glibc: MAXNS, RES_TIMEOUT, RES_MAXRETRANS, RES_DFLRETRY, RES_MAXRETRY.
MAX_SERVERS = 3
_TIMEOUT, _MAX_TIMEOUT = 5, 30
_ATTEMPTS, _MAX_ATTEMPTS = 2, 5


@dataclass(frozen=True, slots=True)
class Servers:
    """
    @ivar addresses: never empty.
    @ivar timeout: seconds for one try.
    @ivar attempts: how often each server is tried.
    @ivar rotate: start with another server each time.
    @ivar trust_ad: the administrator trusts their AD bit.
    """

    addresses: tuple[str, ...] = ("127.0.0.1",)
    timeout: float = float(_TIMEOUT)
    attempts: int = _ATTEMPTS
    rotate: bool = False
    trust_ad: bool = False

    def trusts(self, address: str) -> bool:
        """
        Whether the AD bit of a server counts: what it says must not have
        crossed a network, or the administrator must have said so.
        """
        return self.trust_ad or ipaddress.ip_address(address).is_loopback


def parse_resolv_conf(text: str) -> Servers:
    """
    What cannot be understood is ignored, as libc does.
    """
    addresses: list[str] = []
    options: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or line[0] in "#; \t":
            continue
        if words[0] == "nameserver":
            addresses += _address(words[1])
        elif words[0] == "options":
            options.update((w.partition(":")[0], w.partition(":")[2]) for w in words)
    return Servers(
        tuple(addresses[:MAX_SERVERS]) or Servers().addresses,
        float(_bounded(options.get("timeout"), _TIMEOUT, _MAX_TIMEOUT)),
        _bounded(options.get("attempts"), _ATTEMPTS, _MAX_ATTEMPTS),
        "rotate" in options,
        "trust-ad" in options,
    )


def _address(text: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(text))]
    except ValueError:
        return []


def _bounded(text: str | None, default: int, most: int) -> int:
    if text is None or not text.isascii() or not text.isdigit():
        return default
    return max(1, min(most, int(text[:9])))
