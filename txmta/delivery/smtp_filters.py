"""
Filters of what other hosts say: replies of servers, and DNS.

Owns: what such a filter is asked, and what its answers do.
Knows nothing of: SMTP, how DNS is asked.

Sources: Postfix's smtp_reply_filter, smtp_dns_reply_filter;
C{smtp/smtp_chat.c}, C{dns/dns_rr_filter.c}.

Errors: none leaves here. A reply is then one that means "try again later", an
answer of DNS cannot be had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.delivery.context import AgentContext
from txmta.errors import ResolverUnavailable, TableUnavailable
from txmta.events import Note, Warn
from txmta.interfaces import IResolver, ITable
from txmta.model import Answer, Mx
from txmta.search import search

_INTERNAL = b"450 4.3.0 Internal error"

#: The types of records that lead to a server.
_FILTERED = frozenset(("MX", "A", "AAAA"))


class Filtered(ResolverUnavailable):
    """
    DNS has answers, and a filter leaves none of them.
    """

    status = "4.7.0"

    def __str__(self) -> str:
        return f"Error looking up name={self.name} type={self.kind}: {self.reason}"


@dataclass(frozen=True)
class ReplyFilter:
    """
    @ivar name: of the parameter.
    @ivar tables: Postfix takes one only.
    @ivar note: for the log.
    @ivar warn: as C{note}, for what an administrator should know.
    """

    name: str
    tables: Sequence[ITable]
    note: Callable[[str], None]
    warn: Callable[[str], None]

    def __call__(self, label: str, line: bytes) -> bytes:
        """
        @param label: whose reply it is.
        @param line: one line of it, without its end.
        @return: the line to be understood.
        """
        text = line.decode("utf-8", "surrogateescape")
        try:
            found = search(self.tables, (text,))
        except TableUnavailable as e:
            self.warn(f"{label}: {self.name}: {e}")
            return _INTERNAL
        if isinstance(found, Deferred):
            # The server waits for us, line by line.
            found.addErrback(lambda failure: None)
            self.warn(f"{label}: {self.name}: the table does not answer at once")
            return _INTERNAL
        if found is None:
            return line
        self.note(f'{label}: replacing server reply "{text}" with "{found}"')
        return found.encode("utf-8", "surrogateescape")


@implementer(IResolver)
@dataclass(frozen=True)
class FilteredResolver:
    """
    Asks another resolver, and drops what tables say is to be ignored.

    @ivar name: of the parameter.
    """

    inner: IResolver
    name: str
    tables: Sequence[ITable]
    warn: Callable[[str], None]

    def lookup(self, name: str, kind: str) -> Answer | Deferred[Answer]:
        """
        See L{IResolver.lookup}.
        """
        if kind not in _FILTERED:
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
        value = record
        if isinstance(record, Mx):
            value = f"{record.preference} {record.host}."
        key = f"{name}. {int(answer.ttl)} IN {kind} {value}"
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


def reply_filter(
    context: AgentContext, items: Sequence[str], name: str, program: str
) -> ReplyFilter | None:
    """
    @param items: of the parameter C{name}.
    @param program: for the log.
    @return: L{None} if replies are taken as they are.
    """
    if not items:
        return None
    emit = context.sink.emit
    return ReplyFilter(
        name,
        [context.table(item, name) for item in items],
        lambda text: emit(Note(program, text)),
        lambda text: emit(Warn(program, text)),
    )


def resolver(
    context: AgentContext, items: Sequence[str], name: str, program: str
) -> IResolver:
    """
    @return: who asks DNS, perhaps through a filter.
    """
    if not items:
        return context.resolver
    tables = [context.table(item, name) for item in items]

    def warn(text: str) -> None:
        context.sink.emit(Warn(program, text))

    return FilteredResolver(context.resolver, name, tables, warn)
