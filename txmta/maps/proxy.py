"""
C{proxy:type:name}: in Postfix a table that the proxymap daemon opens, because
the asking process may not. Here, in one process, the table itself.

Sources: Postfix's proxymap(8).
"""

from __future__ import annotations

from typing import cast

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.interfaces import ITable, ITableType
from txmta.maps.context import TableContext


@implementer(IPlugin, ITableType)
class ProxyType:
    prefix = "proxy"

    def open(self, name: str, context: object) -> ITable:
        return cast(TableContext, context).open_table(name)
