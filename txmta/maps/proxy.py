"""
C{proxy:type:name}: a table that the proxymap process opens, because the asking
one may not. In one process (process_model = single), the table itself.

Owns: which tables may be asked for (proxy_read_maps).
Knows nothing of: how another process is asked.

Sources: Postfix's proxymap(8), C{proxymap/proxymap.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} for a table that
proxy_read_maps does not list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.maps.context import TableContext
from txmta.tables import ITable, ITableType

_PREFIX = "proxy:"


def bare(item: str) -> str:
    """
    @return: without C{proxy:}, however often.
    """
    while item.startswith(_PREFIX):
        item = item[len(_PREFIX) :]
    return item


def approved(items: Iterable[str]) -> frozenset[str]:
    """
    @param items: of proxy_read_maps.
    @return: the C{type:name} of those that begin with C{proxy:}, without it.
    """
    found = set()
    for item in items:
        # { type:name attribute=value ... }
        words = re.split(r"[,\s]+", item[1:-1].strip()) if item[:1] == "{" else [item]
        if words[0].startswith(_PREFIX) and ":" in bare(words[0]):
            found.add(bare(words[0]))
    return frozenset(found)


@implementer(ITableType)
class ProxyType:
    prefix = "proxy"
    #: Whom to ask is our business.
    self_contained = True

    def open(self, name: str, context: object) -> ITable:
        context = cast(TableContext, context)
        ways, inner = context.ways, bare(name)
        if ways.approved is not None and inner not in ways.approved:
            raise ConfigError(
                [
                    f"{context.parameter}: {context.spec}: is not listed in "
                    f"proxy_read_maps: add ${context.parameter} there"
                ]
            )
        if ways.elsewhere is None:
            return context.open_table(name)
        return ways.elsewhere(inner, context)
