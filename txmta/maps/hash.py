"""
C{hash:} and its relatives: an indexed file in Postfix, its text source here.

C{hash:/etc/aliases} is answered from C{/etc/aliases} itself, not from
C{/etc/aliases.db}: a change counts a second or two after it is saved, and
needs no postmap or postalias. C{btree:} files have the same source and the
same answers; C{texthash:} never had an index. C{lmdb:} and C{cdb:} tables come
here when there is no index file (L{txmta.maps.indexed}).

Owns: which format a file has.
Knows nothing of: the formats (L{txmta.maps.text}), when a file is read
    (L{txmta.maps.source}).

Sources: Postfix's DATABASE_README; C{util/dict_thash.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} when the file cannot be read
at start.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import cast

from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.maps.context import TableContext
from txmta.maps.source import Source
from txmta.maps.text import read_aliases, read_postmap
from txmta.tables import ITable, ITableType


@implementer(ITable)
class TextTable:
    """
    Entries of a text file, keys folded to lower case.
    """

    def __init__(self, entries: Callable[[], dict[str, str]]) -> None:
        """
        @param entries: gives the entries as they are now.
        """
        self._entries = entries

    def lookup(self, key: str) -> str | None:
        return self._entries().get(key.casefold())


@implementer(ITableType)
class TextType:
    """
    A table type whose tables have a text source.

    @ivar self_contained: when a table is opened, all that is in it is read.
    """

    self_contained = True

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def open(self, name: str, context: object) -> TextTable:
        context = cast(TableContext, context)
        if not name.startswith("/"):
            raise ConfigError(
                [
                    f"{context.parameter}: {context.spec}: not a full path: "
                    "write the path of the text file, from /"
                ]
            )
        self._check_source(name, context)
        read = read_aliases if context.aliases else read_postmap

        def parse(text: str) -> dict[str, str]:
            return read(text, name, context.warn)

        return TextTable(Source(name, parse, context).value)

    def _check_source(self, name: str, context: TableContext) -> None:
        """
        @raise ConfigError: there is an index file, but not its source.
        """
        index = f"{name}.db"
        if (
            self.prefix not in ("hash", "btree")
            or context.by_default
            or os.path.exists(name)
            or not os.path.exists(index)
        ):
            return
        raise ConfigError(
            [
                f"{context.parameter}: {context.spec}: {index} is not read, and its "
                f"text file {name} is not there: put it back, or make it where "
                f"Postfix is: postmap -s {context.spec} >{name}"
            ]
        )
