"""
The addresses of this machine that the mail system uses.

Owns: what inet_interfaces, inet_protocols and mynetworks_style mean.
Knows nothing of: how the machine's addresses are found
    (L{txmta.config.system}), sockets.

Sources: Postfix's C{global/own_inet_addr.c}, C{global/mynetworks.c};
    C{postconf mynetworks} is the oracle of the tests.

Errors: C{ValueError} with what is wrong and what to do.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from txmta.config.declare import Interface, System

if TYPE_CHECKING:
    from txmta.config.settings import Settings

STYLES = ("host", "subnet", "class")


def families(protocols: Iterable[str]) -> tuple[str, ...]:
    """
    @param protocols: words of inet_protocols.
    @return: C{"ipv4"}, C{"ipv6"}, or both.
    """
    found: set[str] = set()
    for word in protocols:
        if word not in ("all", "ipv4", "ipv6"):
            raise ValueError(f"{word} is no protocol: write all, ipv4 or ipv6")
        found.update(("ipv4", "ipv6") if word == "all" else (word,))
    return tuple(sorted(found))


def family(address: str) -> str:
    """
    @return: C{"ipv4"} or C{"ipv6"}.
    """
    return "ipv6" if ":" in address else "ipv4"


def bare_address(text: str) -> str | None:
    """
    @param text: an address, IPv6 perhaps in brackets.
    @return: in the standard spelling, or L{None} if it is none.
    """
    try:
        return str(ipaddress.ip_address(text.strip("[]").removeprefix("IPv6:")))
    except ValueError:
        return None


def named_addresses(word: str, system: System) -> Sequence[str]:
    """
    @param word: an address, or a name that /etc/hosts knows.
    @raise ValueError: it is neither.
    """
    address = bare_address(word)
    if address is not None:
        return (address,)
    found = system.hosts.get(word.lower(), ())
    addresses = [a for a in map(bare_address, found) if a is not None]
    if not addresses:
        raise ValueError(
            f"host not found: {word}: write its address, or add it to /etc/hosts"
        )
    return addresses


def own_interfaces(
    interfaces: Sequence[str], protocols: Iterable[str], system: System
) -> tuple[Interface, ...]:
    """
    @param interfaces: words of inet_interfaces.
    @param protocols: words of inet_protocols.
    @raise ValueError: an address that is not one of this machine, or a name
        that is not known.
    """
    wanted = families(protocols)
    mine = [i for i in system.interfaces if family(i.address) in wanted]
    if tuple(interfaces) == ("all",):
        return tuple(mine)
    if tuple(interfaces) == ("loopback-only",):
        return tuple(i for i in mine if ipaddress.ip_address(i.address).is_loopback)
    return tuple(dict.fromkeys(_named_interfaces(interfaces, wanted, mine, system)))


def _named_interfaces(
    words: Sequence[str],
    wanted: Sequence[str],
    mine: Sequence[Interface],
    system: System,
) -> Iterator[Interface]:
    by_address = {i.address: i for i in mine}
    for word in words:
        addresses = [a for a in named_addresses(word, system) if family(a) in wanted]
        if not addresses:
            raise ValueError(
                f"{word} has no address of the protocols in inet_protocols"
            )
        for address in addresses:
            if address not in by_address:
                raise ValueError(
                    f"no local interface found for {address}: this machine has "
                    f"{', '.join(by_address) or 'none'}"
                )
            yield by_address[address]


def own_addresses(settings: Settings) -> frozenset[str]:
    """
    @return: where we are reached, directly or through a proxy: of
        inet_interfaces and proxy_interfaces, in shortest form.
    """
    interfaces = own_interfaces(
        settings.inet_interfaces, settings.inet_protocols, settings.system
    )
    proxies = map(bare_address, settings.proxy_interfaces)
    return frozenset(i.address for i in interfaces) | {p for p in proxies if p}


def networks(interfaces: Iterable[Interface], style: str) -> str:
    """
    @return: mynetworks, as C{postconf} prints it.
    """
    found = (_network(interface, style) for interface in interfaces)
    return " ".join(dict.fromkeys(map(_written, found)))


def _network(
    interface: Interface, style: str
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if style == "host":
        return ipaddress.ip_network(interface.address)
    if style == "class" and family(interface.address) == "ipv4":
        first = int(interface.address.partition(".")[0])
        if first >= 224:
            raise ValueError(f"{interface.address} has no class A, B or C network")
        length = 8 if first < 128 else 16 if first < 192 else 24
        return ipaddress.ip_network(f"{interface.address}/{length}", strict=False)
    return ipaddress.ip_network(interface.network, strict=False)


def _written(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    if network.version == 6:
        return f"[{network.network_address}]/{network.prefixlen}"
    return str(network)
