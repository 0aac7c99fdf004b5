"""
Dovecot's authentication service as a SASL backend.

Owns: one connection for all sessions, made when it is needed and again when it
    was lost; which attempt an answer is for; time limits.
Knows nothing of: mechanisms: what client and Dovecot say goes through as it is.

Sources: Postfix C{xsasl/xsasl_dovecot_server.c}; SASL_README.

Errors: none leave here: who cannot be asked fails for now.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.smtp.sasl import dovecot_wire as wire
from txmta.smtp.sasl.moves import (
    Challenge,
    Facts,
    Failed,
    ISaslBackend,
    ISaslExchange,
    Mechanism,
    Move,
)

#: Seconds for the handshake, and for each answer; as in Postfix.
TIMEOUT = 10.0

#: Seconds that Dovecot may think about a password; it delays failures itself.
ANSWER = 60.0

#: Attempts at a time.
MAX_ATTEMPTS = 10000

_LOST = "Connection lost to authentication server"
_NO_CONNECTION = "Can't connect to authentication server"


class Unavailable(Exception):
    """
    Dovecot cannot be asked.
    """


class DovecotProtocol(LineOnlyReceiver):
    """
    One connection.
    """

    delimiter = b"\n"
    MAX_LENGTH = wire.MAX_LINE
    factory: DovecotFactory

    def __init__(self) -> None:
        self.handshake = wire.Handshake()

    def connectionMade(self) -> None:
        self.sendLine(wire.greeting(os.getpid())[:-1])

    def lineReceived(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        try:
            if self.handshake.done:
                found = wire.read(text)
                if found is not None:
                    self.factory.backend.answered(*found)
                return
            self.handshake.line(text)
        except wire.WrongLine as e:
            self.factory.backend.wrong(str(e))
            self._abort()
            return
        if self.handshake.done:
            self.factory.backend.ready(self)

    def lineLengthExceeded(self, line: bytes) -> None:
        self.factory.backend.wrong("a line is too long")
        self._abort()

    def _abort(self) -> None:
        cast(Any, self.transport).abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.backend.lost(self, reason.getErrorMessage())


class DovecotFactory(ClientFactory):
    """
    Makes the protocol for one connection.
    """

    noisy = False

    def __init__(self, backend: Dovecot) -> None:
        self.backend = backend

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        protocol = DovecotProtocol()
        protocol.factory = self
        return protocol

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        why = getattr(reason.value, "osError", None)
        self.backend.lost(None, str(why or reason.getErrorMessage()))


@implementer(ISaslBackend)
class Dovecot:
    """
    All sessions' attempts, over one connection.
    """

    def __init__(
        self,
        reactor: Any,
        connect: Callable[[ClientFactory], Any],
        service: str,
        where: str,
        warn: Callable[[str], object],
    ) -> None:
        """
        @param connect: connects a factory to Dovecot, and gives a connector.
        @param service: smtpd_sasl_service.
        @param where: for log lines.
        """
        self._reactor = reactor
        self._connect = connect
        self._service = service
        self._where = where
        self._warn = warn
        self._protocol: DovecotProtocol | None = None
        self._connector: Any = None
        self._waiting: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None
        self._attempts: dict[int, DovecotExchange] = {}
        self._last = 0
        self._stopped = False

    def mechanisms(self, facts: Facts) -> Sequence[Mechanism] | Deferred[Any]:
        if self._protocol is not None:
            return self._protocol.handshake.mechanisms
        return self.connected().addCallback(lambda _: self._now())

    def _now(self) -> Sequence[Mechanism]:
        protocol = self._protocol
        return protocol.handshake.mechanisms if protocol is not None else ()

    def start(self, mechanism: str, facts: Facts) -> DovecotExchange:
        return DovecotExchange(self, mechanism, facts)

    def stop(self) -> None:
        self._stopped = True
        if self._connector is not None:
            self._connector.disconnect()

    # The connection.

    def connected(self) -> Deferred[None]:
        """
        @return: fires when Dovecot can be asked; fails with L{Unavailable}.
        """
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if self._connector is None:
            self._timer = self._reactor.callLater(TIMEOUT, self._too_slow)
            self._connector = self._connect(DovecotFactory(self))
        return done

    def _too_slow(self) -> None:
        self._timer = None
        self._warn(f"SASL: {self._where} does not answer within {TIMEOUT:g} seconds")
        self._connector.disconnect()

    def ready(self, protocol: DovecotProtocol) -> None:
        """
        The handshake is complete.
        """
        self._protocol = protocol
        self._no_timer()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def wrong(self, problem: str) -> None:
        """
        The other end says what it should not.
        """
        self._warn(f"SASL: {self._where}: protocol error: {problem[:100]}")

    def lost(self, protocol: DovecotProtocol | None, why: str) -> None:
        """
        There is no connection, or none any more. The next attempt makes one.
        """
        self._no_timer()
        self._connector = self._protocol = None
        waiting, self._waiting = self._waiting, []
        if waiting and not self._stopped:
            self._warn(
                f"SASL: Connect to Dovecot auth socket '{self._where}' failed: {why}"
            )
        for each in waiting:
            each.errback(Unavailable(_NO_CONNECTION))
        attempts, self._attempts = self._attempts, {}
        for attempt in attempts.values():
            attempt.answered(Failed(_LOST, temporary=True))

    def _no_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    # Attempts.

    def begin(self, attempt: DovecotExchange, response: bytes | None) -> int:
        """
        @return: the number of the attempt; 0: it cannot be made.
        """
        if self._protocol is None or len(self._attempts) >= MAX_ATTEMPTS:
            return 0
        self._last = self._last % 0x7FFFFFFF + 1
        self._attempts[self._last] = attempt
        self._send(
            wire.request(
                self._last, attempt.mechanism, self._service, attempt.facts, response
            )
        )
        return self._last

    def go_on(self, number: int, response: bytes) -> None:
        """
        The client answered a challenge.
        """
        self._send(wire.response(number, response))

    def cancel(self, number: int) -> None:
        """
        Nobody waits any more.
        """
        if self._attempts.pop(number, None) is not None:
            self._send(wire.cancel(number))

    def later(self, call: Callable[[], None]) -> IDelayedCall:
        """
        @return: calls when Dovecot has taken too long.
        """
        delayed: IDelayedCall = self._reactor.callLater(ANSWER, call)
        return delayed

    def _send(self, line: bytes) -> None:
        if self._protocol is not None:
            self._protocol.sendLine(line[:-1])

    def answered(self, number: int, move: Move) -> None:
        """
        Dovecot says something about an attempt.
        """
        attempt = self._attempts.get(number)
        if attempt is None:
            return  # it was cancelled
        if not isinstance(move, Challenge):
            del self._attempts[number]
        attempt.answered(move)


@implementer(ISaslExchange)
class DovecotExchange:
    """
    One attempt.
    """

    def __init__(self, backend: Dovecot, mechanism: str, facts: Facts) -> None:
        self._backend = backend
        self.mechanism = mechanism
        self.facts = facts
        self._number = 0
        self._waiting: Deferred[Move] | None = None
        self._timer: IDelayedCall | None = None

    def step(self, response: bytes | None) -> Move | Deferred[Move]:
        waiting: Deferred[Move] = Deferred(lambda _: self.abort())
        self._waiting = waiting
        if self._number:
            self._backend.go_on(self._number, response or b"")
        else:
            self._number = self._backend.begin(self, response)
            if not self._number:
                self._waiting = None
                return Failed(_LOST, temporary=True)
        if not waiting.called:
            self._timer = self._backend.later(self._too_slow)
        return waiting

    def answered(self, move: Move) -> None:
        """
        Dovecot spoke, or is gone.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        waiting, self._waiting = self._waiting, None
        if not isinstance(move, Challenge):
            self._number = -1  # over, even if nobody waited
        if waiting is not None:
            waiting.callback(move)

    def _too_slow(self) -> None:
        self._backend.cancel(self._number)
        self.answered(Failed("Authentication backend error", temporary=True))

    def abort(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._waiting = None
        if self._number > 0:
            self._backend.cancel(self._number)
