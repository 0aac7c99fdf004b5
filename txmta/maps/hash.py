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
from collections.abc import Callable, Iterator
from typing import cast

from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.maps.context import TableContext
from txmta.maps.file_values import is_encoded
from txmta.maps.source import Source
from txmta.maps.text import (
    alias_entries,
    postmap_entries,
    read_aliases,
    read_postmap,
)
from txmta.tables import ITable, ITableType

#: Octets of a text that is read into memory; larger ones are compiled.
LARGEST_TEXT = 20 * 1024 * 1024

#: Types whose tables are index files in Postfix: what postmap says is about those.
INDEXED = ("hash", "btree")


@implementer(ITable)
class TextTable:
    """
    Entries of a text file, keys folded to lower case.
    """

    def __init__(
        self,
        entries: Callable[[], dict[str, str]],
        fold: Callable[[str], str] = str.casefold,
    ) -> None:
        """
        @param entries: gives the entries as they are now.
        """
        self._entries = entries
        self._fold = fold

    def lookup(self, key: str) -> str | None:
        return self._entries().get(self._fold(key))

    def items(self) -> Iterator[tuple[str, str]]:
        """
        @return: all keys, folded, and their values.
        """
        return iter(self._entries().items())


@implementer(ITableType)
class TextType:
    """
    A table type whose tables have a text source.

    @ivar self_contained: when a table is opened, all that is in it is read.
    """

    self_contained = True

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def open(self, name: str, context: object) -> ITable:
        context = cast(TableContext, context)
        if not context.takes(name):
            raise context.failed(
                "not a full path", ": write the path of the text file, from /"
            )
        self._check_source(name, context)
        compiled = _compiled(name, context)
        if compiled is not None:
            return compiled
        read = read_aliases if context.aliases else read_postmap
        fold = context.manner.fold

        def parse(text: str) -> dict[str, str]:
            convert = self._converter(context)
            return read(text, name, context.warn, fold, convert)

        return TextTable(Source(name, parse, context).value, fold)

    def _converter(self, context: TableContext) -> Callable[[str], str]:
        """
        @return: what makes values of what is written. C{postmap -iF} adds
            content to the text of a hash table; a command is to see all.
        """
        if not context.manner.files:
            return str
        if self.prefix not in INDEXED:
            return context.value

        def convert(text: str) -> str:
            try:
                return context.value(text)
            except ValueError as e:
                if is_encoded(text):
                    return text
                if context.manner.command:
                    # A path can look like content.
                    return str(e) if text.startswith("/") else text
                raise

        return convert

    def _check_source(self, name: str, context: TableContext) -> None:
        """
        @raise ConfigError: there is an index file, but not its source.
        """
        index = f"{name}.db"
        if self.prefix not in INDEXED or context.by_default or os.path.exists(name):
            return
        if os.path.exists(index):
            raise ConfigError(
                [
                    f"{context.parameter}: {context.spec}: {index} is not read, and "
                    f"its text file {name} is not there: put it back, or make it "
                    f"where Postfix is: postmap -s {context.spec} >{name}"
                ]
            )
        if context.manner.command:
            reason = "No such file or directory"
            raise ConfigError([f"open database {index}: {reason}"])


def _compiled(name: str, context: TableContext) -> ITable | None:
    """
    @return: what has been made of a large text.
    """
    try:
        if os.path.getsize(name) <= LARGEST_TEXT:
            return None
    except OSError:
        return None
    # Here, as few tables are large.
    from txmta.maps.compiled import open_compiled

    read = alias_entries if context.aliases else postmap_entries
    return open_compiled(name, context, read)
