"""
C{inline:{ {key = value}, key=value ... }}: a table in main.cf itself.

Sources: Postfix's DATABASE_README; C{util/dict_inline.c}.
"""

from __future__ import annotations

from typing import cast

from zope.interface import implementer

from txmta.config.declare import to_words
from txmta.errors import ConfigError
from txmta.maps.braces import inside, name_value
from txmta.maps.context import TableContext
from txmta.maps.hash import TextTable
from txmta.maps.text import Convert, Fold
from txmta.tables import ITableType


@implementer(ITableType)
class InlineType:
    prefix = "inline"
    self_contained = True

    def open(self, name: str, context: object) -> TextTable:
        context = cast(TableContext, context)
        fold = context.manner.fold
        try:
            entries = read_inline(name, fold, context.value)
        except ValueError as e:
            value = "filename" if context.manner.files else "value"
            raise ConfigError(
                [
                    f'{context.parameter}: {e}: "{context.spec}"; '
                    f'need "inline:{{name={value}...}}"'
                ]
            ) from e
        return TextTable(lambda: entries, fold)


def read_inline(
    text: str, fold: Fold = str.casefold, convert: Convert = str
) -> dict[str, str]:
    """
    @return: values by case-folded key; of two equal keys the first counts.
    @raise ValueError: in Postfix's words.
    """
    try:
        if not text.startswith("{") or text == "{}":
            raise ValueError
        body = inside(text)
    except ValueError:
        raise ValueError("bad syntax") from None
    entries: dict[str, str] = {}
    for word in to_words(body):
        key, value = name_value(inside(word) if word[0] == "{" else word)
        entries.setdefault(fold(key), convert(value))
    if not entries:
        raise ValueError("empty table")
    return entries
