"""
C{/etc/hosts}, from addresses to names.

Sources: hosts(5).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache

from txmta.dns.messages import is_host


def parse_hosts(text: str) -> Mapping[str, str]:
    """
    @return: address in its shortest form to its first name. The first line
        of an address counts; a line that makes no sense is ignored.
    """
    names: dict[str, str] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) < 2 or not is_host(words[1]):
            continue
        address = shortest(words[0])
        if address is not None:
            names.setdefault(address, words[1])
    return names


@lru_cache(4096)
def shortest(address: str) -> str | None:
    """
    @return: the one way to write an address: without scope, an IPv4 address
        in IPv6 clothes as what it is; L{None} if it is no address.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return str(ip)
