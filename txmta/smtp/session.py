"""
What is known of one SMTP server session.

Owns: these facts; who decides about the session reads them.
Knows nothing of: how they came about, what is decided.

Sources: Postfix C{smtpd/smtpd.h} (SMTPD_STATE).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from txmta.model import Client, Login, Reply, TLSInfo


@dataclass(slots=True)
class Session:
    """
    @ivar client: the peer, or who XCLIENT or a proxy says is.
    @ivar helo: what the client called itself, or C{""}.
    @ivar protocol: C{"SMTP"} or C{"ESMTP"}.
    @ivar tls: of the encrypted session, or L{None} in plaintext.
    @ivar login: who logged in, or L{None}.
    @ivar forwarded: what XFORWARD said, by attribute in upper case.
    @ivar ahead: commands came that had to wait for an answer first.
    @ivar postponed: what defer_if_permit said at C{"CONNECT"} and at C{"HELO"}.
    @ivar server_address: our own, which the client connected to, with
        C{server_port}.
    """

    client: Client
    helo: str = ""
    protocol: str = "SMTP"
    tls: TLSInfo | None = None
    login: Login | None = None
    forwarded: Mapping[str, str] = field(default_factory=dict)
    # Depends on how the octets are cut; no two sessions differ by it.
    ahead: bool = field(default=False, repr=False, compare=False)
    server_address: str = ""
    server_port: int = 0
    postponed: dict[str, Reply | None] = field(default_factory=dict)

    def postponed_at(self, stage: str) -> Reply | None:
        """
        @return: what of the stage may still refuse what everything permits.
        """
        found = self.postponed
        return found.get(stage, found.get("CONNECT")) if found else None

    def reached(self, host: object) -> None:
        """
        @param host: the address that the client connected to, as a transport
            has it.
        """
        self.server_address = plain_address(getattr(host, "host", None) or "")
        self.server_port = getattr(host, "port", 0)


def plain_address(host: str) -> str:
    """
    @return: an address without scope, and IPv4 as IPv4.
    """
    if ":" not in host:
        return host
    host = host.partition("%")[0]
    lower = host.lower()
    return host[7:] if lower.startswith("::ffff:") and "." in host else host
