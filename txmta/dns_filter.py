"""
A resolver that drops what tables say is to be ignored (smtpd_dns_reply_filter and
its kin).

Owns: what such a filter is asked, and what its answers do.
Knows nothing of: how DNS is asked, whose answers are filtered.

Sources: Postfix's smtp_dns_reply_filter; C{dns/dns_rr_filter.c},
C{dns/dns_strrecord.c}.

Errors: L{ResolverUnavailable<txmta.errors.ResolverUnavailable>}; L{Filtered} is one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.errors import ResolverUnavailable, TableUnavailable
from txmta.interfaces import IResolver, ITable
from txmta.model import Answer, Mx
from txmta.search import search

#: The types of records that lead to a server.
SERVERS = frozenset(("MX", "A", "AAAA"))

#: All that restrictions ask for.
ALL = SERVERS | {"TXT", "NS", "PTR"}


class Filtered(ResolverUnavailable):
    """
    DNS has answers, and a filter leaves none of them.
    """

    status = "4.7.0"

    def __str__(self) -> str:
        return f"Error looking up name={self.name} type={self.kind}: {self.reason}"


@implementer(IResolver)
@dataclass(frozen=True)
class FilteredResolver:
    """
    Asks another resolver, and drops what tables say is to be ignored.

    @ivar name: of the parameter.
    @ivar kinds: types of records that are filtered.
    """

    inner: IResolver
    name: str
    tables: Sequence[ITable]
    warn: Callable[[str], None]
    kinds: Collection[str] = SERVERS

    def lookup(self, name: str, kind: str) -> Answer | Deferred[Answer]:
        """
        See L{IResolver.lookup}.
        """
        if kind not in self.kinds:
            return self.inner.lookup(name, kind)
        return Deferred.fromCoroutine(self._lookup(name, kind))

    async def _lookup(self, name: str, kind: str) -> Answer:
        found = self.inner.lookup(name, kind)
        answer = await found if isinstance(found, Deferred) else found
        if not answer.records:
            return answer
        kept = [
            record
            for record in answer.records
            if not await self._ignored(name, kind, answer, record)
        ]
        if not kept:
            raise Filtered(name, kind, "DNS reply filter drops all results")
        records: Any = tuple(kept)
        return replace(answer, records=records)

    async def _ignored(
        self, name: str, kind: str, answer: Answer, record: Mx | str
    ) -> bool:
        key = f"{name}. {int(answer.ttl)} IN {kind} {_shown(kind, record)}"
        try:
            said = search(self.tables, (key,))
            said = await said if isinstance(said, Deferred) else said
        except TableUnavailable as e:
            self.warn(f"{self.name}: {e}")
            raise ResolverUnavailable(name, kind, "DNS reply filter error") from e
        if said is None:
            return False
        word = said.split()[0].upper() if said.split() else ""
        if word != "IGNORE":
            self.warn(f'{self.name}: unknown DNS filter action: "{said}"')
            why = "Invalid DNS reply filter syntax"
            raise ResolverUnavailable(name, kind, why)
        return True


def _shown(kind: str, record: Mx | str) -> str:
    if isinstance(record, Mx):
        return f"{record.preference} {record.host}."
    return f"{record}." if kind in ("NS", "PTR") else record
