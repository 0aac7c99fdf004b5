"""
A server with accounts, without threads and network.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from tests.smtp.server.support import STRANGER, Listed, Talk, World, world
from txmta.config.settings import Settings
from txmta.interfaces import ITable
from txmta.maps.match import MatchLists
from txmta.maps.registry import TableRegistry
from txmta.model import Client, TLSInfo
from txmta.smtp.sasl.accounts import Accounts
from txmta.smtp.sasl.backends import Tools
from txmta.smtp.sasl.moves import Facts, ISaslBackend
from txmta.smtp.sasl.own import OwnMechanisms
from txmta.smtp.service import Services
from txmta.smtp.session import Session

#: Of C{user}, C{wonderland}, with few rounds: {SCRAM-SHA-256}.
SCRAM = (
    "{SCRAM-SHA-256}4096,AAECAwQFBgcICQoLDA0ODw==,"
    "/402vgvxjffLRN3AeSGi4QgeH65Nt2nFIfEP7zftvdM=,"
    "p9hNBfE/KM13hKZtdD/jetNwjPeEGbvgeMhn9wdYJyE="
)

TLS = TLSInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, 256, fingerprint="AB:CD")


def b64(text: str | bytes) -> bytes:
    octets = text.encode() if isinstance(text, str) else text
    return base64.b64encode(octets)


def plain(name: str, password: str, authzid: str = "") -> bytes:
    return b64(f"{authzid}\0{name}\0{password}")


def cram(name: str, password: str, challenge: bytes) -> bytes:
    digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
    return b64(f"{name} {digest}")


def at_once(work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """
    In place of threads.
    """
    return maybeDeferred(work, *arguments)


@implementer(ITable)
class Table:
    """
    @ivar asked: keys.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self.entries = entries
        self.asked: list[str] = []

    def lookup(self, key: str) -> str | None:
        self.asked.append(key)
        return self.entries.get(key)


def facts(tls: TLSInfo | None = None, **bindings: bytes) -> Facts:
    """
    @param bindings: by name, with _ for -.
    """
    session = Session(Client(STRANGER, 4711), tls=tls)
    known = {name.replace("_", "-"): value for name, value in bindings.items()}
    return Facts(session, ("192.0.2.25", 587), known.get)


@dataclass
class LoginWorld(World):
    """
    @ivar accounts: user name to hash.
    """

    accounts: Mapping[str, str] = None  # type: ignore[assignment]  # after defaults
    table: Table = None  # type: ignore[assignment]  # made from them

    def __post_init__(self) -> None:
        exempt = self.settings.smtpd_sasl_exceptions_networks
        self.lists["smtpd_sasl_exceptions_networks"] = Listed(exempt)
        super().__post_init__()
        self.table = Table(self.accounts or {})
        accounts = Accounts(self.table, at_once, self.sink.warn)
        accounts.secrets = self.settings.smtpd_sasl_account_secrets
        self.use(OwnMechanisms(accounts))

    def use(self, backend: ISaslBackend) -> None:
        """
        Have somebody else asked for passwords.
        """
        factory: Any = self.factory
        context = factory._context
        logins = replace(context.logins, backend=backend)
        factory._context = replace(context, logins=logins)

    def services(self) -> Services:
        registry = TableRegistry(self.clock.seconds, lambda text: None)
        lists = MatchLists(registry.table, (), self.clock.seconds, lambda text: None)

        def names(name: str) -> Any:
            return lists.strings(name, getattr(self.settings, name))

        tools = Tools(
            self.clock, names, self.lists.__getitem__, registry.table, self.sink.warn
        )
        return replace(super().services(), login=tools)

    def talk(self, hello: bytes = b"EHLO client.example\r\n") -> Talk:
        talk = self.connect()
        talk.say(hello)
        return talk


def login_world(accounts: Mapping[str, str] | None = None, **values: str) -> LoginWorld:
    values = {
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_type": "txmta",
        "smtpd_sasl_path": "inline:{user={PLAIN}wonderland}",
        "smtpd_sasl_failure_delay": "0",
        "smtpd_sasl_account_secrets": "plain",
        **values,
    }
    made = world(**{k: v for k, v in values.items() if "sasl" not in k})
    text = {name: made.settings.text(name) for name in made.settings.definitions}
    if accounts is None:
        accounts = {"user": "{PLAIN}wonderland"}
    return LoginWorld(Settings.of(**{**text, **values}), accounts=accounts)
