"""
Which SASL backend the settings ask for.

Owns: smtpd_sasl_type and what each makes of smtpd_sasl_path.
Knows nothing of: what a backend does.

Sources: Postfix's SASL_README.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from txmta.config.parameters.smtpd_sasl import TYPES
from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.interfaces import IClientList, IMatchList, ITable
from txmta.smtp.failures import Failures, Patience
from txmta.smtp.login import Logins
from txmta.smtp.sasl.moves import ISaslBackend
from txmta.smtp.sasl.options import SecurityOptions

if TYPE_CHECKING:
    from twisted.cred.portal import Portal


@dataclass(frozen=True)
class Tools:
    """
    What a backend may need.

    @ivar reactor: connects, calls later, runs threads.
    @ivar open_names: makes a list of names of the parameter named.
    @ivar open_list: makes a list of clients of the parameter named.
    @ivar open_table: opens C{type:name} of the parameter named.
    """

    reactor: Any
    open_names: Callable[[str], IMatchList]
    open_list: Callable[[str], IClientList]
    open_table: Callable[[str, str], ITable]
    warn: Callable[[str], object]


_PARAMETERS = ("smtpd_sasl_security_options", "smtpd_sasl_tls_security_options")


def problems(settings: Settings) -> list[str]:
    """
    @return: why nobody could log in, one line each.
    """
    if not settings.smtpd_sasl_auth_enable:
        return []
    found = []
    kind = settings.smtpd_sasl_type.lower()
    if kind == "cyrus":
        found.append(
            "smtpd_sasl_type = cyrus is not supported: write dovecot, and the path "
            "of Dovecot's auth socket in smtpd_sasl_path; or txmta, and a table made "
            "by txmta passwd"
        )
    elif kind == "pam":
        # A program or a library of others' has no place in a process that faces
        # the network, and such a process may start none.
        found.append(
            "smtpd_sasl_type = pam is not supported: write dovecot, and let Dovecot "
            "ask PAM (passdb { driver = pam })"
        )
    elif kind not in TYPES:
        found.append(
            f"smtpd_sasl_type = {kind} is unknown: write one of {', '.join(TYPES)}"
        )
    else:
        found += [f"smtpd_sasl_path: {each}" for each in _path_problems(kind, settings)]
    for name in _PARAMETERS:
        try:
            SecurityOptions(getattr(settings, name))
        except ValueError as e:
            found.append(f"{name}: {e}")
    return found


def _path_problems(kind: str, settings: Settings) -> list[str]:
    path = settings.smtpd_sasl_path
    if kind == "txmta" and ":" not in path:
        return [f"{path}: write type:name of a table with accounts (txmta passwd)"]
    try:
        if kind == "dovecot":
            dovecot_address(path, settings)
        elif kind == "cred":
            from txmta.smtp.sasl.cred import checker

            checker(path)
    except ValueError as e:
        return [f"{path}: {e}"]
    return []


def logins(settings: Settings, tools: Tools | None) -> Logins | None:
    """
    @return: L{None}: nobody may log in.
    @raise ConfigError: a table cannot be opened.
    """
    if not settings.smtpd_sasl_auth_enable:
        return None
    wrong = problems(settings)
    if wrong:
        raise ConfigError(wrong)
    assert tools is not None, "who lets clients log in gets them"
    patience = Patience(
        settings.smtpd_sasl_failure_delay,
        settings.smtpd_sasl_failure_max_delay,
        settings.smtpd_sasl_failure_limit,
        settings.smtpd_sasl_failure_memory,
    )
    plain, tls = (SecurityOptions(getattr(settings, name)) for name in _PARAMETERS)
    exempt = settings.smtpd_sasl_exceptions_networks
    return Logins(
        backend=_MAKERS[settings.smtpd_sasl_type.lower()](settings, tools),
        options=(plain, tls),
        wanted=tools.open_names("smtpd_sasl_mechanism_filter"),
        failures=Failures(patience, tools.reactor.seconds),
        exempt=tools.open_list("smtpd_sasl_exceptions_networks") if exempt else None,
        old_clients=settings.broken_sasl_auth_clients,
    )


def dovecot_address(path: str, settings: Settings) -> tuple[str, int] | str:
    """
    @return: host and port, or the path of a socket.
    @raise ValueError: neither.
    """
    kind, _colon, rest = path.partition(":")
    if kind == "inet":
        host, colon, port = rest.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError("write inet:host:port, with the number of a port")
        return host or "127.0.0.1", int(port)
    name = rest if kind == "unix" else path
    if not name:
        raise ValueError("write the path of Dovecot's auth socket")
    return os.path.join(settings.queue_directory, name)


def _dovecot(settings: Settings, tools: Tools) -> ISaslBackend:
    from txmta.smtp.sasl.dovecot import TIMEOUT, Dovecot

    where = dovecot_address(settings.smtpd_sasl_path, settings)
    reactor = tools.reactor

    def connect(factory: Any) -> Any:
        if isinstance(where, str):
            return reactor.connectUNIX(where, factory, timeout=TIMEOUT)
        return reactor.connectTCP(*where, factory, timeout=TIMEOUT)

    path = settings.smtpd_sasl_path
    return Dovecot(reactor, connect, settings.smtpd_sasl_service, path, tools.warn)


def _txmta(settings: Settings, tools: Tools) -> ISaslBackend:
    from txmta.smtp.sasl.accounts import Accounts
    from txmta.smtp.sasl.own import OwnMechanisms
    from txmta.smtp.sasl.workers import Workers

    def tables(name: str) -> list[ITable]:
        return [tools.open_table(item, name) for item in getattr(settings, name)]

    accounts = Accounts(
        tools.open_table(settings.smtpd_sasl_path, "smtpd_sasl_path"),
        Workers(tools.reactor, settings.smtpd_sasl_concurrency_limit).run,
        tools.warn,
        settings.smtpd_sasl_local_domain,
        tables("smtpd_sasl_certificate_maps"),
        tables("smtpd_sasl_token_maps"),
    )
    accounts.secrets = settings.smtpd_sasl_account_secrets
    return OwnMechanisms(accounts)


def _cred(settings: Settings, tools: Tools) -> ISaslBackend:
    from txmta.smtp.sasl.cred import keeper
    from txmta.smtp.sasl.own import OwnMechanisms

    path = settings.smtpd_sasl_path
    return OwnMechanisms(keeper(path, settings.smtpd_sasl_local_domain))


@implementer(IMatchList)
class _All:
    """
    Every mechanism.
    """

    def match(self, item: str) -> bool:
        return True


def portal_logins(portal: Portal, clock: IReactorTime) -> Logins:
    """
    For programs that make an SMTP server of their own.

    @param portal: the server's, too; its avatars take the mail.
    @return: for L{Context<txmta.smtp.context.Context>}.
    """
    from txmta.smtp.sasl.cred import PortalKeeper
    from txmta.smtp.sasl.own import OwnMechanisms

    options = SecurityOptions(("noanonymous",))
    return Logins(
        OwnMechanisms(PortalKeeper(portal)),
        (options, options),
        _All(),
        Failures(Patience(), clock.seconds),
    )


_MAKERS: Mapping[str, Callable[[Settings, Tools], ISaslBackend]] = {
    "cred": _cred,
    "dovecot": _dovecot,
    "txmta": _txmta,
}
