"""
Opens tables by their C{type:name}, each once.

Owns: which types there are; that one table serves all who name it.
Knows nothing of: what any type does.

Errors: L{ConfigError<txmta.errors.ConfigError>}: no such type, no such table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from txmta.errors import ConfigError
from txmta.maps.context import PLAIN, TableContext, Ways
from txmta.maps.pattern_table import NO_SUBSTITUTION
from txmta.maps.proxy import bare
from txmta.tables import ITable, ITableType

_ALIAS_PARAMETERS = ("alias_maps", "alias_database")

#: Parameters of tables whose values are names of files.
_FILE_PARAMETERS = frozenset({"tls_server_sni_maps"})

#: How deep tables may stand in tables (C{proxy:proxy:...}).
MAX_DEPTH = 4


def _plugins() -> Iterable[ITableType]:
    # Here, for commands name their types, and do without Twisted.
    from txmta.plugins import find

    # What cannot be loaded is told with the delivery agents.
    return find(ITableType).plugins


class TableRegistry:
    """
    All open tables.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        warn: Callable[[str], None],
        aliases: Iterable[str] = (),
        types: Iterable[ITableType] | None = None,
        by_default: Mapping[str, str] | None = None,
        ways: Ways = PLAIN,
    ) -> None:
        """
        @param seconds: a monotonic clock.
        @param warn: puts a warning into the mail log.
        @param aliases: the items of alias_maps and alias_database: their text
            sources are in aliases(5) format wherever else they are named.
        @param types: L{None}: all plug-ins.
        @param by_default: see L{txmta.config.by_default}.
        @param ways: how this process comes by what is in tables.
        """
        self._seconds = seconds
        self._warn = warn
        self._aliases = frozenset(bare(item) for item in aliases)
        self._by_default = by_default or {}
        self._ways = ways
        self._with_files = replace(ways, manner=replace(ways.manner, files=True))
        found = _plugins() if types is None else types
        self._types = {kind.prefix: kind for kind in found}
        self._open: dict[tuple[str, bool, bool, bool], ITable] = {}

    def known_types(self) -> list[str]:
        """
        @return: for messages and C{postconf -m}.
        """
        return sorted(
            prefix
            for prefix, kind in self._types.items()
            if not getattr(kind, "refused", False)
        )

    def has(self, prefix: str) -> bool:
        """
        @return: there is a type of this name, if only to be refused.
        """
        return prefix in self._types

    def is_apart(self, item: str) -> bool:
        """
        @param item: C{type:name}, or any other word.
        @return: it is a table of which not everything is read when it is
            opened: a process in a jail cannot have it.
        """
        prefix, colon, _name = item.partition(":")
        kind = self._types.get(prefix) if colon else None
        return kind is not None and not getattr(kind, "self_contained", False)

    def is_remote(self, item: str) -> bool:
        """
        @param item: C{type:name}, or any other word.
        @return: it is a table that asks a server or opens a database: one
            process does that for those that are confined.
        """
        prefix, colon, _name = item.partition(":")
        return bool(colon) and getattr(self._types.get(prefix), "remote", False)

    def table(self, item: str, parameter: str) -> ITable:
        """
        @param item: C{type:name}.
        @param parameter: where it stands, for messages.
        @raise ConfigError: it cannot be opened.
        """
        return self._table(item, parameter, 0)

    def _table(
        self, item: str, parameter: str, depth: int, within: bool = False
    ) -> ITable:
        # Tables inside an alias table (unionmap:) are alias tables.
        aliases = (
            within or parameter in _ALIAS_PARAMETERS or bare(item) in self._aliases
        )
        files = parameter in _FILE_PARAMETERS
        # What $1 may do in one parameter it may not do in another.
        which = item, aliases, not aliases and parameter in NO_SUBSTITUTION, files
        known = self._open.get(which)
        if known is not None:
            return known
        prefix, colon, name = item.partition(":")
        kind = self._types.get(prefix)
        if kind is None or not colon or depth > MAX_DEPTH:
            raise ConfigError([self._unknown(item, prefix if colon else "", parameter)])
        if not name:
            raise ConfigError(
                [
                    f'{parameter}: open dictionary: expecting "type:name" form '
                    f'instead of "{item}"'
                ]
            )
        context = TableContext(
            spec=item,
            parameter=parameter,
            aliases=aliases,
            open_table=lambda inner: self._table(inner, parameter, depth + 1, aliases),
            seconds=self._seconds,
            warn=self._warn,
            by_default=self._by_default.get(bare(item), ""),
            ways=self._with_files if files else self._ways,
        )
        table = self._opened(kind, name, context)
        if not depth:
            table = self._ways.watch(item, table)
        self._open[which] = table
        return table

    def _opened(self, kind: ITableType, name: str, context: TableContext) -> ITable:
        ways = self._ways
        spec = context.spec
        apart = self.is_remote(spec) or (ways.jailed and self.is_apart(spec))
        if ways.elsewhere and apart:
            return ways.elsewhere(spec, context)
        return kind.open(name, context)

    def _unknown(self, item: str, prefix: str, parameter: str) -> str:
        known = ", ".join(self.known_types())
        if not prefix:
            return f"{parameter}: {item}: not a table: write type:name; types: {known}"
        if prefix in self._types:
            return f"{parameter}: {item}: too many tables inside each other"
        return (
            f"{parameter}: {item}: unsupported dictionary type: {prefix}: "
            f"use one of {known}"
        )
