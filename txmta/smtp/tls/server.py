"""
TLS of the SMTP server, as configured.

Owns: which parameters say what; connections of a context.
Knows nothing of: sessions (L{txmta.smtp.securing}).

Sources: TLS_README, postconf(5); Postfix C{smtpd/smtpd.c} (pre_jail_init_tls,
smtpd_start_tls), C{tls/tls_server.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} with the parameter, the file and
what to do.

@note: sessions are resumed by tickets only; nothing of them is kept here. Where
    certificates of clients are asked for, none is resumed: what was found out
    about a certificate is not in a ticket.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.smtp.tls.level import LEVELS, level
from txmta.tls_context import Wanted, make_context, trust, use_chains
from txmta.tls_files import (
    Chain,
    Read,
    authorities,
    chains,
    fingerprint,
    pair,
    read,
)
from txmta.tls_policy import ciphers, curves, options, protocols

if TYPE_CHECKING:
    from OpenSSL import SSL

_PAIRS = (
    ("smtpd_tls_cert_file", "smtpd_tls_key_file"),
    ("smtpd_tls_eccert_file", "smtpd_tls_eckey_file"),
)

#: OpenSSL: SSL_OP_CIPHER_SERVER_PREFERENCE, SSL_OP_NO_TICKET.
_PREEMPT, _NO_TICKET = 1 << 22, 1 << 14


@implementer(IOpenSSLServerConnectionCreator)
@dataclass(frozen=True)
class ServerTLS:
    """
    @ivar wrapper: smtpd_tls_wrappermode.
    @ivar asks: clients are asked for a certificate; C{requires}: they must have
        one that verifies.
    @ivar timeout: smtpd_starttls_timeout.
    @ivar loglevel: 0 to 2.
    @ivar digest: smtpd_tls_fingerprint_digest.
    """

    context: SSL.Context
    wrapper: bool = False
    asks: bool = False
    requires: bool = False
    timeout: float = 300.0
    loglevel: int = 0
    digest: str = "sha256"

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """
        Called by Twisted.
        """
        from OpenSSL import SSL

        connection: Any = SSL.Connection(self.context, None)
        # Its place for the data of applications is Twisted's.
        connection.nothing_wrong = True
        return cast(SSL.Connection, connection)

    def trusts(self, connection: Any) -> bool:
        """
        @return: nothing is wrong with the certificate of the peer, if there is one.
        """
        return self.asks and connection.nothing_wrong is True


def server_tls(
    settings: Settings, read: Read = read, now: Callable[[], float] = time.time
) -> ServerTLS | None:
    """
    @param read: gives what is in a file.
    @param now: wall time.
    @return: L{None}: there is no TLS.
    @raise ConfigError: with what is wrong.
    """
    word = level(settings)
    if word not in LEVELS:
        raise ConfigError(
            [f'smtpd_tls_security_level: "{word}": say one of {", ".join(LEVELS)}']
        )
    if word == "none":
        return None
    required = word == "encrypt"
    asks = settings.smtpd_tls_ask_ccert or (required and settings.smtpd_tls_req_ccert)
    context = make_context(_wanted(settings, required, asks), True)
    use_chains(context, _chains(settings, now(), read))
    if settings.smtpd_tls_dh1024_param_file:
        _load_dh(context, settings.smtpd_tls_dh1024_param_file)
    _resumption(context, settings)
    if asks:
        _ask(context, settings, read)
    return ServerTLS(
        context,
        wrapper=settings.smtpd_tls_wrappermode,
        asks=asks,
        requires=required and settings.smtpd_tls_req_ccert,
        timeout=settings.smtpd_starttls_timeout,
        loglevel=_loglevel(settings),
        digest=_digest(settings),
    )


def problems(settings: Settings, read: Read = read) -> list[str]:
    """
    @param read: gives what is in a file.
    @return: why there cannot be TLS as these settings want it, one line each.
    """
    try:
        server_tls(settings, read)
    except ConfigError as e:
        return list(e.problems)
    return []


def _wanted(settings: Settings, required: bool, asks: bool) -> Wanted:
    kind = "mandatory_" if required else ""
    versions = _read(
        settings, f"smtpd_tls_{kind}protocols", lambda value: protocols(value)
    )
    excluded = [*settings.smtpd_tls_exclude_ciphers]
    if required:
        excluded += settings.smtpd_tls_mandatory_exclude_ciphers
    if asks:
        excluded.append("aNULL")  # such have no certificates
    if settings.smtpd_tls_eecdh_grade == "none":
        excluded.append("kECDHE")
    names = ("tls_high_cipherlist", "tls_medium_cipherlist", "tls_null_cipherlist")
    lists = {name: getattr(settings, name) for name in names}
    grade = _read(
        settings,
        f"smtpd_tls_{kind}ciphers",
        lambda value: ciphers(value, lists, excluded),
    )
    auto = [*settings.tls_eecdh_auto_curves, *settings.tls_ffdhe_auto_groups]
    strong, ultra = settings.tls_eecdh_strong_curve, settings.tls_eecdh_ultra_curve
    groups = _read(
        settings,
        "smtpd_tls_eecdh_grade",
        lambda value: curves(value, auto, strong, ultra),
    )
    bits = _read(settings, "tls_ssl_options", options)
    if settings.tls_preempt_cipherlist:
        bits |= _PREEMPT
    if asks or not settings.tls_session_ticket_cipher:
        bits |= _NO_TICKET
    if not settings.smtpd_tls_session_cache_timeout:
        bits |= _NO_TICKET
    return Wanted(versions, grade, groups, bits)


def _read(settings: Settings, name: str, convert: Callable[[Any], Any]) -> Any:
    try:
        return convert(getattr(settings, name))
    except ValueError as e:
        raise ConfigError([f"{name}: {e}"]) from e


def _chains(settings: Settings, now: float, read: Read) -> list[Chain]:
    try:
        name = "smtpd_tls_chain_files"
        if settings.smtpd_tls_chain_files:
            return chains(settings.smtpd_tls_chain_files, now, read)
        found = []
        for name, key in _PAIRS:
            if path := getattr(settings, name):
                found.append(pair(path, getattr(settings, key), now, read))
    except ConfigError as e:
        raise ConfigError([f"{name}: {each}" for each in e.problems]) from e
    if not found:
        raise ConfigError(
            [
                "smtpd_tls_security_level: TLS needs a certificate: name its files in "
                "smtpd_tls_chain_files (key first), or say none"
            ]
        )
    return found


def files(settings: Settings) -> Iterator[str]:
    """
    @return: paths of what was read, if there is TLS.
    """
    if level(settings) == "none":
        return
    yield from settings.smtpd_tls_chain_files
    for names in _PAIRS:
        for name in (*names, "smtpd_tls_CAfile"):
            if path := getattr(settings, name):
                yield path


def _load_dh(context: SSL.Context, path: str) -> None:
    from OpenSSL import SSL

    if path in ("auto", "none"):
        return
    try:
        context.load_tmp_dh(path.encode())
    except SSL.Error as e:
        raise ConfigError(
            [
                f"smtpd_tls_dh1024_param_file: {path}: has no parameters: make some "
                "(openssl dhparam 2048), or remove the line"
            ]
        ) from e


def _resumption(context: SSL.Context, settings: Settings) -> None:
    from OpenSSL import SSL

    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    text = f"smtpd {settings.myhostname} {level(settings)}"
    context.set_session_id(hashlib.sha256(text.encode()).digest())
    timeout = int(settings.smtpd_tls_session_cache_timeout)
    context.set_timeout(min(timeout or 1, 7 * 86400))  # RFC 8446 section 4.6.1


def _ask(context: SSL.Context, settings: Settings, read: Read) -> None:
    """
    Ask clients for certificates, and take note of what they are worth.
    """
    from OpenSSL import SSL, crypto

    found = []
    for name in ("smtpd_tls_CAfile", "smtpd_tls_CApath"):
        if path := getattr(settings, name):
            try:
                found += authorities(path, read)
            except ConfigError as e:
                raise ConfigError([f"{name}: {each}" for each in e.problems]) from e
    trust(context, found)
    if found and settings.tls_append_default_CA:
        context.set_default_verify_paths()
    subjects = [crypto.X509.from_cryptography(each).get_subject() for each in found]
    context.set_client_ca_list(subjects[:200])
    context.set_verify_depth(settings.smtpd_tls_ccert_verifydepth)

    def verified(
        connection: Any, _certificate: Any, _error: int, _at: int, good: int
    ) -> bool:
        if not good:
            connection.nothing_wrong = False
        return True

    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE, verified)


def _loglevel(settings: Settings) -> int:
    text = settings.smtpd_tls_loglevel.strip().lower()
    words = {"none": 0, "routine": 1, "debug": 2}
    number = words.get(text, -1)
    if number < 0 and text.isdecimal() and len(text) < 3:
        number = int(text)
    if number < 0:
        raise ConfigError([f'smtpd_tls_loglevel: "{text}": say 0, 1 or 2'])
    return min(number, 2)


def _digest(settings: Settings) -> str:
    name = settings.smtpd_tls_fingerprint_digest.strip().lower()
    try:
        fingerprint(b"", name)
    except (TypeError, ValueError) as e:
        raise ConfigError(
            [f'smtpd_tls_fingerprint_digest: "{name}": say sha256, for example']
        ) from e
    return name
