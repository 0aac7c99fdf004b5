"""
Makes SMTP server connections, and knows how many there are.

Owns: limits on the number of connections, draining.
Knows nothing of: what a session does.

Sources: Postfix C{smtpd/smtpd.c} (smtpd_client_connection_count_limit),
C{anvil}, C{smtpd/smtpd_peer.c} (prefix lengths).

Errors: none.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.mail.smtp import IMessageDeliveryFactory, SMTPFactory
from twisted.python.failure import Failure

from txmta.events import Warn
from txmta.interfaces import IClientList
from txmta.model import Client, Reply
from txmta.smtp.anvil import Anvil, Meter
from txmta.smtp.connection import Admission, Connection, when
from txmta.smtp.context import Context
from txmta.smtp.seats import Seats
from txmta.smtp.server import SMTPServer
from txmta.smtp.session import plain_address as plain_address
from txmta.smtp.stress import Stress

_log = Logger()

_BUSY = Reply(421, "4.3.2", "All server ports are busy")

#: Seconds that sessions may take to end when the server stops.
DRAIN = 30.0


@dataclass(frozen=True)
class Crowd:
    """
    How many clients at a time.

    @ivar anvil: limits on what one client does; L{None}: none.
    @ivar exempt: smtpd_client_event_limit_exceptions.
    @ivar spared: smtpd_forbid_bare_newline_exclusions.
    @ivar prefixes: bits of an IPv4 and an IPv6 address that make one client.
    @ivar total: connections in all, so that descriptors are left for our own
        files; 0 is no limit.
    @ivar seats: for sessions of the service, over all processes; L{None}: no
        limit.
    @ivar stress: says when there is hardly room; L{None}: never.
    @ivar known: mynetworks: clients for whom there is room for longest.
    """

    exempt: IClientList
    spared: IClientList
    anvil: Anvil | None = None
    prefixes: tuple[int, int] = (32, 84)
    total: int = 0
    seats: Seats | None = None
    stress: Stress | None = None
    known: IClientList | None = None


class SMTPServerFactory(SMTPFactory, Admission):
    """
    @ivar connections: that are open now.
    @ivar counted: told by how many they have become more.
    @ivar stressed: what sessions get that begin under stress.
    """

    protocol = SMTPServer  # type: ignore[assignment]
    noisy = False

    def __init__(
        self,
        context: Context,
        crowd: Crowd,
        deliveries: IMessageDeliveryFactory | None,
        portal: Any = None,
    ) -> None:
        """
        @param deliveries: asked at MAIL; without it, C{portal} is.
        """
        super().__init__(portal)
        self.domain = context.rules.hostname.encode()
        self._context = context
        self._crowd = crowd
        self._deliveries = deliveries
        self.connections: set[Connection] = set()
        self.counted: Callable[[int], object] = lambda more: None
        self.stressed = context, deliveries
        self._seated: dict[Connection, int] = {}
        self._drained: Deferred[None] | None = None
        self._last_call: IDelayedCall | None = None

    def buildProtocol(self, addr: Any) -> Any:
        host = plain_address(getattr(addr, "host", "") or "127.0.0.1")
        stress = self._crowd.stress
        context, deliveries = self._context, self._deliveries
        if stress is not None:
            if stress.look():
                self._hasten()
            if stress.on:
                context, deliveries = self.stressed
        server = SMTPServer(context, Client(host, getattr(addr, "port", 0)))
        server.factory = self
        server.host = self.domain
        server.portal = self.portal
        server.deliveryFactory = deliveries
        self.connections.add(server)
        self.counted(1)
        server.group = self._key(host)
        if self._drained is not None:
            server.drain()
        return server

    def _key(self, host: str) -> str:
        four, six = self._crowd.prefixes
        if ":" not in host:
            if four == 32:
                return host
            return str(ipaddress.ip_network((host, four), strict=False))
        try:
            return str(ipaddress.ip_network((host, six), strict=False))
        except ValueError:
            return host

    def admit(self, connection: Connection) -> Reply | Deferred[Reply | None] | None:
        crowd = self._crowd
        if crowd.total and len(self.connections) > crowd.total:
            return _BUSY
        if crowd.stress is None or not crowd.stress.crowded:
            return self._admit(connection)

        def room(known: bool) -> Reply | Deferred[Reply | None] | None:
            return self._admit(connection) if known else _BUSY

        known = self._known(connection)
        return known.addCallback(room) if isinstance(known, Deferred) else room(known)

    def _known(self, connection: Connection) -> bool | Deferred[bool]:
        known = self._crowd.known
        if connection.session.login is not None or known is None:
            return True
        return self._matches(known, connection.client)

    def _hasten(self) -> None:
        """
        Stress begins: strangers have no more time than new ones.
        """
        context = self.stressed[0]

        def hasten(connection: Connection, known: bool) -> None:
            if not known:
                connection.hasten(context)

        for connection in list(self.connections):
            when(self._known(connection), partial(hasten, connection))

    def _admit(self, connection: Connection) -> Reply | Deferred[Reply | None] | None:
        crowd = self._crowd
        if crowd.seats is not None and not self._seat(connection, crowd.seats):
            if crowd.stress is not None:
                crowd.stress.full()
            return _BUSY
        anvil = crowd.anvil
        if anvil is None:
            return None

        def judge(exempt: bool) -> Reply | None:
            # Who may be anybody is not counted as himself.
            exempt = exempt or "XCLIENT" in connection.may
            if exempt or connection not in self.connections:
                return None
            connection.meter = Meter(anvil, connection.group)
            return anvil.enter(connection.client, connection.group)

        exempt = self._exempt(connection.client)
        if isinstance(exempt, Deferred):
            return exempt.addCallback(judge)
        return judge(exempt)

    def _exempt(self, client: Client) -> bool | Deferred[bool]:
        """
        Whoever may speak for others by XCLIENT is not counted, as in Postfix.
        """
        exempt = self._matches(self._crowd.exempt, client)
        privileges = self._context.privileges
        if exempt is True or privileges is None or privileges.xclient is None:
            return exempt
        speaker = self._matches(privileges.xclient, client)
        if exempt is False:
            return speaker
        return Deferred.fromCoroutine(self._either(exempt, speaker))

    async def _either(self, *answers: bool | Deferred[bool]) -> bool:
        found = [await a if isinstance(a, Deferred) else a for a in answers]
        return any(found)

    def _seat(self, connection: Connection, seats: Seats) -> bool:
        if connection in self._seated:
            return True
        seat = seats.take()
        if seat is None:
            return False
        self._seated[connection] = seat
        return True

    def spares(self, connection: Connection) -> bool | Deferred[bool]:
        if self._context.rules.bare_newline not in ("reject", "note"):
            return True
        return self._matches(self._crowd.spared, connection.client)

    def _matches(self, names: IClientList, client: Client) -> bool | Deferred[bool]:
        """
        A list that cannot be read lists nobody.
        """
        try:
            match = names.match_client(client.name, client.address)
        except Exception:
            return self._unreadable(Failure())
        return (
            match.addErrback(self._unreadable) if isinstance(match, Deferred) else match
        )

    def _unreadable(self, failure: Failure) -> bool:
        self._context.sink.emit(Warn("smtpd", failure.getErrorMessage()))
        return False

    def gone(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
            self.counted(-1)
        seat = self._seated.pop(connection, None)
        if seat is not None and self._crowd.seats is not None:
            self._crowd.seats.give(seat)
        if connection.meter is not None:
            connection.meter.leave()
        if self._drained is not None and not self.connections:
            self._finish_drain()

    def stop_logins(self) -> None:
        """
        There are no sessions any more, and nobody can log in.
        """
        if self._context.logins is not None:
            self._context.logins.backend.stop()

    # The end.

    def drain(self, limit: float = DRAIN) -> Deferred[None]:
        """
        End sessions: those between transactions at once, the others when
        their transaction is over. Stop listening first.

        @param limit: seconds after which those that are left are ended.
        @return: fires when there are no connections any more.
        """
        if self._crowd.anvil is not None:
            self._crowd.anvil.stop()
        if not self.connections:
            return succeed(None)
        done: Deferred[None] = Deferred()
        if self._drained is not None:
            self._drained.chainDeferred(done)
            return done
        self._drained = done
        self._last_call = self._context.clock.callLater(limit, self._stop_all)
        for connection in list(self.connections):
            connection.drain()
        return done

    def _stop_all(self) -> None:
        for connection in list(self.connections):
            connection.stop()
        # Those that neither read nor commit in time are cut off.
        delay = self._context.timeouts.close
        self._last_call = self._context.clock.callLater(delay, self._abort_all)

    def _abort_all(self) -> None:
        for connection in list(self.connections):
            connection.abort()

    def _finish_drain(self) -> None:
        if self._last_call is not None and self._last_call.active():
            self._last_call.cancel()
        done, self._drained = self._drained, None
        if done is not None:
            done.callback(None)
