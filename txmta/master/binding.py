"""
Open the listening sockets.

Owns: bind and listen, before privileges are shed; all or none.
Knows nothing of: which addresses (L{txmta.master.sockets}), what is served.

Sources: RFC 3493 section 5.3 (IPV6_V6ONLY); socket(7). Postfix:
    C{util/inet_listen.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} with all problems.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from txmta.errors import ConfigError
from txmta.master.sockets import WILDCARD, Listen

#: Connections that wait to be accepted; the kernel's somaxconn bounds it too.
BACKLOG = 1024

_REMEDIES = {
    errno.EADDRINUSE: "address in use: stop the server that has it (ss -ltnp names "
    "it), or change the service in master.cf",
    errno.EACCES: "permission denied: start as root, or write a port above 1023 in "
    "master.cf",
    errno.EADDRNOTAVAIL: "not an address of this machine: change the service in "
    "master.cf, or inet_interfaces",
}


@dataclass(frozen=True)
class Bound:
    """
    @ivar socket: listening, not blocking, closed on exec; for
        C{reactor.adoptStreamPort(socket.fileno(), socket.family, factory)},
        after which it is to be closed.
    """

    listen: Listen
    socket: socket.socket


def port_of(name: str) -> int:
    """
    @return: the port of a service of /etc/services.
    @raise OSError: there is none.
    """
    return socket.getservbyname(name, "tcp")


def bind_all(
    listens: Sequence[Listen], beside: Sequence[socket.socket] = ()
) -> Sequence[Bound]:
    """
    @param beside: listening sockets of ours that may have the same port: a new
        one for 192.0.2.1 beside one for all addresses. Nobody else's may.
    @return: one socket for each address. The IPv6 wildcard is left out on a
        machine without IPv6.
    @raise ConfigError: with each address that cannot be had; nothing is open
        then.
    """
    bound: list[Bound] = []
    problems: list[str] = []
    _share(beside, True)
    for listen in listens:
        try:
            bound.append(Bound(listen, _bind(listen, bool(beside))))
        except OSError as e:
            if not _no_ipv6(listen, e):
                problems.append(
                    f"{listen.service.where}: cannot listen on {listen}: "
                    f"{_REMEDIES.get(e.errno or 0, e.strerror)}"
                )
    _share([*beside, *(each.socket for each in bound)], False)
    if problems:
        for each in bound:
            each.socket.close()
        raise ConfigError(problems)
    return tuple(bound)


def _share(sockets: Sequence[socket.socket], shared: bool) -> None:
    """
    Let others of this account have the same port, or not.
    """
    for each in sockets:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))


def _bind(listen: Listen, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _share([made], shared)
        if family == socket.AF_INET6:
            # else IPv4 clients come as ::ffff:192.0.2.1, which no map lists
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((listen.host, listen.port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def _no_ipv6(listen: Listen, error: OSError) -> bool:
    return listen.host == WILDCARD["ipv6"] and error.errno in (
        errno.EAFNOSUPPORT,
        errno.EADDRNOTAVAIL,
    )
