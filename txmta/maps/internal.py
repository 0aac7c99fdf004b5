"""
C{internal:name}: a table in the memory of one process, which is empty at first.

Nothing of ours writes to one; postmap and postconf know it, as Postfix's do.

Sources: Postfix's DATABASE_README; C{util/dict_ht.c}.
"""

from __future__ import annotations

from zope.interface import implementer

from txmta.tables import ITable, ITableType


@implementer(ITable)
class InternalTable:
    def lookup(self, key: str) -> str | None:
        return None


@implementer(ITableType)
class InternalType:
    prefix = "internal"
    self_contained = True

    def open(self, name: str, context: object) -> InternalTable:
        return InternalTable()
