"""
What all sessions of an SMTP server share.

Owns: these values.
Knows nothing of: sessions.

Sources: Postfix C{smtpd/smtpd.c} (smtpd_timeout, smtpd_per_request_deadline,
smtpd_min_data_rate, smtpd_peername_lookup).

Errors: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from txmta.interfaces import IClientNames, IEventSink, IPostmaster
from txmta.smtp.login import Logins
from txmta.smtp.privileges import Privileges
from txmta.smtp.rules import Rules
from txmta.smtp.tls.server import ServerTLS


@dataclass(frozen=True)
class Timeouts:
    """
    In seconds.

    @ivar idle: smtpd_timeout.
    @ivar per_request: smtpd_per_request_deadline.
    @ivar min_rate: smtpd_min_data_rate, octets per second.
    @ivar close: how long the peer may take to read our last words.
    """

    idle: float = 300.0
    per_request: bool = False
    min_rate: int = 500
    close: float = 5.0


@dataclass(frozen=True)
class Context:
    """
    @ivar clock: monotonic.
    @ivar lookup: smtpd_peername_lookup.
    @ivar postmaster: hears of trouble, if he wants to.
    @ivar logins: who may log in; L{None}: nobody.
    @ivar privileges: which clients may speak for others; L{None}: none.
    @ivar tls: of this server, if it has any.
    """

    rules: Rules
    clock: IReactorTime
    sink: IEventSink
    names: IClientNames
    timeouts: Timeouts = Timeouts()
    lookup: bool = True
    postmaster: IPostmaster | None = None
    logins: Logins | None = None
    privileges: Privileges | None = None
    tls: ServerTLS | None = None
