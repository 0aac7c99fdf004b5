"""
SASL mechanisms, each a generator: it yields challenges, which get the client's
response, and questions, which get the answer; it returns who logged in.

Owns: the messages of PLAIN, LOGIN, CRAM-MD5, EXTERNAL, OAUTHBEARER and XOAUTH2.
Knows nothing of: base64, SMTP, passwords; SCRAM (L{txmta.smtp.sasl.scram}).

Sources: RFC 4616 (PLAIN); draft-murchison-sasl-login (LOGIN); RFC 2195 (CRAM-MD5);
RFC 4422 appendix A (EXTERNAL); RFC 7628 (OAUTHBEARER); Google's XOAUTH2 protocol.

Errors: L{Refused}, with the words for client and log.

@note: nobody may act for somebody else: an authorization identity must be the
    user's own name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping
from typing import Any, NoReturn

from txmta.smtp.sasl.moves import MAX_USERNAME, NOT_VALID, Challenge, Facts, Mechanism
from txmta.smtp.sasl.questions import (
    Certificate,
    Digest,
    Known,
    Password,
    Question,
    Token,
)

#: Octets of a password or token that are looked at.
MAX_SECRET = 8192

Steps = Generator[Challenge | Question, Any, Known]


class Refused(Exception):
    """
    @ivar username: who the client said it is, or C{""}.
    """

    def __init__(self, reason: str = NOT_VALID, username: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.username = username


def name_of(octets: bytes) -> str:
    """
    @return: a user name.
    @raise Refused: it is none, or so long that it is nobody's.
    """
    name = _text(octets)
    if not name or len(octets) > MAX_USERNAME or not name.isprintable():
        raise Refused()
    return name


def _text(octets: bytes) -> str:
    if len(octets) > MAX_SECRET or b"\0" in octets:
        raise Refused()
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise Refused() from None


def _first(response: bytes | None) -> Generator[Challenge, bytes, bytes]:
    """
    The initial response, or that to an empty challenge.
    """
    if response is None:
        response = yield Challenge(b"")
    return response


def _known(answer: Known | None, username: str) -> Known:
    if answer is None:
        raise Refused(username=username)
    return answer


def plain(response: bytes | None, facts: Facts) -> Steps:
    octets = yield from _first(response)
    parts = octets.split(b"\0")
    if len(parts) != 3:
        raise Refused()
    name = name_of(parts[1])
    if parts[0] and parts[0] != parts[1]:
        raise Refused(username=name)
    return _known((yield Password(name, _secret(parts[2], name))), name)


def _secret(octets: bytes, name: str) -> str:
    try:
        secret = _text(octets)
    except Refused:
        secret = ""
    if not secret:
        raise Refused(username=name)
    return secret


def login(response: bytes | None, facts: Facts) -> Steps:
    # Some clients send the name with the command.
    octets = response or (yield Challenge(b"Username:"))
    name = name_of(octets)
    password = yield Challenge(b"Password:")
    return _known((yield Password(name, _secret(password, name))), name)


def cram_md5(challenge: Callable[[], bytes]) -> Callable[[bytes | None, Facts], Steps]:
    """
    @param challenge: makes one, which never comes twice.
    """

    def steps(response: bytes | None, facts: Facts) -> Steps:
        if response is not None:
            raise Refused()  # RFC 4954 section 4: the server speaks first
        sent = challenge()
        octets = yield Challenge(sent)
        user, _space, digest = octets.rpartition(b" ")
        name = name_of(user)
        if not re.fullmatch(rb"[0-9a-f]{32}", digest):
            raise Refused(username=name)
        return _known((yield Digest(name, sent, digest.decode())), name)

    return steps


def external(response: bytes | None, facts: Facts) -> Steps:
    octets = yield from _first(response)
    name = name_of(octets) if octets else ""
    tls = facts.session.tls
    if tls is None or not tls.fingerprint:
        raise Refused(username=name)
    found = _known((yield Certificate(name, facts)), name)
    if name and found.username != name:
        raise Refused(username=name)
    return found


_GS2 = re.compile(rb"[ny],(?:a=([^,\0]*))?,\Z")
_BEARER = re.compile(rb"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")


def oauthbearer(response: bytes | None, facts: Facts) -> Steps:
    octets = yield from _first(response)
    head, _one, rest = octets.partition(b"\1")
    match = _GS2.match(head)
    pairs = _pairs(rest)
    if match is None or pairs is None:
        raise Refused()
    user = (match[1] or b"").replace(b"=2C", b",").replace(b"=3D", b"=")
    name = name_of(user) if user else ""
    return (yield from _bearer(pairs.get(b"auth", b""), name))


def xoauth2(response: bytes | None, facts: Facts) -> Steps:
    octets = yield from _first(response)
    pairs = _pairs(octets)
    if pairs is None:
        raise Refused()
    name = name_of(pairs.get(b"user", b""))
    return (yield from _bearer(pairs.get(b"auth", b""), name))


def _pairs(octets: bytes) -> Mapping[bytes, bytes] | None:
    """
    @return: key to value of C{key=value} with ^A after each and one more at the
        end; L{None}: it is malformed.
    """
    if not octets.endswith(b"\1\1"):
        return None
    items = [item.partition(b"=") for item in octets[:-2].split(b"\1")]
    if not all(key and equals for key, equals, _value in items):
        return None
    return {key: value for key, _equals, value in items}


def _bearer(words: bytes, name: str) -> Steps:
    match = _BEARER.fullmatch(words)
    found: Known | None = None
    if match is not None and len(match[1]) <= MAX_SECRET:
        found = yield Token(name, match[1].decode())
    if found is None or (name and found.username != name):
        yield from _token_refused(name)
    assert found is not None, "refused"
    return found


def _token_refused(name: str) -> Generator[Challenge, bytes, NoReturn]:
    # RFC 7628 section 3.2.2: the error is told in a challenge, which the client
    # answers with something that says nothing.
    error = json.dumps({"status": "invalid_token", "schemes": "bearer"})
    yield Challenge(error.encode())
    raise Refused(username=name)


def properties(name: str) -> Mechanism:
    """
    @return: a mechanism of ours, with what is weak and strong about it.
    """
    return Mechanism(name, _PROPERTIES[name])


_TELLS = frozenset({"plaintext"})
_PROPERTIES: Mapping[str, frozenset[str]] = {
    "PLAIN": _TELLS,
    "LOGIN": _TELLS,
    "CRAM-MD5": frozenset({"dictionary", "active"}),
    "SCRAM-SHA-256": frozenset({"mutual-auth"}),
    "SCRAM-SHA-256-PLUS": frozenset({"mutual-auth"}),
    "EXTERNAL": frozenset(),
    # Whoever reads the token can use it.
    "OAUTHBEARER": _TELLS,
    "XOAUTH2": _TELLS,
}
