"""
An SMTP server session: what the engine wants, done.

Owns: which question is open; what becomes of an error; log events.
Knows nothing of: SMTP syntax, time-outs (L{txmta.smtp.connection}), restrictions,
    the queue (L{txmta.smtp.delivery}).

Sources: Postfix C{smtpd/smtpd.c} (log lines).

Errors: none leave here. What a delivery raises becomes 451 and a log entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txmta.events import Event, Note, Rejected, SessionTrouble, Warn
from txmta.model import Reply
from txmta.smtp.plain import OUR_FAULT, reply_for
from txmta.smtp.requests import (
    Chunk,
    End,
    Forget,
    Hello,
    Impersonated,
    Noted,
    Open,
    Rcpt,
    Refused,
    Request,
    Sender,
    Sleep,
    Trouble,
    Verify,
    Warning_,
)
from txmta.smtp.securing import Securing

_log = Logger()

#: An answer that nobody waits for any more.
NOBODY = Reply(421, "4.4.2", "Error: connection lost")


class SMTPServer(Securing):
    """
    One session.
    """

    def _ask(self, question: Callable[..., Any], *arguments: Any) -> None:
        """
        Put a question of the engine to the delivery.
        """
        try:
            answer = question(*arguments)
        except Exception:
            answer = self._refusal(Failure())
        # Deferred has an abstract base, which makes isinstance() slow to deny.
        if type(answer) is Reply or not isinstance(answer, Deferred):
            self._engine.answer(answer)
            return
        self._pending = answer
        answer.addCallbacks(self._answered, self._failed)

    def _answered(self, reply: Reply) -> None:
        self._pending = None
        if self._lost and not self._engine.committing:
            return
        self._engine.answer(reply)
        if not self._lost:
            self._renew()
        self._pump()

    def _failed(self, failure: Failure) -> None:
        self._answered(self._refusal(failure))

    def _refusal(self, failure: Failure) -> Reply:
        """
        A delivery raised an error instead of an answer.
        """
        if self._lost and failure.check(CancelledError):
            return NOBODY
        reply = reply_for(failure)
        line = f"{reply.code} {reply.status} {reply.text}".partition("\n")[0]
        self._reject(self._engine.where, line, self._exchange.rcpt)
        return reply

    # What the engine wants, by type of request.

    def _mail(self, sender: Sender) -> None:
        if self.meter is not None and (no := self.meter.mail(self.client)):
            self._engine.answer(no)
            return
        self._ask(self._exchange.mail, sender)

    def _rcpt(self, rcpt: Rcpt) -> None:
        if self.meter is not None and (no := self.meter.recipient(self.client)):
            self._engine.answer(no)
            return
        self._ask(self._exchange.rcpt_to, rcpt)

    def _verify(self, request: Verify) -> None:
        self._ask(self._exchange.verify, request)

    def _admit(self, refusal: Reply | None) -> None:
        if refusal is None and self._context.rules.asks_connect and not self._lost:
            greeted: Callable[..., Any] = self._exchange.greeted
            asked = maybeDeferred(greeted, self.session, "CONNECT")
            asked.addErrback(self._refusal).addCallback(self._connected)
        else:
            super()._admit(refusal)

    def _connected(self, reply: Reply) -> None:
        super()._admit(reply if reply.code >= 400 else None)

    def _hello(self, request: Hello) -> None:
        self._ask(self._exchange.greeted, self.session, self._engine.where)

    def _open(self, request: Open) -> None:
        self._ask(self._exchange.open)

    def _chunk(self, chunk: Chunk) -> None:
        try:
            self._exchange.chunk(chunk.block)
        except Exception:
            _log.failure("a message does not take its content")
            self._engine.drop(OUR_FAULT)

    def _end(self, request: End) -> None:
        self._ask(self._exchange.end)

    def _forget(self, request: Forget) -> None:
        self._exchange.forget()

    def _sleep_on(self, sleep: Sleep) -> None:
        clock = self._context.clock
        self._sleep = clock.callLater(sleep.seconds, self._woken)

    def _woken(self) -> None:
        self._engine.wake()
        self._renew()
        self._pump()

    def _impersonated(self, request: Impersonated) -> None:
        privileges = self._context.privileges
        assert privileges is not None, "it was allowed"
        client, engine = self.client, self._engine
        engine.label = client.label
        self.session.postponed = {}

        def admit(may: tuple[str, ...]) -> Any:
            engine.may = may
            return self._exchange.greeted(self.session, "CONNECT")

        def greet(reply: Reply) -> Reply:
            engine.denied = reply if reply.code >= 400 else None
            return engine.denied or engine.rules.greeting

        again = privileges.again(client, engine.may)
        self._ask(lambda: again.addCallback(admit).addCallback(greet))

    # The log.

    def _emit(self, event: Event) -> None:
        self._context.sink.emit(event)

    def _warn(self, warning: Warning_) -> None:
        queue_id = self._exchange.queue_id if warning.queued else ""
        text = f"{queue_id}: {warning.text}" if queue_id else warning.text
        self._emit(Warn("smtpd", text))

    def _note(self, note: Noted) -> None:
        self._emit(Note("smtpd", note.text))

    def _trouble(self, trouble: Trouble) -> None:
        if self._engine.recording is not None:
            self._engine.recording.reason = trouble.trouble
        self._emit(SessionTrouble("smtpd", trouble.trouble, trouble.after, self.client))

    def _refused(self, refused: Refused) -> None:
        self._reject(refused.stage, refused.reason, None, refused.verb)

    def _reject(
        self, stage: str, reply: str, rcpt: Rcpt | None, verb: str = "reject"
    ) -> None:
        engine, exchange = self._engine, self._exchange
        self._emit(
            Rejected(
                "smtpd",
                exchange.queue_id,
                stage,
                self.client,
                reply,
                exchange.sender.address if exchange.sender else None,
                rcpt.address if rcpt else exchange.last_rcpt,
                engine.session.protocol,
                engine.session.helo,
                verb,
            )
        )

    handlers: ClassVar[Mapping[type[Request], Callable[[Any, Any], None]]] = {
        **Securing.tls_handlers,
        Sender: _mail,
        Rcpt: _rcpt,
        Verify: _verify,
        Hello: _hello,
        Open: _open,
        Chunk: _chunk,
        End: _end,
        Forget: _forget,
        Sleep: _sleep_on,
        Impersonated: _impersonated,
        Warning_: _warn,
        Noted: _note,
        Trouble: _trouble,
        Refused: _refused,
    }
