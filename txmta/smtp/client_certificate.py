"""
What a server's certificate is worth under a policy.

Owns: trust by authorities, anchors, TLSA records or fingerprints; names.
Knows nothing of: connections, sockets, parameters.

Sources: RFC 7671 sections 5.1, 5.2; RFC 6125; Postfix C{tls/tls_verify.c},
C{tls/tls_dane.c}.

Errors: none.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from txmta.smtp.client_tls_level import Level
from txmta.smtp.client_tls_names import matching
from txmta.smtp.client_tls_policy import Policy
from txmta.smtp.client_tls_words import problem
from txmta.tls_files import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509

#: Certificates of a server's chain that are looked at.
MAX_CHAIN = 20

_SELF_SIGNED, _MISMATCH, _IP_MISMATCH = 18, 62, 64

#: Errors of OpenSSL that come before the one of a name.
_BEFORE_NAMES = frozenset((1, 2, 18, 19, 20, 21, 22, 24, 25, 26, 27, 66, 67, 68, 79))


class Trusted(Protocol):
    """
    See L{txmta.smtp.client_tls.Material}.
    """

    @property
    def anchors(self) -> Mapping[str, Sequence[x509.Certificate]]: ...

    @property
    def digest(self) -> str: ...

    @property
    def multiple(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Presented:
    """
    @ivar chain: certificates of the server, its own first.
    @ivar errors: of the library, when it verified them with the authorities.
    """

    chain: tuple[x509.Certificate, ...]
    errors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    @ivar present: there is a certificate.
    @ivar trusted: somebody whom we trust vouches for it.
    @ivar matched: and it is the one of this server, if that was asked.
    @ivar problem: a line for the log, C{{}} for the server; or C{""}.
    @ivar name: in the certificate, that was looked for.
    @ivar own: the server's certificate.
    """

    present: bool = False
    trusted: bool = False
    matched: bool = False
    problem: str = ""
    name: str = ""
    subject: str = ""
    issuer: str = ""
    fingerprint: str = ""
    key_fingerprint: str = ""
    own: x509.Certificate | None = None
    resumed: bool = False


def judge(presented: Presented, policy: Policy, material: Trusted) -> Verdict:
    """
    @return: what the certificate is worth.
    """
    chain = presented.chain[:MAX_CHAIN]
    if not chain:
        return Verdict()
    own = chain[0]
    certificate, key = _octets(own)
    prints = [fingerprint(each, material.digest) for each in (certificate, key)]
    name, wrong = _identity(own, policy, material.multiple)
    error = _error(presented.errors, policy, wrong)
    level = policy.level
    if policy.tlsa:
        error = _dane_error(chain, policy, wrong)
    elif level is Level.FINGERPRINT:
        known = set(prints) & set(policy.fingerprints)
        error = 0 if known else error or _SELF_SIGNED
    elif level.by_authority and policy.anchors:
        anchors = [a for f in policy.anchors for a in material.anchors.get(f, ())]
        error = _anchored(chain, anchors) or wrong
    return Verdict(
        present=True,
        trusted=not error,
        matched=not error and level.matched,
        problem=problem(error, chain) if error else "",
        name=name,
        subject=_attribute(own.subject, "2.5.4.3"),
        issuer=_attribute(own.issuer, "2.5.4.3") or _attribute(own.issuer, "2.5.4.10"),
        fingerprint=prints[0],
        key_fingerprint=prints[1],
        own=own,
    )


def _identity(own: x509.Certificate, policy: Policy, multiple: bool) -> tuple[str, int]:
    """
    As OpenSSL: an address is looked for among addresses, and of what is looked
    for both kinds must be there.

    @return: the name that matches, and an error of OpenSSL.
    """
    wanted = [each for each in policy.match if not _address(each)]
    addresses = [found for each in policy.match if (found := _address(each))]
    name = matching(names(own), wanted, multiple) or ""
    if not name and (wanted or not addresses):
        return "", _MISMATCH
    if addresses and not set(addresses) & set(_addresses(own)):
        return "", _IP_MISMATCH
    return name, 0


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _addresses(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value.get_values_for_type(x509.IPAddress)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(each) for each in found]


def _error(errors: Sequence[int], policy: Policy, wrong: int) -> int:
    for each in errors:
        if each in _BEFORE_NAMES:
            return each
    if policy.level.by_authority and wrong:
        return wrong
    return errors[0] if errors else 0


def _dane_error(chain: Sequence[x509.Certificate], policy: Policy, wrong: int) -> int:
    """
    The server's own key is enough (RFC 7672 section 3.1.1: neither its names nor
    its dates count). An authority of the records vouches for names, too.
    """
    octets = [_octets(each) for each in chain]
    for record in policy.tlsa:
        if record.usage == 3 and record.matches(*octets[0]):
            return 0
    anchors = []
    for record in policy.tlsa:
        if record.usage != 2:
            continue
        anchors += [
            each
            for each, found in zip(chain, octets, strict=True)
            if record.matches(*found)
        ]
        if not record.matching and not record.selector:
            anchors += _parsed(record.data)
    return _anchored(chain, anchors) or wrong


def _parsed(data: bytes) -> list[x509.Certificate]:
    from cryptography import x509

    try:
        return [x509.load_der_x509_certificate(data)]
    except ValueError:
        return []


def _anchored(
    chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]
) -> int:
    """
    @return: an error of OpenSSL, 0 if one of the anchors vouches for the first
        of the chain.
    """
    from OpenSSL import crypto

    if not anchors:
        return 20
    store = crypto.X509Store()
    for each in anchors:
        store.add_cert(crypto.X509.from_cryptography(each))
    # An anchor need not have signed itself (X509_V_FLAG_PARTIAL_CHAIN).
    store.set_flags(0x80000)
    first, *above = (crypto.X509.from_cryptography(each) for each in chain)
    try:
        crypto.X509StoreContext(store, first, above).verify_certificate()
    except crypto.X509StoreContextError as e:
        number = e.errors[0] if e.errors else 1
        return int(number) or 1
    return 0 if _for_servers(chain[0]) else 26


def _for_servers(certificate: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        return True
    oids = {each.dotted_string for each in found.value}
    return bool(oids & {"1.3.6.1.5.5.7.3.1", "2.5.29.37.0"})


def names(certificate: x509.Certificate) -> list[str]:
    """
    @return: names of hosts in it; the common name only where it has no others.
    """
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        found = []
    except ValueError:
        return []
    if found:
        return [each for each in found if each.isascii() and "\0" not in each]
    common = [
        each.value
        for each in certificate.subject
        if each.oid.dotted_string == "2.5.4.3" and isinstance(each.value, str)
    ]
    return [each for each in common if each.isascii() and "\0" not in each]


def _octets(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
    except Exception:  # a kind of key that the library does not know
        key = b""
    return certificate.public_bytes(Encoding.DER), key


def _attribute(name: x509.Name, oid: str) -> str:
    for each in name:
        if each.oid.dotted_string == oid:
            text = each.value
            good = isinstance(text, str) and text.isprintable() and len(text) <= 256
            return str(text) if good else ""
    return ""
