"""
What main.cf says of TLS for the SMTP client.

Owns: parameters and the files that they name, read once, when an agent is made:
    later they may be out of reach.
Knows nothing of: servers, tables, handshakes.

Sources: postconf(5); Postfix C{smtp/smtp.c}, C{smtp/smtp_tls_policy.c}
(global_tls_level).

Errors: L{ConfigError<txmta.errors.ConfigError>} with parameter and remedy.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.errors import ConfigError
from txmta.events import Note
from txmta.smtp.client_tls import ClientTls, Logging, Material
from txmta.smtp.client_tls_level import LEVELS, Level
from txmta.smtp.client_tls_policy import Defaults, Policy
from txmta.tls_files import Chain, authorities, chains, pair
from txmta.tls_policy import curves, options

if TYPE_CHECKING:
    from cryptography import x509

_TABLES = ("smtp_tls_policy_maps", "smtp_tls_per_site")


def general_level(settings: Settings) -> Level:
    """
    @return: what counts for servers without a policy of their own.
    """
    word = settings.smtp_tls_security_level.lower()
    if word:
        return LEVELS[word]
    if settings.smtp_enforce_tls:
        return Level.VERIFY if settings.smtp_tls_enforce_peername else Level.ENCRYPT
    return Level.MAY if settings.smtp_use_tls else Level.NONE


def tables_used(settings: Settings) -> Mapping[str, Sequence[str]]:
    """
    @return: items by parameter; of the two only one counts.
    """
    found = {name: getattr(settings, name) for name in _TABLES}
    if found["smtp_tls_policy_maps"]:
        found["smtp_tls_per_site"] = ()
    return found


def wanted(settings: Settings) -> bool:
    """
    Whether any server may be talked to with TLS.
    """
    tables = any(tables_used(settings).values())
    return bool(tables or general_level(settings) or settings.smtp_tls_wrappermode)


def defaults(settings: Settings) -> Defaults:
    """
    @return: what counts where a policy says nothing.
    """
    return Defaults(
        general_level(settings),
        settings.smtp_tls_protocols,
        settings.smtp_tls_mandatory_protocols,
        settings.smtp_tls_ciphers,
        settings.smtp_tls_mandatory_ciphers,
        settings.smtp_tls_exclude_ciphers,
        settings.smtp_tls_mandatory_exclude_ciphers,
        settings.smtp_tls_verify_cert_match,
        settings.smtp_tls_secure_cert_match,
        settings.smtp_tls_fingerprint_cert_match,
        settings.smtp_tls_trust_anchor_file,
        settings.smtp_tls_servername,
        settings.smtp_tls_connection_reuse,
    )


def make_client(
    context: AgentContext,
    settings: Settings,
    named: Callable[[str], str],
    warn: Callable[[str], None],
) -> ClientTls:
    """
    @param named: gives the name of a parameter in main.cf.
    @raise ConfigError: what is set cannot be used.
    """
    _check(settings, named)
    program = "lmtp" if named("smtp_tls_CAfile") != "smtp_tls_CAfile" else "smtp"
    material = read_material(settings, named, context.now())
    level = settings.smtp_tls_loglevel.strip().lower()
    logging = Logging(
        lambda text: context.sink.emit(Note(program, text)),
        warn,
        summary=level not in ("", "0", "none"),
        peer=level in ("2", "3", "4", "debug"),
    )
    client = ClientTls(
        material, logging, context.clock.seconds, settings.smtp_tls_wrappermode
    )
    general = defaults(settings)
    for parameters, policy in (
        (
            ("smtp_tls_protocols", "smtp_tls_ciphers"),
            Policy(Level.MAY, general.protocols, general.grade, general.exclude),
        ),
        (
            ("smtp_tls_mandatory_protocols", "smtp_tls_mandatory_ciphers"),
            Policy(
                Level.ENCRYPT,
                general.mandatory_protocols,
                general.mandatory_grade,
                (*general.exclude, *general.mandatory_exclude, "eNULL"),
            ),
        ),
    ):
        names = " or ".join(named(each) for each in parameters)
        with _about(names):
            client.context(policy)
    return client


def read_material(
    settings: Settings, named: Callable[[str], str], now: float
) -> Material:
    """
    @param now: wall time.
    @raise ConfigError: a file cannot be used.
    """
    anchors: dict[str, Sequence[x509.Certificate]] = {}
    for path in settings.smtp_tls_trust_anchor_file:
        with _about(named("smtp_tls_trust_anchor_file")):
            anchors[path] = authorities(path)
    with _about("tls_ssl_options"):
        bits = _checked(options, settings.tls_ssl_options)
    return Material(
        {
            name: getattr(settings, name)
            for name in (
                *("tls_high_cipherlist", "tls_medium_cipherlist"),
                "tls_null_cipherlist",
            )
        },
        _chains(settings, named, now),
        _authorities(settings, named),
        anchors,
        curves("auto", settings.tls_eecdh_auto_curves, "", ""),
        bits,
        settings.smtp_tls_scert_verifydepth,
        settings.smtp_tls_fingerprint_digest,
        settings.tls_wildcard_matches_multiple_labels,
        settings.smtp_tls_session_cache_timeout
        if settings.smtp_tls_session_cache_database
        else 0,
    )


def _checked(read: Callable[[Any], Any], value: object) -> Any:
    try:
        return read(value)
    except ValueError as e:
        raise ConfigError([str(e)]) from e


def _chains(settings: Settings, named: Callable[[str], str], now: float) -> list[Chain]:
    if settings.smtp_tls_chain_files:
        with _about(named("smtp_tls_chain_files")):
            return chains(settings.smtp_tls_chain_files, now)
    found = []
    for kind in ("", "d", "ec"):
        name = f"smtp_tls_{kind}cert_file"
        certificate = getattr(settings, name)
        if certificate:
            key = getattr(settings, f"smtp_tls_{kind}key_file")
            with _about(named(name)):
                found.append(pair(certificate, key or certificate, now))
    return found


def _authorities(
    settings: Settings, named: Callable[[str], str]
) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    for name in ("smtp_tls_CAfile", "smtp_tls_CApath"):
        path = getattr(settings, name)
        if path:
            with _about(named(name)):
                found += authorities(path)
    system = ssl.get_default_verify_paths().cafile
    if found and system and settings.tls_append_default_CA:
        with _about("tls_append_default_CA"):
            found += authorities(system)
    return found


@contextmanager
def _about(name: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as e:
        raise ConfigError([f"{name}: {problem}" for problem in e.problems]) from e


def _check(settings: Settings, named: Callable[[str], str]) -> None:
    problems = []
    digest = settings.smtp_tls_fingerprint_digest
    try:
        hashlib.new(digest, usedforsecurity=False)
    except ValueError:
        name = named("smtp_tls_fingerprint_digest")
        problems.append(f"{name} = {digest}: there is no such digest: write sha256")
    general = general_level(settings)
    tables = any(tables_used(settings).values())
    if settings.smtp_tls_wrappermode and not general.required and not tables:
        name, level = named("smtp_tls_wrappermode"), named("smtp_tls_security_level")
        problems.append(f'{name} requires "{level} = encrypt" (or stronger)')
    if (
        general is Level.FINGERPRINT
        and not settings.smtp_tls_fingerprint_cert_match
        and not tables
    ):
        name = named("smtp_tls_fingerprint_cert_match")
        problems.append(
            f"{name} is empty: the level fingerprint needs fingerprints to match"
        )
    if problems:
        raise ConfigError(problems)
