"""
C{static:value} and C{static:{ value }}: one answer to every question.

Sources: Postfix's DATABASE_README; C{util/dict_static.c}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.maps.braces import inside
from txmta.maps.context import TableContext
from txmta.tables import ITable, ITableType


@implementer(ITable)
@dataclass(frozen=True)
class StaticTable:
    """
    @ivar value: the answer.
    """

    value: str

    def lookup(self, key: str) -> str | None:
        return self.value


@implementer(ITableType)
class StaticType:
    prefix = "static"
    self_contained = True

    def open(self, name: str, context: object) -> StaticTable:
        context = cast(TableContext, context)
        value = name
        if name.startswith("{"):
            try:
                value = inside(name)
            except ValueError as e:
                raise ConfigError(
                    [f"{context.parameter}: bad static:name syntax: {e}"]
                ) from e
        try:
            return StaticTable(context.value(value))
        except ValueError as e:
            raise ConfigError([f"{context.parameter}: {e}"]) from e
