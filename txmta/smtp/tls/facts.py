"""
What a handshake gave, and how the log and headers tell it.

Owns: L{TLSInfo<txmta.model.TLSInfo>} of a connection; Postfix's words.
Knows nothing of: sessions, parameters.

Sources: Postfix C{tls/tls_misc.c} (tls_log_summary, tls_get_signature_params),
C{tls/tls_server.c}, C{smtpd/smtpd.c} (smtpd_tls_received_header).

Errors: none.

@note: pyOpenSSL does not say with which digest an RSA key signed, so that
    C{server-digest} is told of other keys only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from txmta.model import TLSInfo
from txmta.tls_files import fingerprint

if TYPE_CHECKING:
    from cryptography import x509
    from OpenSSL import SSL

#: Groups by the names of OpenSSL, in lower case, as Postfix shows them.
_GROUPS = {
    "x25519": "X25519",
    "x448": "X448",
    "secp256r1": "ECDHE (P-256)",
    "prime256v1": "ECDHE (P-256)",
    "secp384r1": "ECDHE (P-384)",
    "secp521r1": "ECDHE (P-521)",
    **{f"ffdhe{bits}": f"DHE ({bits} bits)" for bits in (2048, 3072, 4096, 6144, 8192)},
}

#: Of TLS 1.3: the digest follows from the curve.
_CURVES = {
    "secp256r1": "ECDSA (P-256) {}-digest SHA256",
    "secp384r1": "ECDSA (P-384) {}-digest SHA384",
    "secp521r1": "ECDSA (P-521) {}-digest SHA512",
}


def facts(
    connection: SSL.Connection, digest: str, trusted: bool, asked: bool
) -> TLSInfo:
    """
    @param digest: smtpd_tls_fingerprint_digest.
    @param trusted: the peer's certificate was verified, if there is one.
    @param asked: it was asked for one.
    """
    from OpenSSL._util import lib

    handle: Any = connection
    resumed = lib.SSL_session_reused(handle._ssl) == 1
    protocol = connection.get_protocol_version_name()
    bits = connection.get_cipher_bits() or 0
    peer = connection.get_peer_certificate(as_cryptography=True)
    info = TLSInfo(
        protocol=protocol,
        cipher=connection.get_cipher_name() or "",
        bits=bits,
        all_bits=bits,
        sni=(connection.get_servername() or b"").decode("ascii", "replace"),
        resumed=resumed,
        details=_details(connection, peer) if protocol == "TLSv1.3" else "",
        asked=asked,
    )
    return info if peer is None else _with_certificate(info, peer, digest, trusted)


def _with_certificate(
    info: TLSInfo, peer: x509.Certificate, digest: str, trusted: bool
) -> TLSInfo:
    from dataclasses import replace

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = peer.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return replace(
        info,
        subject=_common_name(peer.subject),
        issuer=_common_name(peer.issuer) or _organization(peer.issuer),
        fingerprint=fingerprint(peer.public_bytes(Encoding.DER), digest),
        key_fingerprint=fingerprint(key, digest),
        trusted=trusted,
    )


def _common_name(name: x509.Name) -> str:
    return _attribute(name, "2.5.4.3")


def _organization(name: x509.Name) -> str:
    return _attribute(name, "2.5.4.10")


def _attribute(name: x509.Name, oid: str) -> str:
    for each in name:
        if each.oid.dotted_string == oid:
            text = each.value
            # What cannot be told in one line is not told, as in Postfix.
            good = isinstance(text, str) and text.isprintable() and len(text) <= 256
            return str(text) if good else ""
    return ""


def _details(connection: SSL.Connection, peer: x509.Certificate | None) -> str:
    from OpenSSL._util import lib

    found = []
    group = connection.get_group_name() or ""
    if group:
        found.append(f"key-exchange {_GROUPS.get(group.lower(), group)}")
    handle: Any = connection
    if not lib.SSL_session_reused(handle._ssl):
        own = connection.get_certificate(as_cryptography=True)
        for side, certificate in (("server", own), ("client", peer)):
            if certificate is not None and (words := _signature(certificate, side)):
                found.append(f"{side}-signature {words}")
    return " ".join(found)


def _signature(certificate: x509.Certificate, side: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-PSS ({key.key_size} bits)"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, "ECDSA").format(side)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ED25519"
    return "ED448" if isinstance(key, ed448.Ed448PublicKey) else ""


def summary(info: TLSInfo, label: str) -> str:
    """
    @param label: the client, as log lines show it.
    @return: C{Anonymous TLS connection established from ...}
    """
    kind = "Anonymous"
    if info.fingerprint:
        kind = "Trusted" if info.trusted else "Untrusted"
    how = "reused" if info.resumed else "established"
    to = f" to {info.sni}" if info.sni else ""
    return f"{kind} TLS connection {how} from {label}{to}: {_cipher(info)}" + (
        f" {info.details}" if info.details else ""
    )


def certificate_line(info: TLSInfo, label: str) -> str:
    """
    @return: what is logged of a client's certificate.
    """
    return (
        f"{label}: subject_CN={info.subject}, issuer={info.issuer}, "
        f"fingerprint={info.fingerprint}, pkey_fingerprint={info.key_fingerprint}"
    )


def _cipher(info: TLSInfo) -> str:
    return (
        f"{info.protocol} with cipher {info.cipher} ({info.bits}/{info.all_bits} bits)"
    )
