"""
The arguments of one kind of restriction, in all lists: are they understood?

Owns: where they are looked for.
Knows nothing of: what any of them means.

Sources: none.

Errors: none; what is wrong is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from txmta.config.declare import to_words
from txmta.config.settings import Settings


def problems_of(
    kind: str,
    read: Callable[[str], object],
    settings: Settings,
    lists: Sequence[str],
) -> list[str]:
    """
    @param kind: the name of the restriction.
    @param read: raises C{ValueError} for an argument that is wrong.
    @param lists: the parameters that are lists of restrictions.
    @return: what is wrong in them and in classes, one line each.
    """
    found = []
    for name in (*lists, *settings.smtpd_restriction_classes):
        for argument in _arguments(kind, settings, name):
            try:
                read(argument)
            except ValueError as e:
                found.append(f"{name}: {kind} {argument}: {e}")
    return found


def _arguments(kind: str, settings: Settings, name: str) -> Iterator[str]:
    try:
        words = to_words(settings.text(name))
    except ValueError:
        return  # which others say
    for before, item in pairwise(words):
        if before.lower() == kind:
            yield item
