"""
Private keys and certificates in files.

Owns: reading PEM files, which certificates belong to which key; what cannot be
    used is refused with the file's name and what to do.
Knows nothing of: connections, parameters, a TLS library.

Sources: postconf(5) (smtpd_tls_chain_files, smtpd_tls_cert_file), RFC 7468.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import pwd
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from txmta.errors import ConfigError

if TYPE_CHECKING:
    from cryptography import x509

#: Gives what is in a file, or L{ConfigError}.
Read = Callable[[str], bytes]

#: Octets of a file; the bundle of a system's authorities has 0.3 million.
MAX_FILE = 4 << 20

#: Certificates in one file, or files in one directory.
MAX_CERTIFICATES = 2000

_PEM = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]{1,40})-----[^\S\n]*\n(.*?)-----END \1-----", re.DOTALL
)
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Chain:
    """
    @ivar key: private, of C{certificates[0]}; as C{cryptography} has it.
    @ivar certificates: the server's own, then those above it.
    @ivar where: the file, for messages.
    """

    key: Any
    certificates: tuple[x509.Certificate, ...]
    where: str


def read(path: str) -> bytes:
    """
    @raise ConfigError: there is no such file, or we may not read it.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as e:
        raise ConfigError([f"{path}: {_why(e)}"]) from e
    if len(data) > MAX_FILE:
        raise ConfigError([f"{path}: has more than {MAX_FILE} octets: is it the file?"])
    return data


def by(reader: Callable[[str], tuple[object, str]]) -> Read:
    """
    @param reader: of L{txmta.maps.files}: it keeps what only root may read, or gives
        what was kept.
    """

    def read_with(path: str) -> bytes:
        try:
            return reader(path)[1].encode("utf-8", "surrogateescape")
        except OSError as e:
            raise ConfigError([f"{path}: {_why(e)}"]) from e

    return read_with


def _why(error: OSError) -> str:
    if isinstance(error, PermissionError):
        uid = os.geteuid()
        try:
            who = pwd.getpwuid(uid).pw_name
        except KeyError:
            who = str(uid)
        return (
            f"cannot be read by {who}: start the server as root, who reads it before "
            f"it gives up its rights, or let {who} read it (and nobody else)"
        )
    if isinstance(error, FileNotFoundError):
        return "there is no such file: make it, or name another one"
    return f"cannot be read: {error.strerror or error}"


def pair(certificate_file: str, key_file: str, now: float, read: Read = read) -> Chain:
    """
    @param certificate_file: the certificate, then those above it.
    @param key_file: may be the same.
    @param now: wall time.
    @raise ConfigError: they cannot be used.
    """
    found = tuple(certificates(read(certificate_file), certificate_file))
    if not found:
        raise ConfigError([f"{certificate_file}: there is no certificate in it"])
    keys = list(_keys(read(key_file), key_file))
    if not keys:
        raise ConfigError([f"{key_file}: there is no private key in it"])
    return _checked(Chain(keys[0], found, certificate_file), key_file, now)


def chains(paths: Sequence[str], now: float, read: Read = read) -> list[Chain]:
    """
    @param paths: of files that hold keys, each followed by its certificates;
        a key at the end of one goes with those at the start of the next.
    @raise ConfigError: they cannot be used.
    """
    return chains_of(((path, read(path)) for path in paths), now)


def chains_of(texts: Iterator[tuple[str, bytes]], now: float) -> list[Chain]:
    """
    The same, of what is in files.
    """
    found: list[Chain] = []
    key: Any = None
    where = ""
    above: list[x509.Certificate] = []

    def end() -> None:
        if key is not None:
            if not above:
                raise ConfigError(
                    [f"{where}: no certificate follows the key: a key comes first"]
                )
            found.append(_checked(Chain(key, tuple(above), where), where, now))

    for path, data in texts:
        for label, block in _blocks(data):
            if label == b"CERTIFICATE":
                if key is None:
                    words = "a certificate comes before its key: put the key first"
                    raise ConfigError([f"{path}: {words}"])
                above.append(_certificate(block, path))
            elif label.endswith(b"PRIVATE KEY"):
                end()
                key, where, above = _key(label, block, path), path, []
        if not where:
            raise ConfigError([f"{path}: there is no private key in it"])
    end()
    return found


