"""
Filters of what other hosts say: replies of servers, and DNS.

Owns: what a filter of replies is asked, and what its answers do.
Knows nothing of: SMTP, how DNS is asked and filtered (L{txmta.dns_filter}).

Sources: Postfix's smtp_reply_filter; C{smtp/smtp_chat.c}.

Errors: none leaves here. A reply is then one that means "try again later", an
answer of DNS cannot be had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from txmta.delivery.context import AgentContext
from txmta.dns_filter import Filtered as Filtered
from txmta.dns_filter import FilteredResolver as FilteredResolver
from txmta.errors import TableUnavailable
from txmta.events import Note, Warn
from txmta.interfaces import IResolver, ITable
from txmta.search import search

_INTERNAL = b"450 4.3.0 Internal error"


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
