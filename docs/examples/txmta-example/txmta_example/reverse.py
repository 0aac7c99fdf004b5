"""
A table type: C{reverse:type:name} asks another table for the key with its
domain turned round, C{com.example@user} for C{user@example.com}, so that a
sorted file has the users of a domain, and its subdomains, side by side.

Errors: those of the table inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.interfaces import ITable, ITableType
from txmta.maps.context import TableContext


def turned(key: str) -> str:
    """
    @return: C{com.example@user} for C{user@example.com}; a key without
        C{@} is a domain.
    """
    local, at, domain = key.rpartition("@")
    return ".".join(reversed(domain.split("."))) + at + local


@implementer(ITable)
@dataclass(frozen=True)
class ReverseTable:
    """
    @ivar inner: who knows.
    """

    inner: ITable

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        # "Cannot say" (TableUnavailable) goes through as it is.
        return self.inner.lookup(turned(key))


@implementer(IPlugin, ITableType)
class ReverseType:
    """
    What comes before the first colon, and what opens the rest.
    """

    prefix = "reverse"

    def open(self, name: str, context: object) -> ReverseTable:
        context = cast(TableContext, context)
        if not name:
            raise ConfigError(
                [f"{context.parameter}: {context.spec}: write reverse:type:name"]
            )
        return ReverseTable(context.open_table(name))
