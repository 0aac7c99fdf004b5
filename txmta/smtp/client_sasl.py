"""
What a client says to log in, by mechanism.

Owns: the messages of each mechanism, and which mechanisms an administrator's
    security options allow.
Knows nothing of: SMTP, base64, where names and passwords come from.

Sources: RFC 4616 (PLAIN); draft-murchison-sasl-login (LOGIN); RFC 2195 (CRAM-MD5);
RFC 5802 and 7677 (SCRAM); RFC 7628 (OAUTHBEARER); Google's and Microsoft's pages on
XOAUTH2; Postfix's postconf(5), smtp_sasl_security_options.

Errors: L{BadChallenge}.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import stringprep
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import pbkdf2_hmac

#: The most rounds that a server may have us compute; 200,000 take a tenth of a
#: second, in which nothing else is done.
MAX_ROUNDS = 200_000

#: smtp_sasl_security_options.
OPTIONS = (
    *("noplaintext", "noactive", "nodictionary", "noanonymous"),
    *("forward_secrecy", "mutual_auth"),
)


class BadChallenge(Exception):
    """
    The server says what the mechanism does not allow.
    """


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    @ivar secret: a password; or a token, of which C{token} tells.
    @ivar authzid: who to act as, C{""} for C{username} itself.
    """

    username: str
    secret: str
    token: bool = False
    authzid: str = ""

    def __repr__(self) -> str:
        # Never in a log, a traceback or a failed test.
        return f"Credentials({self.username!r})"


class Mechanism:
    """
    One attempt.

    @ivar proven: nothing is left that the server has to prove.
    """

    proven = True

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials

    def first(self) -> bytes | None:
        """
        @return: what goes with the AUTH command, if anything.
        """
        return None

    def next(self, challenge: bytes) -> bytes:
        """
        @raise BadChallenge: we do not go on.
        """
        raise BadChallenge("unexpected challenge")


def octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Plain(Mechanism):
    def first(self) -> bytes:
        who = self.credentials
        return b"\0".join(map(octets, (who.authzid, who.username, who.secret)))


class PlainLogin(Mechanism):
    """
    LOGIN: whatever the server asks, the name comes first.
    """

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self._left = [credentials.username, credentials.secret]

    def next(self, challenge: bytes) -> bytes:
        if not self._left:
            raise BadChallenge("too many challenges")
        return octets(self._left.pop(0))


class CramMD5(Mechanism):
    def next(self, challenge: bytes) -> bytes:
        who = self.credentials
        digest = hmac.new(octets(who.secret), challenge, "md5").hexdigest()
        return octets(who.username) + b" " + digest.encode()


class XOAuth2(Mechanism):
    def first(self) -> bytes:
        who = self.credentials
        return octets(f"user={who.username}\x01auth=Bearer {who.secret}\x01\x01")

    def next(self, challenge: bytes) -> bytes:
        # What is wrong, as JSON; the refusal comes after an empty answer.
        return b""


class OAuthBearer(Mechanism):
    def first(self) -> bytes:
        who = self.credentials
        name = who.username.replace("=", "=3D").replace(",", "=2C")
        return octets(f"n,a={name},\x01auth=Bearer {who.secret}\x01\x01")

    def next(self, challenge: bytes) -> bytes:
        return b"\x01"


def _prepared(text: str) -> str:
    """
    @return: by SASLprep (RFC 4013), as far as it matters here.
    @raise BadChallenge: it cannot be a name or password.
    """
    if text.isascii():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c
        for c in text
        if not stringprep.in_table_b1(c)
    )
    result = unicodedata.normalize("NFKC", mapped)
    if any(stringprep.in_table_c21_c22(c) or stringprep.in_table_c3(c) for c in result):
        raise BadChallenge("a name or password with forbidden characters")
    return result


