"""
SCRAM-SHA-256 and SCRAM-SHA-256-PLUS.

Owns: their messages, and which channel binding counts.
Knows nothing of: SMTP, where keys are.

Sources: RFC 5802, RFC 7677; RFC 5929 and RFC 9266 (channel bindings).

Errors: L{Refused<txmta.smtp.sasl.mechanisms.Refused>}.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable

from txmta.smtp.sasl.mechanisms import MAX_SECRET, Refused, Steps, name_of
from txmta.smtp.sasl.moves import Challenge, Facts
from txmta.smtp.sasl.questions import Keys, Known, StoredKeys

# gs2-header client-first-message-bare; m= would be an extension that we must
# know. RFC 5802 section 7.
_FIRST = re.compile(
    r"((?:p=([A-Za-z0-9.-]+)|[ny]),(?:a=([^,]*))?,)"
    r"(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]{8,512})(?:,[^\0]*)?)",
    re.DOTALL,
)
_FINAL = re.compile(r"(c=([A-Za-z0-9+/=]+),r=([^,]+)(?:,[^\0]*)?),p=([A-Za-z0-9+/=]+)")

#: Bindings that we have, the best first.
BINDINGS = ("tls-exporter", "tls-unique")


def scram(
    response: bytes | None, facts: Facts, plus: bool, nonce: Callable[[], str]
) -> Steps:
    """
    @param plus: the client must prove that nobody is between us.
    @param nonce: makes our part of it, which never comes twice.
    """
    if response is None:
        response = yield Challenge(b"")
    match = _FIRST.fullmatch(_text(response))
    if match is None:
        raise Refused()
    header, wanted, other, bare, user, theirs = match.groups()
    name = name_of(_unescape(user).encode())
    if other and _unescape(other) != name:
        raise Refused(username=name)
    bound = header.encode() + _binding(header[0], wanted or "", facts, plus, name)
    keys = yield Keys(name)
    assert isinstance(keys, StoredKeys), "the answer to this question"
    both = theirs + nonce()
    salt = base64.b64encode(keys.salt).decode()
    first = f"r={both},s={salt},i={keys.iterations}"
    octets = yield Challenge(first.encode())
    final = _FINAL.fullmatch(_text(octets))
    if final is None:
        raise Refused(username=name)
    said = f"{bare},{first},{final[1]}".encode()
    good = _proves(_octets(final[4]), said, keys.stored_key)
    same = hmac.compare_digest(_octets(final[2]), bound)
    if not (good and same and keys.real and hmac.compare_digest(final[3], both)):
        raise Refused(username=name)
    signature = hmac.digest(keys.server_key, said, "sha256")
    # RFC 4954 section 4: SMTP has no data with success, so one more round.
    if (yield Challenge(b"v=" + base64.b64encode(signature))):
        raise Refused(username=name)
    return Known(name)


def _proves(proof: bytes, said: bytes, stored_key: bytes) -> bool:
    signature = hmac.digest(stored_key, said, "sha256")
    if len(proof) != len(signature):
        return False
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), stored_key)


def _binding(flag: str, wanted: str, facts: Facts, plus: bool, name: str) -> bytes:
    """
    @return: what both ends of the session know, if the client binds itself to it.
    """
    if plus:
        octets = facts.binding(wanted) if wanted in BINDINGS else None
        if octets is None:
            raise Refused(username=name)
        return octets
    if wanted:
        raise Refused(username=name)
    if flag == "y" and any(facts.binding(each) for each in BINDINGS):
        # RFC 5802 section 6: the client thinks that we have no -PLUS: somebody
        # took it off the list.
        raise Refused(username=name)
    return b""


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except binascii.Error:
        return b""


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
