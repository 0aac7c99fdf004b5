"""
What a lookup table is, and a type of tables.

L{txmta.interfaces} has them, too; they stand by themselves because the commands
that read a table and end have no use for Twisted, which takes longer to import
than such a command to run.

Errors: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class ITable(Interface):
    """
    A lookup table, opened from a C{type:name} in main.cf.
    """

    def lookup(key: str) -> str | Deferred[str | None] | None:
        """
        @param key: as it is; the table folds case if its type does.

        @return: the value, or L{None} for "not found"; raises or fails with
            L{TableUnavailable<txmta.errors.TableUnavailable>}, never with
            anything else that a table back-end may raise.
        """


class ITableType(Interface):
    """
    A kind of table; add one as a Twisted plug-in in C{twisted/plugins}.
    """

    prefix: str = Attribute("The word before the colon, e.g. C{'hash'}.")

    def open(name: str, context: object) -> ITable:
        """
        @param name: what follows the colon.
        @param context: a L{txmta.maps.context.TableContext}.
        @raise ConfigError: no such table can be opened.
        """
