"""
Look up keys in a list of tables.

Sources: Postfix C{global/maps.c} (the first table that knows the key).

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} passes through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.internet.defer import Deferred

from txmta.interfaces import ITable


async def search(tables: Sequence[ITable], keys: Iterable[str]) -> str | None:
    """
    @return: the value of the first key that is in any table, or L{None}.
    """
    for key in keys:
        for table in tables:
            value = table.lookup(key)
            if isinstance(value, Deferred):
                value = await value
            if value is not None:
                return value
    return None
