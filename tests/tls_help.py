"""
Keys and certificates for tests.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

#: A moment at which what is made here is valid.
NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Authority:
    """
    Signs certificates; unless it has another above it, its own too.
    """

    def __init__(self, name: str = "Test CA") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        self.certificate = self.sign(self.name, self.key, is_authority=True)

    def sign(
        self,
        name: x509.Name,
        key: Key,
        is_authority: bool = False,
        ends: datetime.datetime | None = None,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=1000))
            .not_valid_after(ends or NOW + datetime.timedelta(days=36500))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        if not is_authority:
            host = str(name.rdns[0].rfc4514_string().partition("=")[2])
            names = x509.SubjectAlternativeName([x509.DNSName(host)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def make(
        self, host: str, ends: datetime.datetime | None = None
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        return key, self.sign(_name(host), key, ends=ends)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def pem(*objects: x509.Certificate | Key, secret: bytes = b"") -> bytes:
    """
    @param secret: passphrase of keys.
    """
    found = b""
    for each in objects:
        if isinstance(each, x509.Certificate):
            found += each.public_bytes(Encoding.PEM)
        else:
            how = BestAvailableEncryption(secret) if secret else NoEncryption()
            found += each.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
    return found


def write(path: Path, *objects: x509.Certificate | Key) -> str:
    path.write_bytes(pem(*objects))
    path.chmod(0o600)
    return str(path)
