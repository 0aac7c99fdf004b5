"""
What an SMTP server connection does when a client logs in.

Owns: what a backend is told of the transport: addresses, channel binding.
Knows nothing of: mechanisms, who may do what once logged in.

Sources: RFC 4954; RFC 5929 section 3 (tls-unique), RFC 9266 (tls-exporter).

Errors: none leave here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from txmta.events import Warn
from txmta.model import Client, Reply
from txmta.smtp.connection import Connection
from txmta.smtp.context import Context
from txmta.smtp.login import Attempts
from txmta.smtp.requests import Abort, Authenticate, Offer, Request, Respond
from txmta.smtp.sasl.moves import Facts

#: RFC 9266 section 2.
_EXPORTER = b"EXPORTER-Channel-Binding"


def _nothing() -> None:
    """
    A transport without a handle.
    """


class LoggingIn(Connection):
    """
    @ivar attempts: to log in, of this session; L{None}: there is no login here.
    """

    def __init__(self, context: Context, client: Client) -> None:
        super().__init__(context, client)
        self.attempts: Attempts | None = None
        if context.logins is not None:
            self._exchange.may_log_in = True
            self.attempts = Attempts(
                context.logins,
                self.session,
                context.clock,
                lambda text: context.sink.emit(Warn("smtpd", text)),
            )

    def connectionLost(self, *arguments: Any) -> None:
        super().connectionLost(*arguments)
        if self.attempts is not None:
            self.attempts.end()

    def _ask(self, question: Callable[..., Any], *arguments: Any) -> None:
        """
        Have a question of the engine answered.
        """
        raise NotImplementedError

    def _offer(self, request: Offer) -> None:
        rules = self._context.rules
        ehlo = rules.ehlo_secure if self.session.tls else rules.ehlo
        if self.attempts is None or "AUTH" in rules.off:
            self._engine.answer(ehlo)
            return
        offered = self.attempts.capabilities(self._facts(), ehlo, rules.auth_tls_only)
        self._ask(Deferred.fromCoroutine, offered)

    def _authenticate(self, request: Authenticate) -> None:
        attempts = self.attempts
        assert attempts is not None, "the engine offers it"
        no: Reply | None = None
        if self.meter is not None:
            no = self.meter.login(self.client)
        if no is not None:
            self._engine.answer(no)
            return
        mechanism, response = request.mechanism, request.response
        answer = attempts.start(mechanism, response, self._facts())
        self._ask(Deferred.fromCoroutine, self._with_avatar(attempts, answer))

    def _respond(self, request: Respond) -> None:
        attempts = self.attempts
        assert attempts is not None, "the engine has been told 334"
        answer = attempts.respond(request.text)
        self._ask(Deferred.fromCoroutine, self._with_avatar(attempts, answer))

    async def _with_avatar(
        self, attempts: Attempts, answer: Coroutine[Any, Any, Reply]
    ) -> Reply:
        reply = await answer
        self._exchange.avatar = attempts.avatar
        return reply

    def _abort_login(self, request: Abort) -> None:
        if self.attempts is None:
            return
        self.attempts.abort()
        if self.session.login is None:
            self.attempts.end()
            self._exchange.avatar = None

    def _facts(self) -> Facts:
        host = self.transport.getHost()
        local = (getattr(host, "host", ""), getattr(host, "port", 0))
        return Facts(self.session, local, self._binding)

    def _binding(self, name: str) -> bytes | None:
        """
        @return: what both ends of an encrypted session know, and nobody else.
        """
        tls = self.session.tls
        handle = getattr(self.transport, "getHandle", _nothing)()
        if tls is None or handle is None:
            return None
        if name == "tls-exporter" and tls.protocol == "TLSv1.3":
            exported: bytes = handle.export_keying_material(_EXPORTER, 32, b"")
            return exported
        if name == "tls-unique" and tls.protocol == "TLSv1.2":
            # The first Finished message: the server's, if the session was resumed.
            first = handle.get_finished if tls.resumed else handle.get_peer_finished
            finished: bytes | None = first()
            return finished
        return None

    login_handlers: ClassVar[Mapping[type[Request], Callable[[Any, Any], None]]] = {
        Offer: _offer,
        Authenticate: _authenticate,
        Respond: _respond,
        Abort: _abort_login,
    }
