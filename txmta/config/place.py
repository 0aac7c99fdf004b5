"""
Where a problem stands: file and line before what only names its parameter.

Tables and restrictions are opened by packages that know the parameter, but
not who wrote it.

Errors: none.
"""

from __future__ import annotations

import re

from txmta.config.declare import to_words
from txmta.config.expansion import references
from txmta.config.settings import Settings

# "name: what", "name = value: what" or "name, name: what".
_NAMED = re.compile(r"([a-z0-9_]+(?:, [a-z0-9_]+)*)(: | = )")


def with_place(problem: str, settings: Settings) -> str:
    """
    @param settings: in which it is a problem.
    @return: with file and line; of the parameter that its default refers to,
        if main.cf does not set the parameter itself; or with C{"default"}.
        A problem that does not begin with a parameter stays as it is.
    """
    match = _NAMED.match(problem)
    names = match[1].split(", ") if match else []
    if match is None or not all(settings.is_known(name) for name in names):
        return problem
    for name in names:
        if name in settings.definitions:
            return f"{settings.definitions[name].where}: {problem}"
    rest = problem[match.end() :]
    for name in names:
        if origin := _origin(name, rest, settings):
            where = settings.definitions[origin].where
            return f"{where}: {origin}{match[2]}{rest}"
    return f"default: {problem}"


def _origin(name: str, rest: str, settings: Settings) -> str:
    """
    @return: the parameter of main.cf from which a default has what the
        problem is about.
    """
    if name in settings.definitions:
        words = to_words(settings.text(name))
        return name if any(word in rest for word in words) else ""
    parameter = settings.parameter(name)
    if parameter is not None and isinstance(parameter.default, str):
        for mentioned in references(parameter.default):
            if origin := _origin(mentioned, rest, settings):
                return origin
    return ""
