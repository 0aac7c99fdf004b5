"""
Patterns of match lists: names, domains, addresses, networks.

Owns: what a pattern matches.
Knows nothing of: order, negation, files, tables (L{txmta.maps.match}).

Sources: Postfix: C{util/match_ops.c}, C{util/cidr_match.c}.

Errors: C{ValueError} in Postfix's words for a pattern that is neither name
nor network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from enum import Enum

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Kind(Enum):
    """
    How the items of a list are compared.
    """

    STRING = "string"  # whole names only: mydestination, virtual_*_domains
    DOMAIN = "domain"  # .example.com for what is below example.com
    PARENT = "parent"  # example.com for what is below it too
    CLIENT = "client"  # networks, addresses, and names as DOMAIN
    CLIENT_PARENT = "client, parent"  # the same, names as PARENT


#: Kinds of lists that hold networks and addresses.
CLIENTS = frozenset((Kind.CLIENT, Kind.CLIENT_PARENT))
_DOTTED = frozenset((Kind.DOMAIN, Kind.CLIENT))


def is_address(item: str) -> bool:
    """
    Whether it is an IP address, not a name; no check that it is a good one.
    """
    return ":" in item or item.replace(".", "").isdigit()


def keys(item: str, kind: Kind) -> list[str]:
    """
    @return: what to look up in a table, or in a set of patterns: the item
        itself, then what stands for its parents.
    """
    if kind is Kind.STRING or is_address(item):
        return [item]
    found = [item]
    dot = item.find(".", 1)
    while dot >= 0:
        found.append(item[dot:] if kind in _DOTTED else item[dot + 1 :])
        dot = item.find(".", dot + 1)
    return found


class Patterns:
    """
    Patterns whose order does not matter, for all mean the same.
    """

    def __init__(self, patterns: Iterable[str], kind: Kind) -> None:
        """
        @raise ValueError: in Postfix's words.
        """
        self._kind = kind
        self._names: set[str] = set()
        self._networks: list[_Network] = []
        for pattern in patterns:
            self._add(pattern.casefold())

    def _add(self, pattern: str) -> None:
        if self._kind not in CLIENTS:
            self._names.add(pattern)
        elif pattern[0] == "[" or "/" in pattern or is_address(pattern):
            self._networks.append(parse_network(pattern))
        else:
            self._names.add(pattern)

    def match(self, item: str) -> bool:
        """
        @param item: a name or an IP address, folded to lower case.
        """
        if self._networks and is_address(item):
            return self._match_address(item)
        return not self._names.isdisjoint(keys(item, self._kind))

    def _match_address(self, item: str) -> bool:
        try:
            address = ipaddress.ip_address(item)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def parse_network(pattern: str) -> _Network:
    """
    Read C{192.0.2.0/24}, C{[2001:db8::]/32}, C{[192.0.2.1]}, C{192.0.2.1}.

    @raise ValueError: in Postfix's words.
    """
    text = pattern
    if pattern[0] == "[":
        inner, bracket, rest = pattern[1:].partition("]")
        if not bracket:
            raise ValueError(f"missing ']' character after \"{pattern}\"")
        if rest and rest[0] != "/":
            raise ValueError(f'garbage after "[{inner}]"')
        text = inner + rest
    net, slash, mask = text.partition("/")
    if not slash:
        try:
            return ipaddress.ip_network(net)
        except ValueError:
            raise ValueError(f'bad address pattern: "{pattern}"') from None
    try:
        if not (mask.isascii() and mask.isdigit()):
            raise ValueError
        network = ipaddress.ip_network(f"{net}/{mask}", strict=False)
    except ValueError:
        raise ValueError(f'bad net/mask pattern: "{net}/{mask}"') from None
    if network.network_address != ipaddress.ip_address(net):
        raise ValueError(
            f'non-null host address bits in "{net}/{mask}", '
            f'perhaps you should use "{network}" instead'
        )
    return network
