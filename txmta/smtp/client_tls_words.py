"""
What the log says of TLS with a server.

Owns: Postfix's words.
Knows nothing of: how a certificate is judged.

Sources: Postfix C{tls/tls_misc.c} (tls_log_summary), C{tls/tls_verify.c}.

Errors: none.

@note: pyOpenSSL does not say with which digest an RSA key signed, so that
    C{server-digest} is told of other keys only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509
    from OpenSSL import SSL

    from txmta.smtp.client_certificate import Verdict

_EXPIRED = 10

_WORDS = {
    7: "certificate signature failure",
    9: "certificate is not yet valid",
    10: "certificate has expired",
    22: "certificate chain too long",
    24: "invalid CA certificate",
    26: "unsuitable certificate purpose",
    62: "hostname mismatch",
    64: "IP address mismatch",
    66: "EE certificate key too weak",
    67: "CA certificate key too weak",
    68: "CA signature digest algorithm too weak",
}

_SHORT = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "1.2.840.113549.1.9.1": "emailAddress",
    "0.9.2342.19200300.100.1.25": "DC",
}


def one_line(name: x509.Name) -> str:
    """
    @return: as X509_NAME_oneline(3) writes it.
    """
    parts = []
    for each in name:
        oid = each.oid.dotted_string
        text = each.value if isinstance(each.value, str) else each.value.hex()
        shown = "".join(c if " " <= c <= "~" else f"\\x{ord(c):02X}" for c in text)
        parts.append(f"/{_SHORT.get(oid, oid)}={shown}")
    return "".join(parts)[:1024]


def problem(error: int, chain: Sequence[x509.Certificate]) -> str:
    """
    @param error: of OpenSSL.
    @return: why a certificate is not trusted; C{{}} stands for the server.
    """
    start = "certificate verification failed for {}: "
    if error in (18, 19):
        return f"{start}self-signed certificate"
    if error in (2, 20, 21):
        issuer = one_line(chain[-1].issuer).replace("{", "(").replace("}", ")")
        return f"{start}untrusted issuer {issuer}"
    words = _WORDS.get(error, "verification failed")
    if error == _EXPIRED:
        return f"server {start}{words}"
    return f"server {start}num={error}:{words}"


def told(verdict: Verdict) -> Iterator[str]:
    """
    @return: what is logged of a certificate.
    """
    if not verdict.present:
        return
    if verdict.matched and verdict.name:
        yield f"matched peername: {verdict.name}"
    yield (
        f"subject_CN={verdict.subject}, issuer_CN={verdict.issuer}, "
        f"fingerprint={verdict.fingerprint}, "
        f"pkey_fingerprint={verdict.key_fingerprint}"
    )


def summary(connection: SSL.Connection, verdict: Verdict, label: str) -> str:
    """
    @param label: the server, with its port.
    """
    kind = "Anonymous"
    if verdict.matched:
        kind = "Verified"
    elif verdict.present:
        kind = "Trusted" if verdict.trusted else "Untrusted"
    how = "reused" if verdict.resumed else "established"
    bits = connection.get_cipher_bits() or 0
    words = [
        f"{kind} TLS connection {how} to {label}: "
        f"{connection.get_protocol_version_name()} with cipher "
        f"{connection.get_cipher_name()} ({bits}/{bits} bits)",
        *_details(connection, verdict),
    ]
    return " ".join(words)


_GROUPS = {
    "x25519": "X25519",
    "x448": "X448",
    "secp256r1": "ECDHE (P-256)",
    "prime256v1": "ECDHE (P-256)",
    "secp384r1": "ECDHE (P-384)",
    "secp521r1": "ECDHE (P-521)",
}

_CURVES = {
    "secp256r1": ("ECDSA (P-256)", "SHA256"),
    "secp384r1": ("ECDSA (P-384)", "SHA384"),
    "secp521r1": ("ECDSA (P-521)", "SHA512"),
}


def _details(connection: SSL.Connection, verdict: Verdict) -> Iterable[str]:
    if connection.get_protocol_version_name() != "TLSv1.3":
        return
    group = connection.get_group_name() or ""
    if group:
        yield f"key-exchange {_GROUPS.get(group.lower(), group)}"
    if verdict.own is None or verdict.resumed:
        return
    key: Any = verdict.own.public_key()
    curve = getattr(getattr(key, "curve", None), "name", "")
    if curve:
        words, digest = _CURVES.get(curve, ("ECDSA", ""))
        yield f"server-signature {words}"
        if digest:
            yield f"server-digest {digest}"
    elif type(key).__name__.startswith(("RSA", "_RSA")):
        yield f"server-signature RSA-PSS ({key.key_size} bits)"
    else:
        yield f"server-signature {type(key).__name__.removesuffix('PublicKey').upper()}"
