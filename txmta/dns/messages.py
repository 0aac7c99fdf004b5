"""
DNS messages: the question that we send, and what an answer says.

Owns: what is asked for, which records of an answer count, which names in it
    can be used, bounds on all of that.
Knows nothing of: sockets, servers, caches.

The codec is that of C{twisted.names.dns}. It stops without an error at the end
of a message that is too short, and it decodes as many records as the header
claims; so we compare the counts, and bound them before it sees them.

Sources: RFC 1035 section 4; RFC 2181 section 5.2 (TTL of a set); RFC 2308
(negative answers); RFC 6891 (EDNS); RFC 6840 section 5.7 (AD in a query);
RFC 7505 (null MX). Postfix: C{dns/dns_lookup.c}.

Errors: L{BadMessage} for what is no answer that can be used.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.names import dns

from txmta.model import Answer, Mx

#: What we say that we can take over UDP: fits into one packet everywhere.
UDP_SIZE = 1232

#: Records of one answer that are looked at, and of its authority section. No
#: honest answer has more; the rest is ignored.
MAX_ANSWERS = 256
MAX_AUTHORITY = 16

#: Aliases that one message may take us along.
MAX_ALIASES = 10

#: Characters of one TXT record.
MAX_TEXT = 16384

HEADER = struct.Struct("!HHHHHH")

TYPES = {
    "A": dns.A,
    "AAAA": dns.AAAA,
    "MX": dns.MX,
    "PTR": dns.PTR,
    "TXT": dns.TXT,
    "CNAME": dns.CNAME,
    "NS": dns.NS,
    "TLSA": 52,
}

#: Flags and codes of a header (RFC 1035 section 4.1.1).
RESPONSE, TRUNCATED, RECURSION, AUTHENTIC = 0x8000, 0x0200, 0x0080, 0x0020
_OPCODE = 0x7800
NOERROR, FORMERR, NXDOMAIN, NOTIMP = 0, 1, 3, 4

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

# What may be asked for: RFC 2317 has a slash in names of PTR records.
_QUESTION = re.compile(r"[!-\-/-~]{1,63}(?:\.[!-\-/-~]{1,63})*")


class BadMessage(Exception):
    """
    What came is no answer that can be used.
    """


class AliasElsewhere(Exception):
    """
    The answer is an alias whose target must be asked for.

    @ivar target: its name.
    @ivar ttl: seconds for which the alias holds.
    """

    def __init__(self, target: str, ttl: float) -> None:
        super().__init__(target)
        self.target = target
        self.ttl = ttl


@dataclass(frozen=True, slots=True)
class Question:
    """
    @ivar name: without trailing dot, in lower case.
    @ivar kind: a key of L{TYPES}.
    """

    name: str
    kind: str

    def encode(self, query_id: int, edns: bool) -> bytes:
        """
        @param edns: announce L{UDP_SIZE} and ask for DNSSEC's verdict (AD).
        @return: the message to send.
        """
        message = dns.Message(id=query_id, recDes=1, authenticData=1 if edns else 0)
        message.queries = [dns.Query(self.name.encode("ascii"), TYPES[self.kind])]
        if edns:
            # A pseudo record: the class holds the size, the TTL the DO bit.
            option = dns.RRHeader(
                b"", dns.OPT, UDP_SIZE, 0x8000, payload=dns.UnknownRecord(b"")
            )
            message.additional = [option]
        octets: bytes = message.toStr()
        return octets


def askable(name: str) -> bool:
    """
    Whether a name can be asked for at all.
    """
    return len(name) <= 253 and _QUESTION.fullmatch(name) is not None


def is_host(name: str) -> bool:
    """
    Whether a name is one of a host, as valid_hostname() of Postfix has it.
    """
    return len(name) <= 253 and _HOST.fullmatch(name) is not None


def belongs(data: bytes, query: bytes) -> bool:
    """
    Whether a message is the answer to a query: id, question, kind of message.
    A refusal of EDNS may lack the question.
    """
    if len(data) < HEADER.size:
        return False
    query_id, flags, questions, *_ = HEADER.unpack_from(data)
    if query_id != HEADER.unpack_from(query)[0]:
        return False
    if not flags & RESPONSE or flags & _OPCODE:
        return False
    if len(data) == HEADER.size:
        return flags & 15 in (FORMERR, NOTIMP)
    end = _question_end(query)
    asked = query[HEADER.size : end].lower()
    return questions == 1 and data[HEADER.size : end].lower() == asked


def _question_end(query: bytes) -> int:
    return query.index(b"\0", HEADER.size) + 5


def parse(data: bytes, question: Question, trusted: bool) -> Answer:
    """
    @param data: L{belongs} to the question.
    @param trusted: the server's AD bit counts.
    @raise BadMessage: not an answer.
    @raise AliasElsewhere: ask for another name.
    """
    message, authority = _decode(data)
    code = message.rCode
    if code not in (NOERROR, NXDOMAIN):
        raise BadMessage(f"response code {code}")
    records = _Records(message.answers)
    name, ttl = records.follow_aliases(question)
    found = records.of(name, TYPES[question.kind])
    authentic = bool(message.authenticData) and trusted
    if found:
        ttl = min([ttl, *(float(record.ttl) for record in found)])
        values = _READERS[question.kind]([record.payload for record in found])
        return Answer(values, True, authentic, ttl)
    negative = _negative_ttl(authority)
    if code == NOERROR and negative is None:
        if name != question.name and question.kind != "CNAME":
            raise AliasElsewhere(name, ttl)
        if not message.recAv and not message.auth:
            raise BadMessage("a referral")
    ttl = min(ttl, negative or 0.0)
    return Answer((), code == NOERROR, authentic, ttl)


def _decode(data: bytes) -> tuple[dns.Message, list[dns.RRHeader]]:
    query_id, flags, questions, answers, authority, _more = HEADER.unpack_from(data)
    answers = min(answers, MAX_ANSWERS)
    authority = min(authority, MAX_AUTHORITY)
    bounded = HEADER.pack(query_id, flags, min(questions, 1), answers, authority, 0)
    message = dns.Message()
    try:
        message.fromStr(bounded + data[HEADER.size :])
    except (ValueError, EOFError, struct.error, dns.DNSDecodeError) as e:
        raise BadMessage(f"cannot be decoded: {e}") from e
    if len(message.answers) != answers or len(message.authority) != authority:
        raise BadMessage("ends too early")
    return message, list(message.authority)


class _Records:
    """
    The answer section, by owner and type.
    """

    def __init__(self, answers: Sequence[dns.RRHeader]) -> None:
        self._sets: dict[tuple[bytes, int], list[dns.RRHeader]] = {}
        for record in answers:
            if record.cls == dns.IN:
                key = (record.name.name.lower(), record.type)
                self._sets.setdefault(key, []).append(record)

    def of(self, name: str, kind: int) -> list[dns.RRHeader]:
        return self._sets.get((name.encode("ascii"), kind), [])

    def follow_aliases(self, question: Question) -> tuple[str, float]:
        """
        @return: the name that the records belong to, and the least TTL of the
            aliases on the way.
        """
        name, ttl = question.name, _FOREVER
        if question.kind == "CNAME":
            return name, ttl
        for _ in range(MAX_ALIASES):
            aliases = self.of(name, dns.CNAME)
            if not aliases:
                return name, ttl
            payload: Any = aliases[0].payload
            target = _name(payload).lower()
            if not askable(target):
                raise BadMessage("an alias of a malformed name")
            ttl = min(ttl, float(aliases[0].ttl))
            name = target
        raise BadMessage("too many aliases")


_FOREVER = float("inf")


def _negative_ttl(authority: Sequence[dns.RRHeader]) -> float | None:
    for record in authority:
        if record.type == dns.SOA:
            payload: Any = record.payload
            return float(min(record.ttl, payload.minimum))
    return None


def _name(payload: Any) -> str:
    name: bytes = payload.name.name
    return name.decode("latin-1")


def _addresses(found: Sequence[Any]) -> tuple[str, ...]:
    addresses = [str(ipaddress.ip_address(payload.address)) for payload in found]
    return tuple(dict.fromkeys(addresses))


def _exchangers(found: Sequence[Any]) -> tuple[Mx, ...]:
    good = [
        Mx(int(payload.preference), host)
        for payload in found
        if not (host := _name(payload).lower()) or is_host(host)
    ]
    if not good:
        # Not "has no MX": that would send the mail to the address records.
        raise BadMessage("malformed names only")
    return tuple(dict.fromkeys(good))


def _hosts(found: Sequence[Any]) -> tuple[str, ...]:
    names = [_name(payload) for payload in found]
    return tuple(name for name in names if is_host(name))


def _names(found: Sequence[Any]) -> tuple[str, ...]:
    names = [_name(payload).lower() for payload in found]
    return tuple(name for name in names if askable(name))


def _texts(found: Sequence[Any]) -> tuple[str, ...]:
    return tuple(
        b"".join(payload.data)[:MAX_TEXT].decode("utf-8", "surrogateescape")
        for payload in found
    )


def _octets(found: Sequence[Any]) -> tuple[str, ...]:
    """
    TLSA in the form of zone files: usage, selector, matching type, hex.
    """
    rows = [bytes(payload.data) for payload in found]
    return tuple(f"{r[0]} {r[1]} {r[2]} {r[3:].hex()}" for r in rows if len(r) > 3)


_Values = tuple[Mx, ...] | tuple[str, ...]
_READERS: dict[str, Callable[[Sequence[Any]], _Values]] = {
    "A": _addresses,
    "AAAA": _addresses,
    "MX": _exchangers,
    "PTR": _hosts,
    "TXT": _texts,
    "CNAME": _names,
    "NS": _names,
    "TLSA": _octets,
}
