"""
C{randmap:{value, value ...}}: one of several values, by chance, for every key.

Sources: Postfix's DATABASE_README; C{util/dict_random.c}.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import cast

from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.maps.braces import elements
from txmta.maps.context import TableContext
from txmta.tables import ITable, ITableType

#: Spreads load; no secret depends on it.
_choice: Callable[[Sequence[str]], str] = random.choice


@implementer(ITable)
class RandomTable:
    def __init__(
        self, values: Sequence[str], choice: Callable[[Sequence[str]], str] = _choice
    ) -> None:
        """
        @param choice: takes one of them.
        """
        self._values = values
        self._choice = choice

    def lookup(self, key: str) -> str | None:
        return self._choice(self._values)


@implementer(ITableType)
class RandomType:
    prefix = "randmap"
    self_contained = True

    def open(self, name: str, context: object) -> RandomTable:
        context = cast(TableContext, context)
        try:
            values = elements(name)
        except ValueError as e:
            raise ConfigError(
                [
                    f'{context.parameter}: {e}: "{context.spec}"; '
                    'need "randmap:{value...}"'
                ]
            ) from e
        try:
            return RandomTable([context.value(each) for each in values])
        except ValueError as e:
            raise ConfigError([f"{context.parameter}: {e}"]) from e