class Scram(Mechanism):
    """
    SCRAM without channel binding.
    """

    digest = "sha256"

    def __init__(
        self,
        credentials: Credentials,
        nonce: Callable[[], str] = lambda: secrets.token_urlsafe(18),
    ) -> None:
        super().__init__(credentials)
        self.proven = False
        self._nonce = nonce()
        self._bare = ""
        self._signature = b""

    def first(self) -> bytes:
        name = _prepared(self.credentials.username)
        name = name.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={self._nonce}"
        return octets(f"n,,{self._bare}")

    def next(self, challenge: bytes) -> bytes:
        if self.proven:
            raise BadChallenge("too many challenges")
        if self._signature:
            self._check(challenge)
            return b""
        return self._prove(challenge)

    def _prove(self, challenge: bytes) -> bytes:
        try:
            text = challenge.decode()
            fields = dict(each.split("=", 1) for each in text.split(","))
            nonce, rounds = fields["r"], int(fields["i"])
            salt = base64.b64decode(fields["s"], validate=True)
        except (ValueError, KeyError) as e:
            raise BadChallenge("malformed SCRAM challenge") from e
        if "m" in fields or not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise BadChallenge("SCRAM challenge with a nonce that is not ours")
        if not 0 < rounds <= MAX_ROUNDS or not salt:
            raise BadChallenge(f"SCRAM challenge with {rounds} rounds")
        secret = octets(_prepared(self.credentials.secret))
        salted = pbkdf2_hmac(self.digest, secret, salt, rounds)
        final = f"c=biws,r={nonce}"
        message = octets(f"{self._bare},{text},{final}")
        key = self._hmac(salted, b"Client Key")
        stored = _hash(self.digest, key)
        proof = bytes(
            a ^ b for a, b in zip(key, self._hmac(stored, message), strict=True)
        )
        self._signature = self._hmac(self._hmac(salted, b"Server Key"), message)
        return octets(f"{final},p={base64.b64encode(proof).decode()}")

    def _check(self, challenge: bytes) -> None:
        expected = b"v=" + base64.b64encode(self._signature)
        if not hmac.compare_digest(challenge.split(b",")[0], expected):
            raise BadChallenge("the server cannot prove that it knows the password")
        self.proven = True

    def _hmac(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, self.digest)


class ScramSHA1(Scram):
    digest = "sha1"


def _hash(name: str, octets: bytes) -> bytes:
    import hashlib

    return hashlib.new(name, octets).digest()


_KINDS: dict[str, type[Mechanism]] = {
    "SCRAM-SHA-256": Scram,
    "SCRAM-SHA-1": ScramSHA1,
    "CRAM-MD5": CramMD5,
    "OAUTHBEARER": OAuthBearer,
    "XOAUTH2": XOAuth2,
    "PLAIN": Plain,
    "LOGIN": PlainLogin,
}

#: In the order of preference.
PASSWORDS = ("SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN")
TOKENS = ("OAUTHBEARER", "XOAUTH2")
MECHANISMS = (*PASSWORDS, *TOKENS)

# What each has of the properties that options ask for.
_SHOWS_SECRET = {"PLAIN", "LOGIN", *TOKENS}
_MUTUAL = {"SCRAM-SHA-256", "SCRAM-SHA-1"}
_ACTIVE_SAFE = {"SCRAM-SHA-256", "SCRAM-SHA-1"}
_DICTIONARY_SAFE = set(TOKENS)


def allowed(name: str, options: Collection[str]) -> bool:
    """
    @param options: of smtp_sasl_security_options.
    """
    return not (
        ("noplaintext" in options and name in _SHOWS_SECRET)
        or ("mutual_auth" in options and name not in _MUTUAL)
        or ("noactive" in options and name not in _ACTIVE_SAFE)
        or ("nodictionary" in options and name not in _DICTIONARY_SAFE)
        or "forward_secrecy" in options
    )


def choose(
    offered: Collection[str], credentials: Credentials, options: Collection[str]
) -> tuple[str, Mechanism] | None:
    """
    @param offered: names of mechanisms, in upper case.
    @return: the best that both sides have and the options allow. With a
        password that only mechanisms for tokens can take, it is one.
    """
    order = TOKENS if credentials.token else MECHANISMS
    for name in order:
        if name in offered and allowed(name, options):
            return name, _KINDS[name](credentials)
    return None
