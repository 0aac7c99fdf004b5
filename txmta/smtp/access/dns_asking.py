"""
How restrictions ask the DNS.

Owns: the five things that an answer can be; what several answers are together.
Knows nothing of: what follows from them.

Sources: Postfix C{dns/dns_lookup.c} (dns_lookup_l).

Errors: none; trouble is an answer.
"""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from twisted.internet.defer import Deferred

from txmta.address import valid_domain
from txmta.dns_filter import Filtered
from txmta.errors import ResolverUnavailable
from txmta.model import Mx
from txmta.smtp.access.check import Answer, Check
from txmta.smtp.access.kinds import T


class Outcome(Enum):
    """
    What an answer is.
    """

    FOUND = "there are records"
    NONE = "there are none"
    AGAIN = "nobody can say"
    NULL_MX = "the domain takes no mail"
    POLICY = "a filter has dropped all records"


@dataclass(frozen=True, slots=True)
class Found:
    """
    @ivar why: there is nothing, in the words of a resolver.
    """

    outcome: Outcome
    records: Sequence[Any] = ()
    why: str = ""

    def error(self, name: str, kind: str) -> str:
        """
        @return: that there is nothing, in full.
        """
        if self.outcome is Outcome.POLICY:
            return f"Error looking up name={name} type={kind}: {self.why}"
        return (
            "Host or domain name not found. Name service error for "
            f"name={name} type={kind}: {self.why}"
        )


#: What counts where types differ.
_RANK = {Outcome.NONE: 0, Outcome.POLICY: 1, Outcome.AGAIN: 2}

_NOWHERE = Found(Outcome.NONE, (), "Host not found")
_EMPTY = Found(Outcome.NONE, (), "Host found but no data record of requested type")
_AGAIN = Found(Outcome.AGAIN, (), "Host not found, try again")
_POLICY = Found(Outcome.POLICY, (), "DNS reply filter drops all results")
_NULL_MX = Found(Outcome.NULL_MX, (), _EMPTY.why)


async def ask(check: Check, name: str, kind: str) -> Found:
    """
    @param name: as somebody wrote it.
    """
    name = ascii_domain(name)
    if not valid_domain(name):
        return _NOWHERE
    resolver = check.world.resolver
    if resolver is None:
        return _AGAIN
    try:
        found = resolver.lookup(name, kind)
        answer = await found if isinstance(found, Deferred) else found
    except Filtered:
        return _POLICY
    except ResolverUnavailable:
        return _AGAIN
    records = answer.records
    if kind == "MX":
        records = tuple(mx for mx in records if isinstance(mx, Mx) and mx.host)
        if answer.records and not records:
            return _NULL_MX
    if records:
        return Found(Outcome.FOUND, records)
    return _EMPTY if answer.exists else _NOWHERE


async def ask_any(check: Check, name: str, kinds: Sequence[str]) -> Found:
    """
    @param kinds: are asked for until there is one; after a null MX, or one that is
        filtered, nobody is asked.
    """
    worst = _NOWHERE
    for kind in kinds:
        found = await ask(check, name, kind)
        outcome = found.outcome
        if outcome in (Outcome.FOUND, Outcome.NULL_MX):
            return found
        if kind == "MX" and outcome is Outcome.POLICY:
            return found
        if _RANK[outcome] >= _RANK[worst.outcome]:
            worst = found
    return worst


async def addresses(check: Check, name: str) -> Found:
    """
    @return: all addresses of a host, of inet_protocols.
    """
    all_records: list[str] = []
    worst = _NOWHERE
    for kind in check.world.families:
        found = await ask(check, name, kind)
        all_records += found.records
        if found.outcome is Outcome.AGAIN or worst.outcome is Outcome.NONE:
            worst = found
    return Found(Outcome.FOUND, all_records) if all_records else worst


def ascii_domain(domain: str) -> str:
    """
    @return: with A-labels; what has none is as it was.
    """
    if domain.isascii():
        return domain
    import idna  # few domains need it

    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return domain


def record_types(protocols: Collection[str]) -> Sequence[str]:
    """
    @param protocols: as inet_protocols has them.
    @return: the types of records that have their addresses.
    """
    if "all" in protocols:
        return ("A", "AAAA")
    pairs = (("ipv4", "A"), ("ipv6", "AAAA"))
    return tuple(kind for protocol, kind in pairs if protocol in protocols)


async def soon(value: T | Deferred[T]) -> T:
    """
    Wait for what may be known already.
    """
    return await value if isinstance(value, Deferred) else value


def begin(answer: Coroutine[Deferred[Any], Any, Answer]) -> Answer | Deferred[Answer]:
    """
    @return: the answer, if nothing had to be waited for.
    """
    known: list[Answer] = []

    def keep(answer: Answer) -> Answer:
        known.append(answer)
        return answer

    deferred: Deferred[Answer] = Deferred.fromCoroutine(answer)
    deferred.addCallback(keep)
    return known[0] if known else deferred
