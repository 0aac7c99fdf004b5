"""
Which tables are named by a default only.

Whoever writes a table's name into main.cf may have misspelt it, and is told
at start. C{/etc/aliases} is in the defaults, and need not be there.

Sources: Postfix's postconf(5), alias_maps.

Errors: none; what cannot be expanded is told by others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from txmta.config.expansion import expand
from txmta.config.settings import Settings

_BETWEEN = re.compile(r"[,\s]+")


def tables_by_default(settings: Settings) -> Mapping[str, str]:
    """
    @return: by C{type:name}, without C{proxy:}, the parameter whose default
        names the table; only those that no line of main.cf names.
    """
    found: dict[str, str] = {}
    for name in settings.names():
        parameter = settings.parameter(name)
        if parameter is None or parameter.kind != "tables":
            continue
        if name not in settings.definitions and isinstance(parameter.default, str):
            for item in _items(parameter.default, settings):
                found.setdefault(item, name)
    for definition in settings.definitions.values():
        for item in _items(definition.text, settings):
            found.pop(item, None)
    return found


def _items(text: str, settings: Settings) -> Iterator[str]:
    """
    @param text: as written: what C{$name} stands for is written elsewhere.
    """
    for word in _BETWEEN.split(text):
        if ":" not in word:
            continue
        try:
            item = expand(word, settings.text)
        except ValueError:
            continue
        while item.startswith("proxy:"):
            item = item[6:]
        if ":/" in item:
            yield item
