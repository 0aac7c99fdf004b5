"""
What an SMTP server connection does for TLS.

Owns: handshakes: when they begin, how long they may take, what is logged.
Knows nothing of: the library's contexts (L{txmta.smtp.tls.server}), SMTP.

Sources: RFC 3207, RFC 8314; Postfix C{smtpd/smtpd.c} (smtpd_start_tls),
C{tls/tls_server.c}.

Errors: none leave here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.events import Note, Warn
from txmta.model import Reply, TLSInfo
from txmta.smtp.logging_in import LoggingIn
from txmta.smtp.requests import Request, StartTLS
from txmta.smtp.tls.facts import certificate_line, facts, summary
from txmta.smtp.tls.server import ServerTLS


@implementer(IHandshakeListener)
class Securing(LoggingIn):
    """
    STARTTLS, and TLS from the first octet on.
    """

    _shaking = False
    _timeout = False
    # What the client may do, while it waits for a handshake to be admitted.
    _may: tuple[str, ...] = ()
    _early = b""
    # What it hears instead of an answer to its next command.
    _farewell: Reply | None = None

    def connectionMade(self) -> None:
        self._engine.starting_tls = self._new_session
        if self._wrapped:
            # What it sends is for the library, which is not there yet.
            self.transport.pauseProducing()
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        if self._farewell is not None:
            reply, self._farewell = self._farewell, None
            self._engine.refuse(reply)
            self._pump()
        elif not self._wrapped or self.session.tls is not None:
            super().dataReceived(data)
        elif self._shaking:
            self.transport.protocol.dataReceived(data)
        else:
            self._early += data  # a proxy had it already

    @property
    def _wrapped(self) -> bool:
        tls = self._context.tls
        return tls is not None and tls.wrapper

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._shaking:
            self._failed_handshake(reason)
        super().connectionLost(reason)

    def _new_session(self) -> Reply | None:
        """
        @return: why the client may not begin one.
        """
        return None if self.meter is None else self.meter.start_tls(self.client)

    def _weighed(self, may: tuple[str, ...]) -> None:
        tls = self._context.tls
        if tls is None or not tls.wrapper or self._lost or self._closing:
            super()._weighed(may)
            return
        self._may = may
        self._handshake(tls)
        self.transport.resumeProducing()
        if self._early:
            self.transport.protocol.dataReceived(self._early)

    def _greet(self, spared: bool) -> None:
        info = self.session.tls
        if info is not None and not info.resumed and self.meter is not None:
            refusal = self.meter.new_tls(self.client)
            if refusal is not None:
                self._engine.refuse(refusal)
                self._pump()
                return
        super()._greet(spared)

    def _start_tls(self, request: StartTLS) -> None:
        tls = self._context.tls
        assert tls is not None, "it is offered"
        self.transport.write(self._engine.output())
        self._handshake(tls)

    def _handshake(self, tls: ServerTLS) -> None:
        if tls.loglevel >= 2:
            self._tell(f"setting up TLS connection from {self.client.label}")
        self._shaking = True
        self._ticking = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._context.clock.callLater(tls.timeout, self._timed_out)
        self.transport.startTLS(tls)

    def _timed_out(self) -> None:
        if self._shaking:
            self._timeout = True
            self.abort()
        else:
            super()._timed_out()

    def handshakeCompleted(self) -> None:
        """
        Called by Twisted.
        """
        tls = self._context.tls
        if not self._shaking or tls is None:
            return
        self._shaking = False
        if self._lost or self._closing:
            return
        handle = self.transport.getHandle()
        info = facts(handle, tls.digest, tls.trusts(handle), tls.asks)
        self._log_session(info, tls.loglevel)
        if tls.requires and not info.trusted:
            self._refuse_certificate(info)
        if tls.wrapper:
            if self._timer is not None and self._timer.active():
                self._timer.cancel()
            self.session.tls = info
            super()._weighed(self._may)
            return
        self._ticking = True
        self._renew()
        self._engine.secured(info)
        if self.meter is not None and not info.resumed:
            self._farewell = self._farewell or self.meter.new_tls(self.client)
        self._pump()

    def _log_session(self, info: TLSInfo, loglevel: int) -> None:
        label = self.client.label
        if loglevel >= 2 and info.resumed:
            self._tell(f"{label}: Reusing old session (RFC 5077 session ticket)")
        if loglevel >= 2 and info.fingerprint:
            self._tell(certificate_line(info, label))
        if loglevel >= 1:
            self._tell(summary(info, label))

    def _refuse_certificate(self, info: TLSInfo) -> None:
        why = "No client certificate presented"
        if info.fingerprint:
            why = "Client certificate not trusted"
        self._tell(f"NOQUEUE: abort: TLS from {self.client.label}: {why}")
        hostname = self._context.rules.hostname
        self._farewell = Reply(421, "4.7.1", f"{hostname} Error: {why}", close=True)

    def _failed_handshake(self, reason: Failure) -> None:
        self._shaking = False
        counted = self._engine.counts.get("starttls")
        if counted is not None and counted[0]:
            counted[0] -= 1
        said: list[str] = []
        for each in getattr(reason.value, "args", ()):
            # OpenSSL's: (library, function, what).
            if isinstance(each, list):
                said += [str(error[-1]) for error in each[:3] if error]
        said = [text for text in said if text != "unexpected eof while reading"]
        how = "-1" if said else "lost connection"
        if self._timeout:
            said, how = [], "Connection timed out"
        self._tell(f"SSL_accept error from {self.client.label}: {how}")
        for text in said:
            warning = f"TLS library problem: error:SSL routines::{text}:"
            self._context.sink.emit(Warn("smtpd", warning))

    def _tell(self, text: str) -> None:
        self._context.sink.emit(Note("smtpd", text))

    #: What is done for the engine, by type of request.
    tls_handlers: ClassVar[Mapping[type[Request], Callable[[Any, Any], None]]] = {
        **LoggingIn.login_handlers,
        StartTLS: _start_tls,
    }
