"""
A certificate that nobody vouches for, so that a new server encrypts at once.

Owns: what is in it, and the modes of its files.
Knows nothing of: main.cf, who wants one.

Sources: RFC 5280; RFC 6125 (names are in subjectAltName); TLS_README ("Self-signed
server certificate").

Errors: C{FileExistsError}: nothing is ever written over; other C{OSError}.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

#: Days; clients that do not verify do not look.
LIFETIME = 3650


def make_self_signed(
    hostname: str, certificate: Path, key: Path, now: datetime.datetime
) -> None:
    """
    Write a key on P-256 and a certificate of it.

    @param hostname: myhostname.
    @param certificate: a new file, for all to read.
    @param key: a new file, for its owner only.
    @param now: with a time zone.
    @raise FileExistsError: there is such a file.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    made = ec.generate_private_key(ec.SECP256R1())
    signed = _signed(made, hostname or "localhost", now)
    secret = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(key, secret, 0o600)
    try:
        _write(certificate, signed.public_bytes(Encoding.PEM), 0o644)
    except OSError:
        key.unlink()
        raise


def _signed(
    key: ec.EllipticCurvePrivateKey, hostname: str, now: datetime.datetime
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    # A common name has at most 64 characters.
    common = x509.NameAttribute(x509.NameOID.COMMON_NAME, hostname[:64])
    name = x509.Name([common])
    names = x509.SubjectAlternativeName([x509.DNSName(hostname)])
    uses = x509.oid.ExtendedKeyUsageOID
    usage = x509.ExtendedKeyUsage([uses.SERVER_AUTH, uses.CLIENT_AUTH])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks differ.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=LIFETIME))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(False, None), critical=True)
        .add_extension(usage, critical=False)
        .sign(key, hashes.SHA256())
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
