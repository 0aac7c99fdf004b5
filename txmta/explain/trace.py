"""
What was tried on the way to an answer.

Owns: the rows of a trace, watching tables and DNS.
Knows nothing of: what is asked, how it is shown.

Errors: none of its own; what tables raise goes through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.interfaces import IResolver, ITable
from txmta.model import Reply
from txmta.smtp.access.check import Answer, Into, Verdict

#: Rows of one trace; lists that ask themselves for ever end before.
MAX_ROWS = 10000


@dataclass(frozen=True)
class Row:
    """
    @ivar kind: C{"list"}, C{"restriction"}, C{"table"} or C{"dns"}.
    @ivar what: name of the list, the restriction with its argument, the table,
        the type of record.
    @ivar key: what was asked; C{""} for lists and restrictions.
    @ivar answer: C{""} for lists.
    """

    kind: str
    what: str
    key: str = ""
    answer: str = ""


def said(answer: Answer) -> str:
    """
    @return: what a restriction answers, in words.
    """
    if isinstance(answer, Reply):
        status = f"{answer.status} " if answer.status else ""
        return f"{answer.code} {status}{answer.text}"
    if isinstance(answer, Into):
        return f"asks {answer.name}"
    return "permit" if answer is Verdict.PERMIT else "no opinion"


@dataclass
class Trace:
    """
    A tracer of restrictions (L{txmta.smtp.access.check.Tracer}), and more.
    """

    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        if len(self.rows) < MAX_ROWS:
            self.rows.append(row)

    def enter(self, name: str) -> None:
        if name:
            self.add(Row("list", name))

    def tried(self, name: str, argument: str, answer: Answer) -> None:
        what = f"{name} {argument}" if argument else name
        self.add(Row("restriction", what, answer=said(answer)))

    def asked(self, table: str, key: str, value: str | None) -> None:
        """
        Nothing: L{Watched} has seen it.
        """

    def watch(self, spec: str, table: ITable) -> ITable:
        """
        @return: a table that tells us what it is asked.
        """
        return Watched(spec, table, self.add)


@implementer(ITable)
class Watched:
    """
    A table that tells what it is asked, and is what it is otherwise.
    """

    def __init__(self, spec: str, table: ITable, add: Callable[[Row], None]) -> None:
        self._spec = spec
        self._table = table
        self._add = add

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        try:
            value = self._table.lookup(key)
        except Exception as e:
            self._add(Row("table", self._spec, key, f"cannot say: {e}"))
            raise
        if isinstance(value, Deferred):
            return value.addCallbacks(
                lambda found: self._seen(key, found),
                lambda failure: self._failed(key, failure),
            )
        return self._seen(key, value)

    def _seen(self, key: str, value: str | None) -> str | None:
        answer = "not found" if value is None else f"found: {value}"
        self._add(Row("table", self._spec, key, answer))
        return value

    def _failed(self, key: str, failure: Failure) -> Failure:
        words = f"cannot say: {failure.getErrorMessage()}"
        self._add(Row("table", self._spec, key, words))
        return failure


@implementer(IResolver)
class WatchedResolver:
    """
    A resolver that tells what it is asked.
    """

    def __init__(self, resolver: IResolver, add: Callable[[Row], None]) -> None:
        self._resolver = resolver
        self._add = add

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resolver, name)

    def lookup(self, name: str, kind: str) -> Any:
        try:
            answer = self._resolver.lookup(name, kind)
        except Exception as e:
            self._add(Row("dns", kind, name, f"cannot say: {e}"))
            raise
        if isinstance(answer, Deferred):
            return answer.addCallbacks(
                lambda found: self._seen(name, kind, found),
                lambda failure: self._failed(name, kind, failure),
            )
        return self._seen(name, kind, answer)

    def _seen(self, name: str, kind: str, answer: Any) -> Any:
        records = ", ".join(map(str, answer.records)) or "nothing"
        self._add(Row("dns", kind, name, records[:500]))
        return answer

    def _failed(self, name: str, kind: str, failure: Failure) -> Failure:
        self._add(Row("dns", kind, name, f"cannot say: {failure.getErrorMessage()}"))
        return failure
