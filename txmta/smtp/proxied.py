"""
SMTP server connections behind a proxy: who the client is, the proxy says first.

Owns: waiting for that, bounded in time and size; who is told of what is wrong.
Knows nothing of: what a proxy says (L{txmta.smtp.haproxy}), sessions.

Sources: Postfix C{smtpd/smtpd_haproxy.c}, C{smtpd/smtpd_peer.c}.

Errors: none leave here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from txmta.config.settings import Settings
from txmta.events import Warn
from txmta.interfaces import IEventSink
from txmta.model import Reply
from txmta.smtp.dialogue import escape
from txmta.smtp.factory import SMTPServerFactory
from txmta.smtp.haproxy import MAX_LINE, BadHeader, Header, broken, read


class Front(Protocol):
    """
    A connection until the proxy has said whose it is.
    """

    transport: Any

    def __init__(self, listener: BehindProxy, peer: Any) -> None:
        self._listener = listener
        self._peer = peer
        self._data = b""
        self._over = False
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        listener = self._listener
        self._timer = listener.clock.callLater(listener.timeout, self._timed_out)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        try:
            header = read(self._data)
        except BadHeader as e:
            self._refuse(f"{e}: {self._shown()}")
            return
        if header is not None:
            self._hand_over(header)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._over:
            data = self._data
            self._listener.warn(f"{broken(data)}: {self._shown()}" if data else "EOF")
            self._done()

    def _shown(self) -> str:
        return escape(self._data[:MAX_LINE])

    def _timed_out(self) -> None:
        if self._data:
            self._refuse(f"{broken(self._data)}: {self._shown()}")
        else:
            self._refuse("timeout error")

    def _done(self) -> None:
        self._over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._listener.waiting(-1)

    def _refuse(self, why: str) -> None:
        self._done()
        self._listener.warn(why)
        server = self._listener.build(self._peer)
        server.turned_away = self._listener.refusal
        self._begin(server)

    def _hand_over(self, header: Header) -> None:
        self._done()
        ends = header.endpoints
        if ends is None:
            self._begin(self._listener.build(self._peer))
        else:
            kind = IPv6Address if ":" in ends.client[0] else IPv4Address
            server = self._listener.build(kind("TCP", *ends.client))
            self._begin(server)
            server.session.server_address, server.session.server_port = ends.server
        if header.rest:
            self.transport.protocol.dataReceived(header.rest)

    def _begin(self, server: Any) -> None:
        self.transport.protocol = server
        server.makeConnection(self.transport)


class BehindProxy(ServerFactory):
    """
    @ivar build: makes the server's end of a connection with a client.
    @ivar waiting: told of connections whose client is not known.
    @ivar timeout: smtpd_upstream_proxy_timeout.
    @ivar refusal: what is said where the proxy speaks nonsense.
    """

    noisy = False

    def __init__(
        self,
        inner: SMTPServerFactory,
        clock: IReactorTime,
        settings: Settings,
        sink: IEventSink,
    ) -> None:
        self.build: Callable[[Any], Any] = inner.buildProtocol
        self.waiting: Callable[[int], object] = lambda more: inner.counted(more)
        self.clock = clock
        self.timeout = settings.smtpd_upstream_proxy_timeout
        words = f"{settings.myhostname} Server local error"
        self.refusal = Reply(421, "4.3.0", words, close=True)
        self._sink = sink

    def buildProtocol(self, addr: Any) -> Front:
        self.waiting(1)
        return Front(self, addr)

    def warn(self, text: str) -> None:
        self._sink.emit(Warn("smtpd", f"haproxy read: {text}"))


def listener(
    inner: SMTPServerFactory,
    clock: IReactorTime,
    settings: Settings,
    sink: IEventSink,
) -> ServerFactory:
    """
    @return: what is to accept connections for an SMTP server.
    """
    if settings.smtpd_upstream_proxy_protocol:
        return BehindProxy(inner, clock, settings, sink)
    return inner