def authorities(path: str, read: Read = read) -> list[x509.Certificate]:
    """
    @param path: a file, or a directory as of c_rehash(1): its files are read now,
        since they may be out of reach later.
    @raise ConfigError: it cannot be read.
    """
    if not os.path.isdir(path):
        found = list(certificates(read(path), path))
        if not found:
            raise ConfigError([f"{path}: there is no certificate in it"])
        return found
    try:
        names = sorted(name for name in os.listdir(path) if _HASHED.fullmatch(name))
    except OSError as e:
        raise ConfigError([f"{path}: {_why(e)}"]) from e
    found = []
    for name in names[:MAX_CERTIFICATES]:
        inside = os.path.join(path, name)
        found += certificates(read(inside), inside)
    return found


def certificates(data: bytes, path: str) -> Iterator[x509.Certificate]:
    """
    @raise ConfigError: one is damaged.
    """
    for n, (label, block) in enumerate(_blocks(data)):
        if n >= MAX_CERTIFICATES:
            raise ConfigError([f"{path}: has more than {MAX_CERTIFICATES} objects"])
        if label in (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"):
            yield _certificate(block, path)


def fingerprint(data: bytes, digest: str) -> str:
    """
    @param data: DER of a certificate, or of a public key.
    @param digest: C{"sha256"}.
    @return: C{"AB:CD:..."}.
    @raise ValueError: there is no such digest.
    """
    made = hashlib.new(digest, data, usedforsecurity=False)
    return made.digest().hex(":").upper()


def _blocks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for match in _PEM.finditer(data.replace(b"\r\n", b"\n")):
        yield match[1], match[0] + b"\n"


def _certificate(block: bytes, path: str) -> x509.Certificate:
    from cryptography import x509

    block = block.replace(b"X509 CERT", b"CERT").replace(b"TRUSTED CERT", b"CERT")
    try:
        return x509.load_pem_x509_certificate(block)
    except ValueError as e:
        raise ConfigError(
            [f"{path}: a certificate in it is damaged: {_first(e)}"]
        ) from e


def _keys(data: bytes, path: str) -> Iterator[Any]:
    for label, block in _blocks(data):
        if label.endswith(b"PRIVATE KEY"):
            yield _key(label, block, path)


def _key(label: bytes, block: bytes, path: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if label.startswith(b"ENCRYPTED") or b"ENCRYPTED" in block[:200]:
        raise ConfigError(
            [
                f"{path}: the key has a passphrase, which nobody can type at a start: "
                f"take it away (openssl pkey -in {path} -out NEW, mode 0600)"
            ]
        )
    try:
        return load_pem_private_key(block, None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as e:
        raise ConfigError([f"{path}: the key in it is damaged: {_first(e)}"]) from e


def _first(error: Exception) -> str:
    return str(error).partition("\n")[0].partition(". ")[0][:200]


def _checked(chain: Chain, key_file: str, now: float) -> Chain:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    own = chain.certificates[0]
    if chain.key.public_key().public_bytes(*form) != own.public_key().public_bytes(
        *form
    ):
        raise ConfigError(
            [
                f"{chain.where}: the certificate is not of the key in {key_file}: name "
                "the file with its key, and put the server's own certificate first"
            ]
        )
    ends = own.not_valid_after_utc
    if ends < datetime.datetime.fromtimestamp(now, datetime.UTC):
        raise ConfigError(
            [f"{chain.where}: the certificate expired on {ends:%Y-%m-%d}: renew it"]
        )
    return chain
