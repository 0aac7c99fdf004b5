"""
What is different for lmtp(8): its own parameters, the forms of a next hop, and
next hops that are sockets of this machine.

Owns: C{unix:path}, C{inet:host:port}; which parameter stands for which.
Knows nothing of: the LMTP protocol (L{txmta.smtp.client_lmtp}), all that is as
    with smtp(8).

Sources: Postfix's lmtp(8); C{smtp_connect()}, C{smtp_connect_local()} in
C{src/smtp/smtp_connect.c}.

Errors: C{ValueError} for a next hop that cannot be understood.
"""

from __future__ import annotations

from typing import Any, cast

from txmta.config.parameters.lmtp import LMTP_NAMES
from txmta.config.settings import Settings
from txmta.delivery.smtp_hosts import Destination, Found, parse_nexthop
from txmta.delivery.smtp_lookup import HostLookup
from txmta.smtp.client_events import Target

_SOCKET, _HOST = "unix:", "inet:"


class _LmtpSettings:
    """
    Settings whose C{smtp_x} is C{lmtp_x}.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._settings, LMTP_NAMES.get(name, name))


def lmtp_settings(settings: Settings) -> Settings:
    """
    @return: what the SMTP client reads its parameters from, for LMTP.
    """
    return cast(Settings, _LmtpSettings(settings))


def split_nexthop(text: str) -> list[str]:
    """
    @return: the next hops to try; a path may have any characters.
    """
    if text.startswith(_SOCKET):
        return [text]
    return text.replace(",", " ").split()


def lmtp_nexthop(text: str, port: int) -> Destination:
    """
    @param port: where none is given.
    @return: a port of 0 for a socket, whose path is the host.
    @raise ValueError: it is none of C{unix:path}, C{host}, C{[host]},
        C{[address]}, the last three perhaps with C{inet:} and C{:port}.
    """
    if not text.startswith(_SOCKET):
        return parse_nexthop(text.removeprefix(_HOST), port)
    path = text.removeprefix(_SOCKET)
    if not path or "\0" in path:
        raise ValueError(f"malformed next hop: {text}")
    return Destination(text, path, 0, True)


class LmtpLookup(HostLookup):
    """
    Finds the hosts of a next hop; a socket is on this one.

    @ivar myhostname: its name, which Postfix logs for sockets.
    """

    myhostname = "localhost"

    async def find(self, destination: Destination) -> Found:
        """
        See L{HostLookup.find}.
        """
        if destination.port:
            return await super().find(destination)
        return Found((Target(self.myhostname, destination.host, 0),))
