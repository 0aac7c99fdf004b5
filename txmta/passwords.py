"""
Passwords as tables keep them: {SCHEME}hash.

Owns: which schemes there are, making and checking hashes, what SCRAM needs of one.
Knows nothing of: where hashes are kept, who logs in.

Sources: Dovecot's password schemes (the names, and the forms of {SSHA256},
{PBKDF2} and {SCRAM-SHA-256}); RFC 5802 section 3, RFC 7677 (SCRAM); RFC 7914
(scrypt); RFC 9106 (Argon2); crypt(5).

Errors: L{BadHash} for what cannot be understood, L{NeedsLibrary} for a scheme that
needs a library which is not there.

@note: checking takes as long as the scheme wants it to, tens of milliseconds: not
    for a thread that others wait for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from txmta.password_libraries import (
    MAX_MEMORY,
    check_argon2,
    check_crypt,
    make_argon2,
    make_crypt,
)
from txmta.password_libraries import (
    BadHash as BadHash,
)
from txmta.password_libraries import NeedsLibrary as NeedsLibrary

_HASH = re.compile(r"\{([A-Za-z0-9-]+)(?:\.(b64|base64|hex))?\}(.*)", re.DOTALL)

#: Rounds that new hashes get, about 30 milliseconds.
ROUNDS = 60000

#: Rounds that a stored hash may ask of us.
MAX_ROUNDS = 10_000_000

#: For C{txmta passwd} without a word about it.
DEFAULT_SCHEME = "SCRAM-SHA-256"


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """
    What SCRAM-SHA-256 needs to know of a password.
    """

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return "ScramKeys(...)"


def split(stored: str) -> tuple[str, str]:
    """
    @return: scheme in upper case, and hash. What crypt(3) makes needs no scheme.
    @raise BadHash: there is no scheme.
    """
    match = _HASH.fullmatch(stored.strip())
    if match is None:
        if stored.startswith("$"):
            return "CRYPT", stored.strip()
        raise BadHash("no {SCHEME} before the hash")
    if match[2]:
        raise BadHash(f"{{{match[1]}.{match[2]}}}: leave out the encoding")
    return match[1].upper(), match[3]


def verify(stored: str, password: str) -> bool:
    """
    @raise BadHash: nobody can say.
    """
    scheme, text = split(stored)
    if scheme not in _CHECKS:
        known = ", ".join(sorted(_CHECKS))
        raise BadHash(f"{{{scheme}}} is not known here: use one of {known}")
    try:
        return _CHECKS[scheme](text, password.encode())
    except (binascii.Error, ValueError, IndexError, MemoryError):
        raise BadHash(f"a {{{scheme}}} hash is malformed") from None


def scram_keys(stored: str) -> ScramKeys | None:
    """
    @return: L{None}: the scheme does not have them.
    @raise BadHash: it is malformed.
    """
    scheme, text = split(stored)
    if scheme != "SCRAM-SHA-256":
        return None
    try:
        return _scram(text)
    except (binascii.Error, ValueError):
        raise BadHash(f"a {{{scheme}}} hash is malformed") from None


def plain_text(stored: str) -> str | None:
    """
    @return: the password itself, if that is what is kept.
    @raise BadHash: it is malformed.
    """
    scheme, text = split(stored)
    return text if scheme in ("PLAIN", "CLEARTEXT") else None


def make(password: str, scheme: str = DEFAULT_SCHEME) -> str:
    """
    @raise BadHash: there is no such scheme to make hashes of.
    """
    scheme = scheme.upper()
    if scheme not in _MAKERS:
        known = ", ".join(sorted(_MAKERS))
        raise BadHash(f"{{{scheme}}} is not made here: use one of {known}")
    return f"{{{scheme}}}{_MAKERS[scheme](password.encode())}"


def _b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _octets(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii"), validate=True)


def _number(text: str, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise ValueError("no number")
    value = int(text)
    if not 1 <= value <= high:
        raise ValueError("out of bounds")
    return value


# Plain and salted digests.


def _plain(text: str, password: bytes) -> bool:
    return hmac.compare_digest(text.encode(), password)


def _salted(name: str) -> Callable[[str, bytes], bool]:
    size = hashlib.new(name).digest_size

    def check(text: str, password: bytes) -> bool:
        octets = _octets(text)
        digest, salt = octets[:size], octets[size:]
        if len(digest) != size:
            raise ValueError("too short")
        return hmac.compare_digest(hashlib.new(name, password + salt).digest(), digest)

    return check


def _make_salted(name: str) -> Callable[[bytes], str]:
    def make_one(password: bytes) -> str:
        salt = os.urandom(8)
        return _b64(hashlib.new(name, password + salt).digest() + salt)

    return make_one


# PBKDF2, as Dovecot writes it: $1$salt$rounds$hex.


def _pbkdf2(text: str, password: bytes) -> bool:
    _empty, one, salt, rounds, digest = text.split("$")
    if one != "1":
        raise ValueError("another version")
    made = hashlib.pbkdf2_hmac(
        "sha1", password, salt.encode(), _number(rounds, MAX_ROUNDS)
    )
    return hmac.compare_digest(made, bytes.fromhex(digest))


def _make_pbkdf2(password: bytes) -> str:
    salt = _b64(os.urandom(12))
    made = hashlib.pbkdf2_hmac("sha1", password, salt.encode(), ROUNDS)
    return f"$1${salt}${ROUNDS}${made.hex()}"


# SCRAM, as Dovecot writes it: rounds,salt,stored key,server key.


def _scram(text: str) -> ScramKeys:
    rounds, salt, stored, server = text.split(",")
    keys = ScramKeys(
        _number(rounds, MAX_ROUNDS), _octets(salt), _octets(stored), _octets(server)
    )
    if len(keys.stored_key) != 32 or len(keys.server_key) != 32 or not keys.salt:
        raise ValueError("wrong sizes")
    return keys


def _prepared(password: bytes) -> bytes:
    """
    SASLprep, as far as it changes what people type: RFC 4013 section 2.2.
    """
    if password.isascii():
        return password
    import unicodedata

    return unicodedata.normalize("NFKC", password.decode("utf-8")).encode()


def derive(password: bytes, salt: bytes, iterations: int) -> ScramKeys:
    """
    @return: what is to be kept of a password (RFC 5802 section 3).
    """
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    return ScramKeys(iterations, salt, hashlib.sha256(client).digest(), server)


def _check_scram(text: str, password: bytes) -> bool:
    keys = _scram(text)
    made = derive(password, keys.salt, keys.iterations)
    return hmac.compare_digest(made.stored_key, keys.stored_key)


def _make_scram(password: bytes) -> str:
    keys = derive(password, os.urandom(16), ROUNDS)
    parts = (keys.salt, keys.stored_key, keys.server_key)
    return ",".join([str(keys.iterations), *map(_b64, parts)])


# scrypt: n$r$p$salt$hash.


def _scrypt(text: str, password: bytes) -> bool:
    n, r, p, salt, digest = text.split("$")
    cost = (_number(n, 1 << 24), _number(r, 64), _number(p, 64))
    made = _scrypt_of(password, _octets(salt), cost, len(_octets(digest)))
    return hmac.compare_digest(made, _octets(digest))


def _scrypt_of(
    password: bytes, salt: bytes, cost: tuple[int, int, int], size: int
) -> bytes:
    n, r, p = cost
    if 128 * n * r > MAX_MEMORY or not 16 <= size <= 64:
        raise ValueError("out of bounds")
    return hashlib.scrypt(
        password, salt=salt, n=n, r=r, p=p, dklen=size, maxmem=MAX_MEMORY + (1 << 20)
    )


def _make_scrypt(password: bytes) -> str:
    salt, cost = os.urandom(16), (1 << 14, 8, 1)
    made = _scrypt_of(password, salt, cost, 32)
    return "$".join([*map(str, cost), _b64(salt), _b64(made)])


_CHECKS: Mapping[str, Callable[[str, bytes], bool]] = {
    "PLAIN": _plain,
    "CLEARTEXT": _plain,
    "SSHA": _salted("sha1"),
    "SSHA256": _salted("sha256"),
    "SSHA512": _salted("sha512"),
    "PBKDF2": _pbkdf2,
    "SCRYPT": _scrypt,
    "SCRAM-SHA-256": _check_scram,
    "ARGON2ID": check_argon2,
    # Dovecot's names for what crypt(3) makes.
    **dict.fromkeys(
        ("CRYPT", "MD5-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "BLF-CRYPT"),
        check_crypt,
    ),
}

_MAKERS: Mapping[str, Callable[[bytes], str]] = {
    "PLAIN": bytes.decode,
    "SSHA256": _make_salted("sha256"),
    "SSHA512": _make_salted("sha512"),
    "PBKDF2": _make_pbkdf2,
    "SCRYPT": _make_scrypt,
    "SCRAM-SHA-256": _make_scram,
    "CRYPT": make_crypt,
    "SHA512-CRYPT": make_crypt,
    "ARGON2ID": make_argon2,
}

#: Schemes that C{make} knows.
MADE = tuple(sorted(_MAKERS))
