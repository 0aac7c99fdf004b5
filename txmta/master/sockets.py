"""
Where to listen.

Owns: which addresses the inet services of master.cf ask for.
Knows nothing of: sockets themselves (L{txmta.master.binding}).

Sources: Postfix's master(5), service name; C{master/master_ent.c},
    C{util/host_port.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} with all problems.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from txmta.config.addresses import (
    families,
    family,
    named_addresses,
    own_interfaces,
)
from txmta.config.master_cf import Service
from txmta.config.settings import Settings
from txmta.errors import ConfigError

#: Of the services in the built-in and the stock master.cf, for machines
#: without /etc/services.
WELL_KNOWN = {"smtp": 25, "smtps": 465, "submissions": 465, "submission": 587}

#: What can be served.
PROGRAMS = ("smtpd", "postscreen")

#: By family, what C{inet_interfaces = all} binds.
WILDCARD = {"ipv4": "0.0.0.0", "ipv6": "::"}


@dataclass(frozen=True)
class Listen:
    """
    One address to listen on.

    @ivar host: an IPv4 or IPv6 address, without brackets.
    @ivar service: that asks for it.
    """

    host: str
    port: int
    service: Service

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def listens(
    services: Sequence[Service],
    settings: Settings,
    port_of: Callable[[str], int],
) -> Sequence[Listen]:
    """
    @param services: of master.cf; only inet services of our programs listen.
    @param port_of: getservbyname; raises C{OSError} for a name not known.
    @raise ConfigError: a name, a port or an address cannot be used.
    """
    problems: list[str] = []
    found: dict[tuple[str, int], Listen] = {}
    for service in services:
        if service.type != "inet" or service.program not in PROGRAMS:
            continue
        try:
            for listen in _of_service(service, settings, port_of):
                other = found.setdefault((listen.host, listen.port), listen)
                if other is not listen:
                    raise ValueError(
                        f"service {service.name}: {other.service.where} listens on "
                        f"{listen} already: remove one"
                    )
        except ValueError as e:
            problems.append(f"{service.where}: {e}")
    if problems:
        raise ConfigError(problems)
    return tuple(found.values())


def _of_service(
    service: Service, settings: Settings, port_of: Callable[[str], int]
) -> Iterator[Listen]:
    host, port_text = split_name(service.name)
    port = _port(port_text, port_of)
    for address in _hosts(host, settings):
        yield Listen(address, port, service)


def split_name(name: str) -> tuple[str, str]:
    """
    @param name: C{port}, C{host:port}, C{[address]:port} or C{:port}.
    @return: host, or C{""}, and port.
    """
    match = re.fullmatch(r"(?:(\[[^\[\]]+\]|[^:\[\]]*):)?([^:\[\]]+)", name)
    if match is None:
        raise ValueError(
            f"service {name}: is no address: write port, host:port or [IPv6]:port"
        )
    return (match[1] or "").strip("[]"), match[2]


def _port(text: str, port_of: Callable[[str], int]) -> int:
    if re.fullmatch(r"\d{1,6}", text):
        port = int(text)
    elif text in WELL_KNOWN:
        port = WELL_KNOWN[text]
    else:
        try:
            port = port_of(text)
        except OSError as e:
            raise ValueError(
                f"service {text}: unknown port: write its number, or add it to "
                "/etc/services"
            ) from e
    if not 0 < port < 65536:
        raise ValueError(f"service {text}: is no port: write 1 to 65535")
    return port


def _hosts(host: str, settings: Settings) -> Sequence[str]:
    """
    A host in master.cf counts instead of inet_interfaces.
    """
    wanted = families(settings.inet_protocols)
    if host:
        addresses = named_addresses(host, settings.system)
        found = [a for a in addresses if family(a) in wanted]
        if not found:
            raise ValueError(
                f"{host} has no address of the protocols in inet_protocols"
            )
        return found
    if settings.inet_interfaces == ("all",):
        return tuple(WILDCARD[name] for name in wanted)
    own = own_interfaces(settings.inet_interfaces, wanted, settings.system)
    if not own:
        raise ValueError("inet_interfaces and inet_protocols leave no address")
    # link-local addresses need a scope, which inet_interfaces cannot give
    return tuple(i.address for i in own if not ip_address(i.address).is_link_local)
