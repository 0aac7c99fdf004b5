"""
Connect to a server and shake hands with it.

Owns: from an address to a connection that is ready for mail, or the reason
    why there is none.
Knows nothing of: which address to try, messages.

Sources: Postfix C{smtp_connect_addr()} in C{src/smtp/smtp_connect.c}.

Errors: none; a connection that cannot be made is L{NoConnection}.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from errno import EADDRNOTAVAIL
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, TimeoutError
from twisted.internet.interfaces import (
    IConnector,
    IReactorTCP,
    IReactorTime,
    IReactorUNIX,
)
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.python.failure import Failure

from txmta.interfaces import IPostmaster
from txmta.smtp import client_trouble as trouble
from txmta.smtp.client import ClientConnection, Limits
from txmta.smtp.client_engine import ClientEngine
from txmta.smtp.client_events import ClientRules, Event, Failed, Peer, Ready, Target
from txmta.smtp.client_login import Account
from txmta.smtp.client_recording import PROTOCOL, ClientRecording
from txmta.smtp.client_trouble import Trouble

if TYPE_CHECKING:
    from txmta.smtp.client_tls import TlsStart

#: Octets that the kernel takes, less the NUL at the end (unix(7)).
MAX_SOCKET_PATH = 107


@dataclass(frozen=True, slots=True)
class NoConnection:
    """
    @ivar relay: C{host[address]:port} if there was a server, else C{"none"}.
    @ivar tls: it came to nothing in TLS, or while TLS began.
    """

    trouble: Trouble
    relay: str = "none"
    tls: bool = False


@dataclass(frozen=True)
class DialRules:
    """
    @ivar client: for port 25 and others alike.
    @ivar loop_name: myhostname, looked for at port 25.
    @ivar connect_timeout: seconds, 0 for the system's own.
    @ivar bind4: source address, or C{""}; C{bind6} likewise.
    @ivar bind_enforce: no connection rather than from another address.
    @ivar socket_directory: where a relative path of a socket starts.
    @ivar offers: hears which hosts offer STARTTLS while it is not used.
    """

    client: ClientRules
    limits: Limits
    loop_name: str = ""
    connect_timeout: float = 30
    bind4: str = ""
    bind6: str = ""
    bind_enforce: bool = False
    socket_directory: str = ""
    offers: Callable[[str], None] | None = None


#: The result of L{Dialler.dial}.
Dialled = ClientConnection | NoConnection


class _Factory(ClientFactory):
    """
    For one attempt.
    """

    noisy = False

    def __init__(
        self, connection: ClientConnection, failed: Callable[[Failure], None]
    ) -> None:
        self._connection = connection
        self._failed = failed

    def buildProtocol(self, addr: object) -> ClientConnection:
        return self._connection

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._failed(reason)

    def clientConnectionLost(
        self, connector: IConnector, reason: Failure = connectionDone
    ) -> None:
        """
        The connection knows.
        """


class Dialler:
    """
    Makes connections.
    """

    def __init__(
        self,
        reactor: IReactorTCP,
        clock: IReactorTime,
        rules: DialRules,
        warn: Callable[[str], None],
        postmaster: IPostmaster | None = None,
    ) -> None:
        """
        @param warn: gets what an administrator should know.
        @param postmaster: hears of servers that do not understand us.
        """
        self._reactor = reactor
        self._clock = clock
        self._rules = rules
        self._warn = warn
        wanted = postmaster is not None and PROTOCOL in postmaster.classes
        self._postmaster = postmaster if wanted else None

    def dial(
        self,
        target: Target,
        nexthop: str,
        account: Account | None = None,
        tls: TlsStart | None = None,
    ) -> Deferred[Dialled]:
        """
        @param nexthop: for the words of a loop.
        @param account: who we are there, if anybody.
        @param tls: how TLS is done there, if it may be.
        @return: never fails.
        """
        required = tls is not None and tls.required
        peer = Peer(
            target.label, nexthop, target.best, account, tls is not None, required
        )
        attempt = _Attempt(self._clock, self._rules, target, peer)
        attempt.connection.tls = tls
        self.record(attempt.connection)
        self._connect(attempt, self._source(target))
        return attempt.done

    def record(self, connection: ClientConnection) -> None:
        """
        Have kept what is said, if somebody may want to know.
        """
        if self._postmaster is not None:
            connection.recording = ClientRecording(self._postmaster, connection.relay)

    def _source(self, target: Target) -> str:
        rules = self._rules
        return rules.bind6 if ":" in target.address else rules.bind4

    def _connect(self, attempt: _Attempt, source: str) -> None:
        def failed(reason: Failure) -> None:
            error = reason.value
            unusable = getattr(error, "osError", None) == EADDRNOTAVAIL
            if source and unusable and not self._rules.bind_enforce:
                self._warn(f"bind {source}: {os.strerror(EADDRNOTAVAIL)}")
                self._connect(attempt, "")
            else:
                attempt.failed(_why(reason))

        target = attempt.target
        seconds = self._rules.connect_timeout or None
        factory = _Factory(attempt.connection, failed)
        if not target.port:
            self._connect_socket(attempt, factory, seconds)
            return
        self._reactor.connectTCP(
            target.address,
            target.port,
            factory,
            timeout=seconds,  # type: ignore[arg-type]  # None: no limit
            bindAddress=(source, 0) if source else None,
        )

    def _connect_socket(
        self, attempt: _Attempt, factory: _Factory, seconds: float | None
    ) -> None:
        path = os.path.join(self._rules.socket_directory, attempt.target.address)
        if len(os.fsencode(path)) > MAX_SOCKET_PATH:
            attempt.failed(f"{path} is too long for a socket: use a shorter path")
            return
        cast(IReactorUNIX, self._reactor).connectUNIX(
            path,
            factory,
            timeout=seconds,  # type: ignore[arg-type]  # None: no limit
        )


class _Attempt:
    """
    One call and its handshake.
    """

    def __init__(
        self, clock: IReactorTime, rules: DialRules, target: Target, peer: Peer
    ) -> None:
        self.done: Deferred[Dialled] = Deferred()
        self.target = target
        self._offers = rules.offers
        client = rules.client
        if target.port == 25:
            client = replace(client, myhostname=rules.loop_name)
        engine = ClientEngine(client, peer)
        self.connection = ClientConnection(
            engine, target, clock, rules.limits, self._event
        )
        self._clock = clock

    def failed(self, why: str) -> None:
        """
        There is no server.
        """
        target = self.target
        self.done.callback(NoConnection(trouble.not_connected(target.relay, why)))

    def _event(self, event: Event) -> None:
        if self.done.called:
            return
        if isinstance(event, Ready):
            self.connection.opened = self._clock.seconds()
            offered = self.connection.engine.offered.starttls
            if offered and self._offers is not None and self.connection.tls is None:
                self._offers(self.target.host)
            self.done.callback(self.connection)
        elif isinstance(event, Failed):
            connection = self.connection
            # As long as nobody said no, it may be TLS that is to blame.
            begun = connection.tls_begun and not event.trouble.reply
            self.done.callback(NoConnection(event.trouble, connection.relay, begun))


def _why(reason: Failure) -> str:
    error = reason.value
    if isinstance(error, TimeoutError):
        return "Connection timed out"
    if isinstance(error, ConnectError) and isinstance(error.osError, int):
        return os.strerror(error.osError)
    number = getattr(error, "osError", None)
    if isinstance(number, int):
        return os.strerror(number)
    return reason.getErrorMessage() or type(error).__name__
