"""
What a policy server is asked, and what it answers.

Owns: how main.cf names a server, with values of its own; the request; the answer
    and its limits.
Knows nothing of: connections, what an action does.

Sources: Postfix's SMTPD_POLICY_README; C{smtpd/smtpd_check.c}
(check_policy_service, policy_client_register), C{util/attr_scan_plain.c}.

Errors: C{ValueError}.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from txmta.config.declare import to_count, to_time, to_words
from txmta.config.settings import Settings
from txmta.smtp.access.check import Check
from txmta.smtp.session import Session

#: Octets of an answer. Ours: actions are lines of a few hundred.
MAX_ANSWER = 65536

#: Stages at which a message has all its recipients.
_COMPLETE = frozenset({"DATA", "BDAT", "END-OF-MESSAGE"})

_BREAKS = re.compile(r"[\r\n\0]")


@dataclass(frozen=True)
class PolicyServer:
    """
    A server, and how it is asked.

    @ivar spec: as main.cf has it.
    @ivar kind: C{"inet"} or C{"unix"}.
    @ivar where: C{host:port}, or a path.
    @ivar timeout: seconds for a connection, a request and an answer.
    @ivar max_idle: seconds without use after which a connection is closed;
        C{max_ttl} after which it is, used or not.
    @ivar request_limit: requests over one connection; 0: no limit.
    @ivar try_limit: attempts, C{retry_delay} seconds apart.
    @ivar default_action: when all have failed.
    @ivar context: policy_context.
    """

    spec: str
    kind: str
    where: str
    timeout: float
    max_idle: float
    max_ttl: float
    request_limit: int
    try_limit: int
    retry_delay: float
    default_action: str
    context: str


def _at_least(low: int, convert: Callable[[str], Any]) -> Callable[[str], Any]:
    def bounded(text: str) -> Any:
        value = convert(text)
        if value < low:
            raise ValueError(f"is too small: the least is {low}")
        return value

    return bounded


def _seconds(text: str) -> float:
    return to_time(text, "s")


#: What braces may say besides the server: field, and what reads it.
_OWN: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "default_action": ("default_action", str),
    "max_idle": ("max_idle", _at_least(1, _seconds)),
    "max_ttl": ("max_ttl", _at_least(1, _seconds)),
    "policy_context": ("context", str),
    "request_limit": ("request_limit", _at_least(0, to_count)),
    "retry_delay": ("retry_delay", _at_least(1, _seconds)),
    "timeout": ("timeout", _at_least(1, _seconds)),
    "try_limit": ("try_limit", _at_least(1, to_count)),
}


def read_server(text: str, settings: Settings) -> PolicyServer:
    """
    @param text: C{inet:host:port}, C{unix:path}, or the same in braces with
        C{name=value}.
    @raise ValueError: it is no such thing.
    """
    words = to_words(text[1:-1]) if text[:1] == "{" else (text,)
    if not words:
        raise ValueError(f"{text} names no server: write {{ inet:host:port ... }}")
    first, *values = words
    kind, _colon, where = first.partition(":")
    if kind not in ("inet", "unix") or not where:
        raise ValueError(f'"{first}": write inet:host:port or unix:path')
    if kind == "inet" and not re.fullmatch(r"(\[[^\]]+\]|[^\s:\[\]]*):\w+", where):
        raise ValueError(f'"{first}": write inet:host:port')
    server = PolicyServer(
        text,
        kind,
        where,
        settings.smtpd_policy_service_timeout,
        settings.smtpd_policy_service_max_idle,
        settings.smtpd_policy_service_max_ttl,
        settings.smtpd_policy_service_request_limit,
        settings.smtpd_policy_service_try_limit,
        settings.smtpd_policy_service_retry_delay,
        settings.smtpd_policy_service_default_action,
        settings.smtpd_policy_service_policy_context,
    )
    for value in values:
        server = _with(server, value)
    return server


def _with(server: PolicyServer, item: str) -> PolicyServer:
    if item[:1] == "{":
        item = item[1:-1].strip()
    name, equals, value = (part.strip() for part in item.partition("="))
    if name not in _OWN or not equals:
        raise ValueError(f'"{item}": write one of {", ".join(_OWN)}, = and a value')
    field, convert = _OWN[name]
    try:
        changes: Any = {field: convert(value)}
    except ValueError as e:
        raise ValueError(f"{item}: {e}") from e
    return replace(server, **changes)


def host_and_port(where: str) -> tuple[str, str]:
    """
    @param where: of a server of kind C{inet}.
    @return: name or address, and number or name of the port.
    """
    host, _colon, port = where.rpartition(":")
    return host.strip("[]") or "localhost", port


def request(check: Check, context: str, versions: tuple[str, str, str]) -> bytes:
    """
    @param versions: stress, compatibility_level and mail_version.
    @return: as it is sent.
    """
    text = "".join(
        f"{name}={_BREAKS.sub('?', value)}\n"
        for name, value in _attributes(check, context, versions)
    )
    return f"{text}\n".encode("utf-8", "surrogateescape")


def _attributes(
    check: Check, context: str, versions: tuple[str, str, str]
) -> Iterator[tuple[str, str]]:
    session = check.session
    client = session.client
    stage = check.stage
    stress, level, version = versions
    yield "request", "smtpd_access_policy"
    yield "protocol_state", "DATA" if stage == "BDAT" else stage
    yield "protocol_name", session.protocol
    yield "client_address", client.address
    yield "client_name", client.name
    yield "client_port", str(client.port)
    yield "reverse_client_name", client.reverse_name
    yield "server_address", session.server_address
    yield "server_port", str(session.server_port)
    yield "helo_name", session.helo
    yield "sender", check.said or ""
    yield "recipient", check.recipient
    yield "recipient_count", str(check.recipients if stage in _COMPLETE else 0)
    yield "queue_id", check.queue_id
    yield "instance", "" if stage == "MAIL" else check.instance
    yield "size", str(check.size)
    yield "etrn_domain", check.etrn
    yield "stress", stress
    yield from _identity(session)
    yield "policy_context", context
    yield "compatibility_level", level
    yield "mail_version", version


def _identity(session: Session) -> Iterator[tuple[str, str]]:
    login, tls = session.login, session.tls
    yield "sasl_method", login.method if login else ""
    yield "sasl_username", login.username if login else ""
    yield "sasl_sender", login.sender if login else ""
    trusted = tls is not None and tls.trusted
    yield "ccert_subject", tls.subject if tls and trusted else ""
    yield "ccert_issuer", tls.issuer if tls and trusted else ""
    yield "ccert_fingerprint", tls.fingerprint if tls else ""
    yield "ccert_pubkey_fingerprint", tls.key_fingerprint if tls else ""
    yield "encryption_protocol", tls.protocol if tls else ""
    yield "encryption_cipher", tls.cipher if tls else ""
    yield "encryption_keysize", str(tls.bits if tls else 0)


class AnswerReader:
    """
    Takes an answer in pieces.

    @ivar more: something came after it.
    """

    def __init__(self) -> None:
        self._octets = b""
        self.more = False

    def feed(self, data: bytes) -> str | None:
        """
        @return: the action, as soon as the answer is complete.
        @raise ValueError: it is none, or too long; L{MissingAction}.
        """
        self._octets += data
        end = 0 if self._octets[:1] == b"\n" else self._octets.find(b"\n\n") + 1
        if not end and self._octets[:1] != b"\n":
            if len(self._octets) > MAX_ANSWER:
                raise ValueError("the answer is too long")
            return None
        self.more = len(self._octets) > end + 1
        for line in self._octets[:end].split(b"\n"):
            name, equals, value = line.partition(b"=")
            if equals and name == b"action":
                return value.decode("utf-8", "surrogateescape")
        raise MissingAction


class MissingAction(ValueError):
    """
    An answer has no C{action=}.
    """
