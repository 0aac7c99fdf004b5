"""
TLSA records: which count, and what a certificate must be to match one.

Owns: the form of records, which digests and usages are good for SMTP.
Knows nothing of: DNS, how certificates are parsed or signatures verified.

Sources: RFC 6698, RFC 7671 (sections 4.1, 9: digest agility), RFC 7672 section
3.1 (usages 2 and 3); Postfix C{tls/tls_dane.c}.

Errors: none; a record that cannot be used is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Matching types that are digests, by the names of tls_dane_digests.
DIGESTS = {"sha256": 1, "sha512": 2}

_LENGTHS = {1: 32, 2: 64}

#: Records of one server that are looked at; as Postfix.
MAX_RECORDS = 100


@dataclass(frozen=True, slots=True)
class Tlsa:
    """
    @ivar usage: 2 an authority, 3 the server's own.
    @ivar selector: 0 the certificate, 1 its public key.
    @ivar matching: 0 as it is, 1 SHA-256, 2 SHA-512.
    """

    usage: int
    selector: int
    matching: int
    data: bytes

    def matches(self, certificate: bytes, key: bytes) -> bool:
        """
        @param certificate: DER; C{key}: of its SubjectPublicKeyInfo.
        """
        octets = key if self.selector else certificate
        if self.matching == 1:
            octets = hashlib.sha256(octets).digest()
        elif self.matching == 2:
            octets = hashlib.sha512(octets).digest()
        return octets == self.data


def usable(rows: Iterable[str], digests: Sequence[str]) -> tuple[Tlsa, ...]:
    """
    @param rows: C{"3 1 1 hex"}.
    @param digests: tls_dane_digests, best first; those after C{name=number} have
        that matching type.
    @return: those that count, in a fixed order; of several digests of the same
        thing the best alone (RFC 7671 section 9).
    """
    order = [DIGESTS[name] for name in digests if name in DIGESTS]
    found: set[Tlsa] = set()
    for row in list(rows)[:MAX_RECORDS]:
        record = _read(row)
        if (
            record is None
            or record.usage not in (2, 3)
            or record.selector not in (0, 1)
        ):
            continue
        if record.matching and record.matching not in order:
            continue
        if len(record.data) == _LENGTHS.get(record.matching, len(record.data)):
            found.add(record)
    return tuple(
        sorted(
            (each for each in found if _best(each, found, order)),
            key=lambda r: (-r.usage, r.selector, r.matching, r.data),
        )
    )


def _best(record: Tlsa, found: Iterable[Tlsa], order: Sequence[int]) -> bool:
    if not record.matching:
        return True
    kind = (record.usage, record.selector)
    rank = order.index(record.matching)
    return all(
        order.index(other.matching) >= rank
        for other in found
        if other.matching and (other.usage, other.selector) == kind
    )


def _read(row: str) -> Tlsa | None:
    fields = row.split()
    try:
        usage, selector, matching = (int(each) for each in fields[:3])
        data = bytes.fromhex("".join(fields[3:]))
    except ValueError:
        return None
    return Tlsa(usage, selector, matching, data) if data else None
