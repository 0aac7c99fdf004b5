"""
What a lookup table is opened with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from txmta.maps.files import Reader, read_file
from txmta.tables import ITable


@dataclass(frozen=True)
class Ways:
    """
    How this process comes by what is in tables; plain by default.

    @ivar read: reads the text source of a table.
    @ivar approved: what may stand behind C{proxy:} (proxy_read_maps); L{None}:
        anything.
    @ivar elsewhere: a table that another process has open; arguments: the
        C{type:name} without C{proxy:}, and the context. L{None}: this process
        opens all of them.
    @ivar jailed: only what is read now can be read: other tables are opened
        elsewhere, and text sources are not looked at again.
    @ivar reactor: for tables that ask a server; L{None}: such a table blocks
        until it has an answer.
    @ivar defined: the expanded text of a name in main.cf, if it is defined.
    """

    read: Reader = read_file
    approved: Collection[str] | None = None
    elsewhere: Callable[[str, TableContext], ITable] | None = None
    jailed: bool = False
    reactor: Any = None
    defined: Callable[[str], str | None] = lambda name: None


#: For one process that may do all.
PLAIN = Ways()


@dataclass(frozen=True)
class TableContext:
    """
    @ivar spec: the whole C{type:name}, for messages.
    @ivar parameter: where it stands in main.cf, for messages.
    @ivar aliases: a text source is in aliases(5) format, because the table is
        one of alias_maps or alias_database; else in postmap(1) format.
    @ivar open_table: opens a C{type:name} inside this one (C{proxy:}).
    @ivar seconds: a monotonic clock.
    @ivar warn: puts a warning into the mail log.
    @ivar by_default: the parameter whose default names the table, if main.cf
        does not: then the table may open without its file, and is unavailable
        until that appears.
    @ivar ways: how this process comes by what is in tables.
    """

    spec: str
    parameter: str
    aliases: bool
    open_table: Callable[[str], ITable]
    seconds: Callable[[], float]
    warn: Callable[[str], None]
    by_default: str = ""
    ways: Ways = PLAIN
