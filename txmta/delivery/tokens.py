"""
Access tokens for logging in, made anew when they are old.

Owns: where a login name's tokens come from, the request for one, how long one is
    used.
Knows nothing of: what is said to mail servers with it.

Sources: RFC 6749 section 6 (refreshing an access token), section 5 (answers).

Errors: L{NoAnswer<txmta.delivery.smtp_logins.NoAnswer>}: there is no token now.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast
from urllib.parse import urlencode, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.delivery.smtp_logins import NoAnswer
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.search import search

#: Seconds that an endpoint may take, and before its end that a token is not used.
PATIENCE = 30.0
MARGIN = 60.0

#: Seconds that a token is good for, if nobody says; and after a failure, until
#: the endpoint is asked again.
LIFETIME = 300.0
PAUSE = 30.0

#: Octets of an answer, and of a token.
MAX_ANSWER = 65536
MAX_TOKEN = 8192

#: What may stand after the address of an endpoint.
_FIELDS = ("client_id", "client_secret", "refresh_token", "scope")


class Poster(Protocol):
    """
    Posts a form, and gives the status and the start of the answer's body.
    """

    def __call__(self, url: str, form: bytes) -> Deferred[tuple[int, bytes]]: ...


@dataclass(frozen=True)
class Source:
    """
    @ivar url: of the endpoint.
    @ivar form: what it is told.
    """

    url: str
    form: Mapping[str, str] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Source:
        """
        @raise ValueError: what is wrong, without secrets.
        """
        words = text.split()
        url = words[0] if words else ""
        if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
            raise ValueError("does not begin with an https address")
        form = {"grant_type": "refresh_token"}
        for word in words[1:]:
            name, equals, value = word.partition("=")
            if not equals or name not in _FIELDS:
                raise ValueError(f"write only {'=, '.join(_FIELDS)}= after the address")
            form[name] = value.replace("%20", " ") if name == "scope" else value
        if "refresh_token" not in form:
            raise ValueError("has no refresh_token=")
        return cls(url, form)


@dataclass
class _Known:
    """
    @ivar until: on the clock, when another one is due.
    @ivar failure: why there is no token until then.
    @ivar refresh_token: the endpoint has given a new one.
    """

    token: str = ""
    until: float = 0.0
    failure: str = ""
    refresh_token: str = ""


class Tokens:
    """
    Those of one agent, by login name.
    """

    def __init__(
        self, tables: Sequence[ITable], post: Poster, clock: IReactorTime
    ) -> None:
        self._tables = tables
        self._post = post
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._waiting: dict[str, list[Deferred[None]]] = {}

    async def find(self, username: str) -> str | None:
        """
        @return: L{None}: this one has a password.
        @raise NoAnswer: a token cannot be had now.
        """
        try:
            value = search(self._tables, (username,))
            if isinstance(value, Deferred):
                value = await value
        except TableUnavailable as e:
            raise NoAnswer(str(e)) from e
        if value is None:
            return None
        try:
            source = Source.parse(value)
        except ValueError as e:
            raise NoAnswer(f"smtp_sasl_token_maps: {username}: {e}") from e
        known = self._known.setdefault(username, _Known())
        if self._clock.seconds() >= known.until:
            await self._once(username, source, known)
        if known.failure:
            raise NoAnswer(f"no access token for {username}: {known.failure}")
        return known.token

    def forget(self, username: str) -> None:
        """
        A server did not like the token.
        """
        if username in self._known and not self._known[username].failure:
            self._known[username].until = 0.0

    async def _once(self, username: str, source: Source, known: _Known) -> None:
        """
        Ask, or wait for whoever does.
        """
        waiting = self._waiting.get(username)
        if waiting is not None:
            mine: Deferred[None] = Deferred()
            waiting.append(mine)
            await mine
            return
        self._waiting[username] = []
        try:
            await self._ask(source, known)
        finally:
            for each in self._waiting.pop(username):
                each.callback(None)

    async def _ask(self, source: Source, known: _Known) -> None:
        form = dict(source.form)
        form["refresh_token"] = known.refresh_token or form["refresh_token"]
        now = self._clock.seconds
        try:
            asked = self._post(source.url, urlencode(form).encode())
            limit = self._clock.callLater(PATIENCE, asked.cancel)
            try:
                status, body = await asked
            finally:
                if limit.active():
                    limit.cancel()
            token, lifetime, refresh = understood(status, body)
        except Exception as e:
            # Whatever a library raises: there is none.
            known.failure = str(e) or type(e).__name__
            known.until = now() + PAUSE
            known.refresh_token = ""
            return
        known.token, known.failure = token, ""
        known.until = now() + max(lifetime - MARGIN, 1.0)
        known.refresh_token = refresh or known.refresh_token


def understood(status: int, body: bytes) -> tuple[str, float, str]:
    """
    @return: token, seconds that it is good for, and a new refresh token or
        C{""}.
    @raise ValueError: why there is none.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ValueError(f"the endpoint said {status} and no JSON")
    if status != 200:
        why = answer.get("error")
        raise ValueError(f"the endpoint said {status} {str(why)[:80]}")
    token, kind = answer.get("access_token"), answer.get("token_type", "Bearer")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise ValueError("the endpoint gave no token")
    if not 0 < len(token) <= MAX_TOKEN or str(kind).lower() != "bearer":
        raise ValueError("the endpoint gave a token of another kind")
    lifetime = answer.get("expires_in", LIFETIME)
    good = isinstance(lifetime, int | float) and 0 < lifetime < 1e9
    refresh = answer.get("refresh_token")
    new = refresh if isinstance(refresh, str) and len(refresh) <= MAX_TOKEN else ""
    return token, float(lifetime) if good else LIFETIME, new


def make_tokens(
    context: AgentContext, settings: Settings, parameter: str
) -> Tokens | None:
    """
    @param parameter: the name of smtp_sasl_token_maps.
    @return: L{None}: nobody has tokens.
    """
    items = settings.smtp_sasl_token_maps
    if not items or not settings.smtp_sasl_auth_enable:
        return None
    tables = [context.table(item, parameter) for item in items]
    return Tokens(tables, poster(context.clock), context.clock)


def poster(reactor: object) -> Poster:
    """
    @return: posts by HTTPS; certificates are verified.
    """
    # Only who uses tokens needs all this.
    from txmta.delivery.https import Https

    return cast(Callable[[Any], Poster], Https)(reactor)
