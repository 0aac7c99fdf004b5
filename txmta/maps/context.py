"""
What a lookup table is opened with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from txmta.interfaces import ITable


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
    """

    spec: str
    parameter: str
    aliases: bool
    open_table: Callable[[str], ITable]
    seconds: Callable[[], float]
    warn: Callable[[str], None]
    by_default: str = ""
