"""
What a proxy in front says before the first octet of a client: PROXY, version 1
and 2.

Owns: its syntax, and the words of what is wrong.
Knows nothing of: sockets, time, what follows (L{txmta.smtp.proxied}).

Sources: the PROXY protocol's specification, versions 1 and 2; Postfix
C{global/haproxy_srvr.c}, whose words the errors are.

Errors: L{BadHeader}.

@note: a header may come in pieces; Postfix wants it in one.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_START = b"PROXY "

#: Octets before the addresses in version 2.
_FIXED = 16

#: Octets of a line of version 1; 107 are enough for any.
MAX_LINE = 536

#: Octets after the fixed part in version 2: addresses, and what is ignored.
MAX_REST = 4096

_PORT = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)


class BadHeader(ValueError):
    """
    It is not what a proxy says.
    """


@dataclass(frozen=True, slots=True)
class Endpoints:
    """
    @ivar client: address and port.
    @ivar server: of the address that the client connected to.
    """

    client: tuple[str, int]
    server: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Header:
    """
    @ivar endpoints: L{None}: the proxy speaks for itself.
    @ivar rest: what came after it.
    """

    endpoints: Endpoints | None
    rest: bytes


def read(data: bytes) -> Header | None:
    """
    @param data: all that has arrived.
    @return: L{None}: more must come.
    @raise BadHeader: it is none.
    """
    if data.startswith(_SIGNATURE):
        return _binary(data)
    if data.startswith(_START):
        return _line(data)
    if _SIGNATURE.startswith(data) or _START.startswith(data):
        return None
    short = len(data) < _FIXED
    raise BadHeader(
        "short protocol header" if short else "unrecognized protocol header"
    )


def broken(data: bytes) -> str:
    """
    @return: what is wrong with a header that nothing more follows.
    """
    if data.startswith(_START):
        return "missing protocol header terminator"
    short = len(data) < _FIXED
    return "short protocol header" if short else "short version 2 protocol header"


def _line(data: bytes) -> Header | None:
    line, end, rest = data.partition(b"\n")
    if not end or len(line) > MAX_LINE:
        if len(line) > MAX_LINE:
            raise BadHeader("missing protocol header terminator")
        return None
    words = line.decode("latin-1").split()[1:6]
    words += [""] * (5 - len(words))
    kind, client, server, client_port, server_port = words
    if kind not in ("TCP4", "TCP6"):
        raise BadHeader("bad or missing protocol type")
    six = kind == "TCP6"
    ends = (_address(client, six, "client"), _address(server, six, "server"))
    ports = (_port(client_port, "client"), _port(server_port, "server"))
    return Header(Endpoints((ends[0], ports[0]), (ends[1], ports[1])), rest)


def _address(text: str, six: bool, whose: str) -> str:
    try:
        if six:
            if "%" not in text:
                return _usual(ipaddress.IPv6Address(text))
        else:
            return str(ipaddress.IPv4Address(text))
    except ValueError:
        pass
    raise BadHeader(f"bad or missing {whose} address")


def _usual(address: ipaddress.IPv6Address) -> str:
    return str(address.ipv4_mapped or address)


def _port(text: str, whose: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise BadHeader(f"bad or missing {whose} port")
    return int(text)


def _binary(data: bytes) -> Header | None:
    if len(data) < _FIXED:
        return None
    version, command = data[12] >> 4, data[12] & 15
    family, length = data[13], int.from_bytes(data[14:16], "big")
    if version != 2:
        raise BadHeader("unrecognized protocol version")
    if command > 1:
        raise BadHeader("bad command in proxy header")
    size = {0x11: 12, 0x21: 36}.get(family, 0)
    if command and not size:
        raise BadHeader("unsupported network protocol")
    if command and length < size:
        raise BadHeader("short address field")
    if length > MAX_REST:
        raise BadHeader("short version 2 protocol header")
    if len(data) < _FIXED + length:
        return None
    body, rest = data[_FIXED : _FIXED + length], data[_FIXED + length :]
    if not command:
        return Header(None, rest)
    half = (size - 4) // 2
    client, server = (_packed(body[n * half : (n + 1) * half]) for n in range(2))
    ports = body[2 * half : size]
    return Header(
        Endpoints(
            (client, int.from_bytes(ports[:2], "big")),
            (server, int.from_bytes(ports[2:], "big")),
        ),
        rest,
    )


def _packed(octets: bytes) -> str:
    address = ipaddress.ip_address(octets)
    return (
        _usual(address) if isinstance(address, ipaddress.IPv6Address) else str(address)
    )
