"""
C{environ:name}: the environment of the process that asks. Keys are folded to
lower case, as in Postfix, so that only variables in lower case can be found.

Sources: Postfix's C{util/dict_env.c}.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from zope.interface import implementer

from txmta.tables import ITable, ITableType


@implementer(ITable)
class EnvironTable:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def lookup(self, key: str) -> str | None:
        try:
            return self._environment.get(key.casefold())
        except UnicodeEncodeError:  # half a surrogate pair
            return None


@implementer(ITableType)
class EnvironType:
    prefix = "environ"
    self_contained = True

    def open(self, name: str, context: object) -> EnvironTable:
        return EnvironTable(os.environ)
