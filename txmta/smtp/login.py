"""
Logging in to an SMTP server: between the engine and a backend.

Owns: which mechanisms a session is offered, the words of failures, their log, how
    long a client waits after one.
Knows nothing of: SMTP syntax, mechanisms, passwords.

Sources: RFC 4954; Postfix C{smtpd/smtpd_sasl_glue.c}, C{smtpd/smtpd_sasl_proto.c}.

Errors: none leave here: trouble of a backend is 454.

@note: no password and no response ever reaches the log.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from txmta.interfaces import IClientList, IMatchList
from txmta.model import Login, Reply
from txmta.smtp.authentication import from_base64
from txmta.smtp.failures import Failures
from txmta.smtp.sasl.moves import (
    MAX_USERNAME,
    Challenge,
    Done,
    Facts,
    Failed,
    ISaslBackend,
    ISaslExchange,
    Move,
)
from txmta.smtp.sasl.options import SecurityOptions, names
from txmta.smtp.session import Session

_log = Logger()

_SUCCESS = Reply(235, "2.7.0", "Authentication successful")
_NOT_NOW = Reply(454, "4.7.0", "Temporary authentication failure: try again later")
_NO_MECHANISM = Failed("Invalid authentication mechanism")
_BAD_INITIAL = Failed("Invalid base64 data in initial response")
_BAD_RESPONSE = Failed("Invalid base64 data in continued response")
_BROKEN = Failed("Authentication backend error", temporary=True)

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]|[\u2028\u2029\ud800-\udfff]")


def shown(text: str) -> str:
    """
    @return: what somebody else said, as log lines and replies may show it.
    """
    return _UNPRINTABLE.sub("?", text[:100])


@dataclass(frozen=True)
class Logins:
    """
    What all sessions of a server share.

    @ivar options: for plaintext and inside TLS.
    @ivar wanted: smtpd_sasl_mechanism_filter.
    @ivar exempt: smtpd_sasl_exceptions_networks; L{None}: nobody.
    @ivar old_clients: broken_sasl_auth_clients.
    """

    backend: ISaslBackend
    options: tuple[SecurityOptions, SecurityOptions]
    wanted: IMatchList
    failures: Failures
    exempt: IClientList | None = None
    old_clients: bool = False

    async def offered(self, facts: Facts) -> list[str]:
        """
        @return: mechanisms that this session may use, in upper case.
        """
        session = facts.session
        client = session.client
        if self.exempt is not None:
            exempt = self.exempt.match_client(client.name, client.address)
            if isinstance(exempt, Deferred):
                exempt = await exempt
            if exempt:
                return []
        found = self.backend.mechanisms(facts)
        if isinstance(found, Deferred):
            found = await found
        options = self.options[session.tls is not None]
        return [name for name in names(found, options) if await self._wants(name)]

    async def _wants(self, name: str) -> bool:
        wanted = self.wanted.match(name)
        return await wanted if isinstance(wanted, Deferred) else wanted


class Attempts:
    """
    Those of one session.

    @ivar avatar: what a portal gave whoever is logged in, or L{None}.
    """

    def __init__(
        self,
        logins: Logins,
        session: Session,
        clock: IReactorTime,
        warn: Callable[[str], object],
    ) -> None:
        """
        @param warn: writes a warning to the log.
        """
        self._logins = logins
        self._session = session
        self._clock = clock
        self._warn = warn
        self._exchange: ISaslExchange | None = None
        self._mechanism = ""
        self._logout: Callable[[], object] | None = None
        self.avatar: object = None

    async def capabilities(self, facts: Facts, ehlo: Reply, tls_only: bool) -> Reply:
        """
        @param ehlo: what is said to EHLO without us.
        @param tls_only: nobody may log in in plaintext.
        """
        if tls_only and self._session.tls is None:
            return ehlo
        found = await self._offered(facts)
        if not found:
            return ehlo
        lines = [f"AUTH {' '.join(found)}"]
        if self._logins.old_clients:
            lines.append(f"AUTH={' '.join(found)}")
        head, *rest = ehlo.text.split("\n")
        at = 1 + max((rest.index(x) for x in rest if _comes_before(x)), default=-1)
        return Reply(250, "", "\n".join([head, *rest[:at], *lines, *rest[at:]]))

    async def _offered(self, facts: Facts) -> list[str]:
        try:
            return await self._logins.offered(facts)
        except Exception as e:
            self._warn(f"SASL: no mechanism can be offered: {shown(str(e))}")
            return []

    async def start(self, mechanism: str, initial: str | None, facts: Facts) -> Reply:
        """
        AUTH.
        """
        self._mechanism = mechanism
        if self._logins.failures.too_many(facts.session.client.address):
            return self._refused(_NOT_NOW, Failed("too many failures"))
        if mechanism not in await self._offered(facts):
            return await self._over(_NO_MECHANISM)
        response = b"" if initial == "=" else None
        if initial is not None and response is None:
            response = from_base64(initial)
            if response is None:
                return await self._over(_BAD_INITIAL)
        self._exchange = self._logins.backend.start(mechanism, facts)
        return await self._step(response)

    async def respond(self, text: str) -> Reply:
        """
        A response came.
        """
        response = from_base64(text)
        if response is None:
            self.abort()
            return await self._over(_BAD_RESPONSE)
        return await self._step(response)

    async def _step(self, response: bytes | None) -> Reply:
        exchange = self._exchange
        assert exchange is not None, "AUTH came before"
        try:
            move = exchange.step(response)
            if isinstance(move, Deferred):
                move = await move
        except CancelledError:
            exchange.abort()
            raise
        except Exception:
            _log.failure("a SASL backend raised an error")
            move = _BROKEN
        if isinstance(move, Challenge):
            return Reply(334, "", base64.b64encode(move.octets).decode())
        self._exchange = None
        return await self._over(move)

    async def _over(self, move: Move) -> Reply:
        session = self._session
        failures = self._logins.failures
        if isinstance(move, Done) and not _is_name(move.username):
            # It would stand in logs, headers and the queue.
            if move.logout is not None:
                move.logout()
            move = Failed(username=move.username)
        if isinstance(move, Done):
            session.login = Login(move.username, self._mechanism)
            self.avatar, self._logout = move.avatar, move.logout
            failures.forget(session.client.address)
            return _SUCCESS
        assert isinstance(move, Failed), "no challenge is the last move"
        reason = shown(move.reason)
        if move.temporary:
            words = f"Temporary authentication failure: {reason}"
            return self._refused(Reply(454, "4.7.0", words), move)
        words = f"Error: authentication failed: {reason or '(reason unavailable)'}"
        reply = self._refused(Reply(535, "5.7.8", words), move)
        delay = failures.count(session.client.address)
        if delay:
            await deferLater(self._clock, delay)
        return reply

    def _refused(self, reply: Reply, move: Failed) -> Reply:
        name = "(unavailable)" if move.username is None else shown(move.username)
        self._warn(
            f"{self._session.client.label}: SASL {shown(self._mechanism)} "
            f"authentication failed: {shown(move.reason) or '(reason unavailable)'}, "
            f"sasl_username={name}"
        )
        return reply

    def abort(self) -> None:
        """
        The client gives up.
        """
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abort()

    def end(self) -> None:
        """
        The session is over, or who logged in is forgotten.
        """
        self.abort()
        logout, self._logout = self._logout, None
        self.avatar = None
        if logout is not None:
            try:
                logout()
            except Exception:
                _log.failure("a portal raised an error at logout")


def _is_name(text: str) -> bool:
    return text.isprintable() and 0 < len(text.encode()) <= MAX_USERNAME


def _comes_before(line: str) -> bool:
    return line.split(" ")[0] in ("PIPELINING", "SIZE", "VRFY", "ETRN", "STARTTLS")
