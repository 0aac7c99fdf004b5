"""
Ask the machine for its name and addresses.

Owns: the netlink messages for addresses with their real netmasks; /etc/hosts.
Knows nothing of: which addresses the mail system uses
    (L{txmta.config.addresses}).

Sources: rtnetlink(7), netlink(7), hosts(5). Postfix:
    C{util/inet_addr_local.c}.

Errors: none; what cannot be found out is left out, down to the loopback
    addresses. No DNS query is made.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence

from txmta.config.declare import Interface, System

#: Octets of /etc/hosts that are looked at; block lists can be huge.
MAX_HOSTS = 4 << 20

#: Octets of one netlink answer.
_MAX_ANSWER = 1 << 16

_HEADER = struct.Struct("=LHHLL")  # length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBL")  # family, prefix length, flags, scope, index
_LINK = struct.Struct("=BBHLLL")  # family, padding, type, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")  # length, type

_DONE, _ERROR, _GET_LINK, _GET_ADDRESS = 3, 2, 18, 22
_REQUEST_DUMP = 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_UP = 1


def this_machine(hosts: str = "/etc/hosts") -> System:
    """
    @param hosts: path of the hosts file.
    """
    try:
        interfaces = tuple(interfaces_by_netlink())
    except (OSError, AttributeError):  # no netlink on this system, or not for us
        interfaces = ()
    try:
        with open(hosts, encoding="utf-8", errors="replace") as file:
            names = parse_hosts(file.read(MAX_HOSTS))
    except OSError:
        names = {}
    names.setdefault("localhost", ("127.0.0.1", "::1"))
    return System(
        socket.gethostname(),
        interfaces or System().interfaces,
        names,
        os.geteuid() == 0,
    )


def parse_hosts(text: str) -> dict[str, Sequence[str]]:
    """
    @return: the addresses of each name, names in lower case.
    """
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found.setdefault(name.lower(), []).append(address)
    return dict(found)


def interfaces_by_netlink() -> Iterator[Interface]:
    """
    @return: the addresses of all interfaces that are up, IPv4 first.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as channel:
        channel.settimeout(5)
        links = list(_dump(channel, _GET_LINK))
        answers = list(_dump(channel, _GET_ADDRESS))
    up = {index for index, flags in map(_link, links) if flags & _UP}
    found = [i for i in (_interface(answer, up) for answer in answers) if i]
    yield from sorted(dict.fromkeys(found), key=lambda i: ":" in i.address)


def _dump(channel: socket.socket, kind: int) -> Iterator[bytes]:
    """
    @return: the payload of each message of a dump.
    """
    body = bytes(_LINK.size if kind == _GET_LINK else _ADDRESS.size)
    size = _HEADER.size + len(body)
    channel.send(_HEADER.pack(size, kind, _REQUEST_DUMP, kind, 0) + body)
    while True:
        data = channel.recv(_MAX_ANSWER)
        while len(data) >= _HEADER.size:
            length, answer, _flags, _sequence, _port = _HEADER.unpack_from(data)
            if answer == _DONE:
                return
            if answer == _ERROR or length < _HEADER.size:
                raise OSError("netlink refuses to list addresses")
            yield data[_HEADER.size : length]
            data = data[_aligned(length) :]


def _link(payload: bytes) -> tuple[int, int]:
    _family, _padding, _type, index, flags, _change = _LINK.unpack_from(payload)
    return index, flags


def _interface(payload: bytes, up: set[int]) -> Interface | None:
    family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(payload)
    if index not in up or family not in (socket.AF_INET, socket.AF_INET6):
        return None
    attributes = _attributes(payload[_ADDRESS.size :])
    # of a point-to-point link, IFA_ADDRESS is the other end
    octets = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
    if octets is None:
        return None
    address = ipaddress.ip_address(octets)
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    return Interface(str(address), str(network))


def _attributes(data: bytes) -> Mapping[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3
