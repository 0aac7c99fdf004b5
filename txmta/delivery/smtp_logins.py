"""
Who we are at a server: names, passwords and tokens.

Owns: the order in which they are looked for, what names and passwords look like
    in tables, what of it identifies a connection.
Knows nothing of: what is said to the server (L{txmta.smtp.client_login}), how
    tokens come about (L{txmta.delivery.tokens}).

Sources: Postfix C{smtp_sasl_passwd_lookup()} in C{src/smtp/smtp_sasl_glue.c},
SASL_README.

Errors: L{NoAnswer}: a table or a token cannot be had now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from twisted.internet.defer import Deferred

from txmta.config.parameters.lmtp import LMTP_NAMES
from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.delivery.lmtp import lmtp_settings
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable
from txmta.search import address_keys, search
from txmta.smtp.client_login import Account, LoginRules, Refusals
from txmta.smtp.client_sasl import MECHANISMS, Credentials


class NoAnswer(Exception):
    """
    Who we are cannot be said now. Its text says why.
    """


class Tokens(Protocol):
    """
    See L{txmta.delivery.tokens.Tokens}.
    """

    async def find(self, username: str) -> str | None: ...

    def forget(self, username: str) -> None: ...


@dataclass(frozen=True)
class LookupOrder:
    """
    @ivar by_sender: smtp_sender_dependent_authentication.
    @ivar delimiter: smtp_sasl_password_result_delimiter.
    @ivar authzid: send_cyrus_sasl_authzid.
    """

    by_sender: bool = False
    delimiter: str = ":"
    authzid: bool = False


class Logins:
    """
    Those of one agent.
    """

    def __init__(
        self,
        tables: Sequence[ITable],
        order: LookupOrder,
        rules: LoginRules,
        by_address: Callable[[str], object],
        refusals: Refusals | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        """
        @param by_address: looks an address up in C{tables}.
        """
        self._tables = tables
        self._order = order
        self._rules = rules
        self._by_address = by_address
        self._refusals = refusals
        self._tokens = tokens

    def kind(self, sender: str) -> str:
        """
        @return: what of the sender decides who we are, for connections that
            are kept by next hop; C{""} if nothing does.
        """
        return sender if self._order.by_sender else ""

    async def find(self, sender: str, host: str, nexthop: str) -> Account | None:
        """
        @param sender: of the message.
        @param host: name of the server.
        @param nexthop: as it was written.
        @return: L{None}: nobody in particular.
        @raise NoAnswer: a table cannot be asked.
        """
        try:
            value = await self._value(sender, host, nexthop)
        except TableUnavailable as e:
            raise NoAnswer(str(e)) from e
        if value is None:
            return None
        name, _, secret = value.partition(self._order.delimiter)
        who = Credentials(name, secret, authzid=name if self._order.authzid else "")
        account = Account(who, self._rules, host, self._refusals)
        if self._tokens is None:
            return account
        token = await self._tokens.find(name)
        if token is None:
            return account
        who = replace(who, secret=token, token=True)
        forget = partial(self._tokens.forget, name)
        # A new token may be good where the old one was not.
        return replace(account, who=who, refusals=None, refused=forget)

    async def _value(self, sender: str, host: str, nexthop: str) -> str | None:
        if sender and self._order.by_sender:
            value = await _now(self._by_address(sender))
            if value is not None:
                return value
        for key in (host, nexthop):
            value = await _now(search(self._tables, (key,)))
            if value is not None:
                return value
        return None


async def _now(answer: object) -> str | None:
    if isinstance(answer, Deferred):
        answer = await answer
    assert answer is None or isinstance(answer, str)
    return answer


def make_logins(
    context: AgentContext,
    settings: Settings,
    named: Callable[[str], str],
    tokens: Tokens | None,
) -> Logins | None:
    """
    @param settings: with C{smtp_} parameters, of lmtp too.
    @param named: gives the name of a parameter in main.cf.
    @return: L{None}: we log in nowhere.
    @raise ConfigError: what is set cannot be used.
    """
    problems = login_problems(settings, named)
    if problems:
        raise ConfigError(problems)
    if not settings.smtp_sasl_auth_enable:
        return None
    name = named("smtp_sasl_password_maps")
    tables = [context.table(item, name) for item in settings.smtp_sasl_password_maps]
    delimiter = settings.recipient_delimiter
    order = LookupOrder(
        settings.smtp_sender_dependent_authentication,
        settings.smtp_sasl_password_result_delimiter,
        settings.send_cyrus_sasl_authzid,
    )
    refusals = None
    if settings.smtp_sasl_auth_cache_name:
        lifetime = settings.smtp_sasl_auth_cache_time
        refusals = Refusals(context.clock.seconds, lifetime)

    def by_address(sender: str) -> object:
        return search(tables, address_keys(sender, delimiters=delimiter))

    return Logins(tables, order, login_rules(settings), by_address, refusals, tokens)


def login_rules(settings: Settings) -> LoginRules:
    """
    @return: what may be said to servers.
    """
    return LoginRules(
        mechanism_filter(settings.smtp_sasl_mechanism_filter),
        settings.smtp_sasl_security_options,
        settings.smtp_sasl_tls_security_options,
        settings.smtp_sasl_tls_verified_security_options,
        settings.smtp_sasl_auth_soft_bounce,
        settings.smtp_send_dummy_mail_auth,
    )


_ALL = ("static:all", "static:rest")


def mechanism_filter(items: Sequence[str]) -> Callable[[str], bool]:
    """
    @param items: names, C{!} before those that are not wanted, C{static:rest}.
    """

    def wanted(name: str) -> bool:
        for item in items:
            word = item.lstrip("!").lower()
            if word in _ALL or word == name.lower():
                return not item.startswith("!")
        return not items

    return wanted


def login_problems(settings: Settings, named: Callable[[str], str]) -> list[str]:
    """
    @return: why we cannot log in as it is configured, one line each, with what
        to do.
    """
    if not settings.smtp_sasl_auth_enable:
        return []
    problems: list[str] = []
    if not settings.smtp_sasl_password_maps:
        problems.append(
            f"{named('smtp_sasl_auth_enable')} = yes, but "
            f"{named('smtp_sasl_password_maps')} is empty: write a table of names and "
            "passwords"
        )
    if not settings.smtp_sasl_password_result_delimiter:
        name = named("smtp_sasl_password_result_delimiter")
        problems.append(f"{name} is empty: write :")
    for item in settings.smtp_sasl_mechanism_filter:
        word = item.lstrip("!")
        name = named("smtp_sasl_mechanism_filter")
        if ("/" in word or ":" in word) and word.lower() not in _ALL:
            problems.append(f"{name}: {item}: write names of mechanisms here")
    usable = [
        m
        for m in MECHANISMS
        if mechanism_filter(settings.smtp_sasl_mechanism_filter)(m)
    ]
    if not usable:
        problems.append(
            f"{named('smtp_sasl_mechanism_filter')} has none of ours: "
            f"{', '.join(MECHANISMS)}"
        )
    return problems


def all_login_problems(settings: Settings) -> list[str]:
    """
    @return: the same for SMTP and LMTP.
    """
    lmtp = lmtp_settings(settings)
    return [
        *login_problems(settings, str),
        *login_problems(lmtp, lambda name: LMTP_NAMES.get(name, name)),
    ]
