"""
SCRAM-SHA-256 and SCRAM-SHA-256-PLUS.

Owns: which channel binding counts.
Knows nothing of: SMTP, where keys are; the arithmetic is of the library scramp.

Sources: RFC 5802, RFC 7677; RFC 5929 and RFC 9266 (channel bindings).

Errors: L{Refused<txmta.smtp.sasl.mechanisms.Refused>}.
"""

from __future__ import annotations

import re

from scramp import (  # type: ignore[import-untyped]  # it has no annotations
    ScramException,
    ScramMechanism,
)

from txmta.smtp.sasl.mechanisms import MAX_SECRET, Refused, Steps, name_of
from txmta.smtp.sasl.moves import Challenge, Facts
from txmta.smtp.sasl.questions import Keys, Known, StoredKeys

_FIRST = re.compile(r"(p=([a-z0-9.-]+)|[ny]),(?:a=([^,]*))?,n=([^,]+),r=.*")

#: Bindings that we have, the best first.
BINDINGS = ("tls-exporter", "tls-unique")


def scram(response: bytes | None, facts: Facts, plus: bool) -> Steps:
    """
    @param plus: the client must prove that nobody is between us.
    """
    if response is None:
        response = yield Challenge(b"")
    first = _text(response)
    match = _FIRST.fullmatch(first)
    if match is None:
        raise Refused()
    name = name_of(_unescape(match[4]).encode())
    if match[3] and _unescape(match[3]) != name:
        raise Refused(username=name)
    binding = _binding(match[1], match[2] or "", facts, plus, name)
    keys = yield Keys(name)
    assert isinstance(keys, StoredKeys), "the answer to this question"
    server = ScramMechanism(
        "SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256"
    ).make_server(
        lambda _name: (keys.salt, keys.stored_key, keys.server_key, keys.iterations),
        channel_binding=binding,
    )
    try:
        server.set_client_first(first)
        final = yield Challenge(server.get_server_first().encode())
        server.set_client_final(_text(final))
        if not keys.real:
            raise Refused(username=name)
        last = server.get_server_final().encode()
    except ScramException:
        raise Refused(username=name) from None
    # RFC 4954 section 4: SMTP has no data with success, so one more round.
    if (yield Challenge(last)):
        raise Refused(username=name)
    return Known(name)


def _binding(
    flag: str, wanted: str, facts: Facts, plus: bool, name: str
) -> tuple[str, bytes] | None:
    if plus:
        octets = facts.binding(wanted) if wanted in BINDINGS else None
        if octets is None:
            raise Refused(username=name)
        return wanted, octets
    if wanted:
        raise Refused(username=name)
    if flag == "y" and any(facts.binding(each) for each in BINDINGS):
        # RFC 5802 section 6: the client thinks that we have no -PLUS: somebody
        # took it off the list.
        raise Refused(username=name)
    return None


def _text(octets: bytes) -> str:
    if len(octets) > MAX_SECRET:
        raise Refused()
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise Refused() from None


def _unescape(name: str) -> str:
    if re.search("=(?!2C|3D)", name):
        raise Refused()
    return name.replace("=2C", ",").replace("=3D", "=")
