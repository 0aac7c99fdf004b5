"""
Our mechanisms on top of somebody who knows the passwords.

Owns: driving a mechanism: which of its steps go to the client and which to the
    keeper.
Knows nothing of: SMTP, what a mechanism says, where passwords are.

Sources: RFC 4422 section 3.

Errors: none leave here: trouble is a temporary L{Failed}.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from zope.interface import implementer

from txmta.smtp.sasl import mechanisms
from txmta.smtp.sasl.mechanisms import Refused, Steps
from txmta.smtp.sasl.moves import (
    Challenge,
    Done,
    Facts,
    Failed,
    ISaslBackend,
    ISaslExchange,
    Mechanism,
    Move,
)
from txmta.smtp.sasl.questions import CannotSay, IKeeper, Known, Question, Reply
from txmta.smtp.sasl.scram import scram

_log = Logger()

#: Words for client and log when it is our own fault.
TROUBLE = "Authentication backend error"


def _challenge() -> bytes:
    """
    RFC 2195 section 2: random, with a time, in the form of a message id.
    """
    return f"<{secrets.token_hex(16)}.{int(time.time())}@localhost>".encode()


def _nonce() -> str:
    return secrets.token_urlsafe(18)


def _scram(plus: bool) -> Callable[[bytes | None, Facts], Steps]:
    def steps(response: bytes | None, facts: Facts) -> Steps:
        return (yield from scram(response, facts, plus, _nonce))

    return steps


_STEPS: Mapping[str, Callable[[bytes | None, Facts], Steps]] = {
    "PLAIN": mechanisms.plain,
    "LOGIN": mechanisms.login,
    "CRAM-MD5": mechanisms.cram_md5(_challenge),
    "EXTERNAL": mechanisms.external,
    "OAUTHBEARER": mechanisms.oauthbearer,
    "XOAUTH2": mechanisms.xoauth2,
    "SCRAM-SHA-256": _scram(False),
    "SCRAM-SHA-256-PLUS": _scram(True),
}


@implementer(ISaslBackend)
class OwnMechanisms:
    """
    All that the keeper can answer for.
    """

    def __init__(self, keeper: IKeeper) -> None:
        self._keeper = keeper

    def mechanisms(self, facts: Facts) -> Sequence[Mechanism]:
        return self._keeper.offers(facts)

    def start(self, mechanism: str, facts: Facts) -> OwnExchange:
        return OwnExchange(_STEPS[mechanism], self._keeper, facts)

    def stop(self) -> object:
        return self._keeper.stop()


@implementer(ISaslExchange)
class OwnExchange:
    """
    One attempt.
    """

    def __init__(
        self,
        make: Callable[[bytes | None, Facts], Steps],
        keeper: IKeeper,
        facts: Facts,
    ) -> None:
        self._make = make
        self._keeper = keeper
        self._facts = facts
        self._steps: Steps | None = None

    def step(self, response: bytes | None) -> Move | Deferred[Move]:
        if self._steps is None:
            self._steps = self._make(response, self._facts)
            return self._go(self._steps, None)
        return self._go(self._steps, response)

    def abort(self) -> None:
        if self._steps is not None:
            self._steps.close()

    def _go(self, steps: Steps, value: bytes | Reply) -> Move | Deferred[Move]:
        """
        Until the client is to say something, or it is over.
        """
        name = ""
        try:
            while True:
                yielded = steps.send(value)
                if isinstance(yielded, Challenge):
                    return yielded
                name = getattr(yielded, "username", "")
                answer = self._keeper.ask(yielded)
                if isinstance(answer, Deferred):
                    return self._later(steps, yielded, answer)
                value = answer
        except StopIteration as e:
            return _done(e.value)
        except Refused as e:
            return Failed(e.reason, e.username or None)
        except Exception as e:
            return _trouble(e, name)

    def _later(
        self, steps: Steps, question: Question, answer: Deferred[Reply]
    ) -> Deferred[Move]:
        def failed(failure: object) -> Move:
            error = getattr(failure, "value", None)
            if isinstance(error, CancelledError):
                return Failed()
            assert isinstance(error, Exception), "a Failure"
            return _trouble(error, getattr(question, "username", ""))

        # What comes next may be a Deferred, which Deferreds know how to wait for.
        def answered(reply: Reply) -> Move | Deferred[Move]:
            return self._go(steps, reply)

        moved: Deferred[Move] = answer.addCallbacks(answered, failed)
        return moved


def _done(known: Known) -> Done:
    logout = known.logout
    return Done(known.username, known.avatar, logout if callable(logout) else None)


def _trouble(error: Exception, username: str) -> Failed:
    if not isinstance(error, CannotSay):
        _log.failure("a login cannot be judged")
    return Failed(TROUBLE, username or None, temporary=True)
