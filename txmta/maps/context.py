"""
What a lookup table is opened with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from txmta.errors import ConfigError
from txmta.maps.file_values import encoded
from txmta.maps.files import Reader, read_file
from txmta.tables import ITable


@dataclass(frozen=True)
class Manner:
    """
    How keys and values are taken; plain by default.

    @ivar fold: folds keys, of tables that fold them.
    @ivar files: values of texts are names of files, whose content is meant:
        L{txmta.maps.file_values}.
    @ivar command: it is a command that asks: names may be relative to where it
        runs, and errors are in Postfix's words, which say less.
    """

    fold: Callable[[str], str] = str.casefold
    files: bool = False
    command: bool = False


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
    @ivar manner: how keys and values are taken.
    @ivar note: puts a line into the log that is no warning.
    @ivar watch: puts something in front of a table that main.cf names.
    @ivar compiles: tells if a large text may be compiled, into a file beside it.
    """

    read: Reader = read_file
    approved: Collection[str] | None = None
    elsewhere: Callable[[str, TableContext], ITable] | None = None
    jailed: bool = False
    reactor: Any = None
    defined: Callable[[str], str | None] = lambda name: None
    manner: Manner = Manner()
    compiles: Callable[[str], bool] = lambda path: False
    note: Callable[[str], None] = lambda text: None
    watch: Callable[[str, ITable], ITable] = lambda spec, table: table


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

    @property
    def manner(self) -> Manner:
        return self.ways.manner

    def value(self, text: str) -> str:
        """
        @param text: a value as it is written.
        @return: what a table answers.
        @raise ValueError: it names a file that cannot be read.
        """
        if not self.manner.files:
            return text
        return encoded(text, lambda path: self.ways.read(path)[1])

    def takes(self, name: str) -> bool:
        """
        @return: it can be the name of a file.
        """
        return self.manner.command or name.startswith("/")

    def failed(self, what: str, remedy: str) -> ConfigError:
        """
        @param what: is wrong, in Postfix's words.
        @param remedy: starts with a colon.
        """
        if self.manner.command:
            return ConfigError([what])
        return ConfigError([f"{self.parameter}: {self.spec}: {what}{remedy}"])
