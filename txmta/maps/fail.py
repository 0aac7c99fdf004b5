"""
C{fail:name}: never can say. For trials of what happens then.

Sources: Postfix's DATABASE_README; C{util/dict_fail.c}.
"""

from __future__ import annotations

from typing import cast

from zope.interface import implementer

from txmta.errors import TableUnavailable
from txmta.maps.context import TableContext
from txmta.tables import ITable, ITableType


@implementer(ITable)
class FailTable:
    def __init__(self, spec: str) -> None:
        self._spec = spec

    def lookup(self, key: str) -> str | None:
        raise TableUnavailable(self._spec, "query error: Application error")


@implementer(ITableType)
class FailType:
    prefix = "fail"
    self_contained = True

    def open(self, name: str, context: object) -> FailTable:
        return FailTable(cast(TableContext, context).spec)
