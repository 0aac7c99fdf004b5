"""
C{debug:type:name}: another table, with a line in the log for each question.

Owns: the lines.
Knows nothing of: the table.

Sources: Postfix's DATABASE_README; C{util/dict_debug.c}.

Errors: those of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from zope.interface import implementer

from txmta.errors import TableUnavailable
from txmta.maps.context import TableContext
from txmta.tables import ITable, ITableType

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure


@implementer(ITable)
class DebugTable:
    def __init__(self, name: str, table: ITable, note: Callable[[str], None]) -> None:
        """
        @param name: of the table, C{type:name}.
        @param note: puts a line into the log.
        """
        self._name = name
        self._table = table
        self._note = note

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        try:
            answer = self._table.lookup(key)
        except TableUnavailable:
            self._tell(key, "error")
            raise
        if answer is None or isinstance(answer, str):
            return self._answered(answer, key)
        return answer.addCallbacks(
            self._answered, self._failed, callbackArgs=(key,), errbackArgs=(key,)
        )

    def _answered(self, answer: str | None, key: str) -> str | None:
        self._tell(key, "not_found" if answer is None else answer)
        return answer

    def _failed(self, failure: Failure, key: str) -> Failure:
        self._tell(key, "error")
        return failure

    def _tell(self, key: str, answer: str) -> None:
        self._note(f'{self._name} lookup: "{key}" = "{answer}"')


@implementer(ITableType)
class DebugType:
    prefix = "debug"
    #: In a jail the table inside is looked at by itself.
    self_contained = True

    def open(self, name: str, context: object) -> DebugTable:
        context = cast(TableContext, context)
        return DebugTable(name, context.open_table(name), context.ways.note)
