"""
C{pipemap:{type:name, type:name ...}}: the value of one table is the key of the
next.

Owns: the order.
Knows nothing of: the tables.

Sources: Postfix's DATABASE_README; C{util/dict_pipe.c}.

Errors: those of the tables that were asked: what is not in the first is "not
found", whatever is wrong with the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.interfaces import ITable, ITableType
from txmta.maps.context import TableContext
from txmta.maps.unionmap import open_all


@implementer(ITable)
class PipeTable:
    def __init__(self, tables: Sequence[ITable]) -> None:
        self._tables = tables

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        return _ask(key, iter(self._tables))


def _ask(
    key: str | None, tables: Iterator[ITable]
) -> str | Deferred[str | None] | None:
    for table in tables:
        if key is None:
            break
        answer = table.lookup(key)
        if isinstance(answer, Deferred):
            return Deferred.fromCoroutine(_later(answer, tables))
        key = answer
    return key


async def _later(answer: Deferred[str | None], tables: Iterator[ITable]) -> str | None:
    rest = _ask(await answer, tables)
    return await rest if isinstance(rest, Deferred) else rest


@implementer(IPlugin, ITableType)
class PipeType:
    prefix = "pipemap"
    #: In a jail each table inside is looked at by itself.
    self_contained = True

    def open(self, name: str, context: object) -> PipeTable:
        return PipeTable(open_all(name, cast(TableContext, context)))
