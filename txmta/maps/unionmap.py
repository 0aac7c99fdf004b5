"""
C{unionmap:{type:name, type:name ...}}: what any of several tables says.

A key is asked of all of them, in order; the values found are joined by commas.

Owns: the order, and how values are joined.
Knows nothing of: the tables.

Sources: Postfix's DATABASE_README; C{util/dict_union.c}.

Errors: when one table cannot say, the union cannot: a list of recipients that
lacks some would be taken for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.interfaces import ITable, ITableType
from txmta.maps.braces import elements
from txmta.maps.context import TableContext


def open_all(name: str, context: TableContext) -> tuple[ITable, ...]:
    """
    @param name: C{{ type:name, type:name ... }}.
    @raise ConfigError: for the syntax in Postfix's words; with all tables that
        cannot be opened.
    """
    prefix = context.spec.partition(":")[0]
    try:
        items = elements(name)
        if not all(":" in item for item in items):
            raise ValueError("bad syntax")
    except ValueError as e:
        raise ConfigError(
            [
                f'{context.parameter}: {e}: "{context.spec}"; '
                f'need "{prefix}:{{type:name...}}"'
            ]
        ) from e
    tables: list[ITable] = []
    problems: list[str] = []
    for item in items:
        try:
            tables.append(context.open_table(item))
        except ConfigError as e:
            problems.extend(e.problems)
    if problems:
        raise ConfigError(problems)
    return tuple(tables)


@implementer(ITable)
class UnionTable:
    def __init__(self, tables: Sequence[ITable]) -> None:
        self._tables = tables

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        return self._ask(key, "", iter(self._tables))

    def _ask(
        self, key: str, joined: str, tables: Iterator[ITable]
    ) -> str | Deferred[str | None] | None:
        for table in tables:
            answer = table.lookup(key)
            if isinstance(answer, Deferred):
                return Deferred.fromCoroutine(self._later(answer, key, joined, tables))
            joined = _join(joined, answer)
        return joined or None

    async def _later(
        self,
        answer: Deferred[str | None],
        key: str,
        joined: str,
        tables: Iterator[ITable],
    ) -> str | None:
        rest = self._ask(key, _join(joined, await answer), tables)
        return await rest if isinstance(rest, Deferred) else rest


def _join(joined: str, value: str | None) -> str:
    if value is None:
        return joined
    return f"{joined},{value}" if joined else value


@implementer(IPlugin, ITableType)
class UnionType:
    prefix = "unionmap"
    #: In a jail each table inside is looked at by itself.
    self_contained = True

    def open(self, name: str, context: object) -> UnionTable:
        return UnionTable(open_all(name, cast(TableContext, context)))
