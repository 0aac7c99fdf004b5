"""
C{dbm:} and C{sdbm:}: index files that are not read, refused with the remedy.

They have a text source, as C{hash:} has; but a file that is there in two
versions, of which the older one counts elsewhere, is named by the type of the
one that counts here.

Errors: L{ConfigError<txmta.errors.ConfigError>}, always.
"""

from __future__ import annotations

from typing import NoReturn, cast

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.interfaces import ITableType
from txmta.maps.context import TableContext


@implementer(IPlugin, ITableType)
class RefusedType:
    """
    @ivar refused: not among the types to choose from.
    """

    self_contained = True
    refused = True

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def open(self, name: str, context: object) -> NoReturn:
        context = cast(TableContext, context)
        raise ConfigError(
            [
                f"{context.parameter}: {context.spec}: {self.prefix} files are not "
                f"read: write hash:{name}, which reads the text file {name} itself"
            ]
        )
