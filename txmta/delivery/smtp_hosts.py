"""
Which hosts a next hop leads to, and in which order they are tried.

Owns: the forms of a next hop, the order of addresses, finding ourselves
    among them.
Knows nothing of: DNS, connections; chance is given to it.

Sources: RFC 5321 section 5.1. Postfix: C{src/smtp/smtp_addr.c}
(C{smtp_truncate_self}, C{smtp_balance_inet_proto}), C{util/host_port.c}.

Errors: C{ValueError} for a next hop that cannot be understood.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from txmta.smtp.client_events import Target
from txmta.smtp.client_trouble import Trouble, loops_back

#: Ports that Postfix knows without asking (known_tcp_ports); enough for mail.
PORTS = {
    "lmtp": 24,
    "smtp": 25,
    "mail": 25,
    "smtps": 465,
    "submissions": 465,
    "urd": 465,
    "submission": 587,
}

_NEXTHOP = re.compile(
    r"(?:\[(?P<literal>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[^:]*))?"
)


@dataclass(frozen=True, slots=True)
class Destination:
    """
    A next hop, understood.

    @ivar text: as it was written.
    @ivar host: domain, host or address, without brackets.
    @ivar exact: no MX lookup: it was in brackets.
    """

    text: str
    host: str
    port: int
    exact: bool


@dataclass(frozen=True, slots=True)
class OrderRules:
    """
    @ivar own: addresses at which we are reached.
    @ivar preference: smtp_address_preference.
    @ivar balance: smtp_balance_inet_protocols.
    @ivar address_limit: smtp_mx_address_limit, 0 for none.
    @ivar shuffle: puts a list in random order; L{None} keeps the order.
    """

    own: Collection[str]
    preference: str = "any"
    balance: bool = True
    address_limit: int = 5
    shuffle: Callable[[list[Target]], None] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """
    @ivar targets: in the order in which they are to be tried.
    @ivar trouble: why there are none.
    @ivar myself: we are among the hosts; whoever is less preferred, or no
        host of the destination at all, must not be tried.
    """

    targets: Sequence[Target] = ()
    trouble: Trouble | None = None
    myself: bool = False


def port_number(text: str) -> int:
    """
    @raise ValueError: it is neither a number of a port nor a known name.
    """
    if text.isascii() and text.isdigit():
        number = int(text) if len(text) < 6 else 0
    else:
        number = PORTS.get(text.lower(), 0)
    if not 0 < number < 65536:
        raise ValueError(f"unknown service: {text}/tcp")
    return number


def parse_nexthop(text: str, port: int) -> Destination:
    """
    @param port: where none is given.
    @raise ValueError: it is none of C{domain}, C{[host]}, C{[address]},
        each perhaps with C{:port}.
    """
    match = _NEXTHOP.fullmatch(text)
    if match is None:
        raise ValueError(f"malformed next hop: {text}")
    host = match["literal"] or match["name"]
    if match["literal"] and host[:5].lower() == "ipv6:":
        host = host[5:]
        if ":" not in (numeric(host) or ""):
            raise ValueError(f"malformed IPv6 address in {text}")
    host = numeric(host) or host.rstrip(".")
    if not host:
        raise ValueError(f"malformed next hop: {text}")
    if match["port"]:
        port = port_number(match["port"])
    return Destination(text, host, port, bool(match["literal"]))


def plain_host(text: str) -> str:
    """
    @param text: a next hop, right or wrong; with C{inet:} or C{unix:} perhaps.
    @return: it without brackets and port, as lists of destinations write it.
    """
    kind, _, rest = text.partition(":")
    if kind == "unix":
        return rest
    match = _NEXTHOP.fullmatch(rest if kind == "inet" else text)
    return match["literal"] or match["name"] if match else text


def numeric(host: str) -> str | None:
    """
    @return: an IP address in its usual form; L{None} if it is a name.
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def arrange(
    destination: Destination, targets: Sequence[Target], rules: OrderRules, first: int
) -> Found:
    """
    @param targets: all addresses of all hosts, by preference, least first.
    @param first: preference of the most preferred host, with or without
        addresses.
    """
    myself = False
    if destination.port == 25:
        mine = [t.preference for t in targets if t.address in rules.own]
        if mine:
            myself = True
            best_found = targets[0].preference
            targets = [t for t in targets if t.preference < mine[0]]
            if not targets:
                return Found((), _lost(destination, first == best_found), True)
    best = targets[0].preference
    marked = [replace(t, best=t.preference == best) for t in targets]
    return Found(_in_order(marked, rules), None, myself)


def _lost(destination: Destination, primary: bool) -> Trouble:
    if primary:
        return loops_back(destination.host, True)
    # The better hosts have no addresses just now; that we are what is left
    # does not mean that mail loops.
    return Trouble("4.4.4", f"unable to find primary relay for {destination.host}")


def _in_order(targets: list[Target], rules: OrderRules) -> list[Target]:
    if len(targets) < 2:
        return targets
    if rules.shuffle is not None:
        rules.shuffle(targets)
    wanted = {"ipv4": False, "ipv6": True}.get(rules.preference)
    targets.sort(
        key=lambda t: (t.preference, wanted is not None and is_ipv6(t) != wanted)
    )
    if rules.balance and rules.address_limit:
        return _balanced(targets, rules.address_limit)
    return targets


def is_ipv6(target: Target) -> bool:
    """
    Whether its address is.
    """
    return ":" in target.address


def _balanced(targets: list[Target], limit: int) -> list[Target]:
    """
    Within the limit, keep neither protocol from being tried.
    """
    six = sum(map(is_ipv6, targets))
    four = len(targets) - six
    if not six or not four or six + four <= limit:
        return targets
    if six <= limit // 2:
        keep_six = six
    elif four <= limit // 2:
        keep_six = limit - four
    else:
        keep_six = limit - (limit + (not is_ipv6(targets[0]))) // 2
    left = {True: keep_six, False: limit - keep_six}
    kept = []
    for target in targets:
        if left[is_ipv6(target)] > 0:
            left[is_ipv6(target)] -= 1
            kept.append(target)
    return kept
