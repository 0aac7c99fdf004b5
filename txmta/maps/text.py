"""
Text sources of tables: the formats of postmap(1) and of aliases(5).

Owns: logical lines, keys and values, what is ignored and how that is said.
Knows nothing of: files, when they change, who looks up.

Sources: Postfix's postmap(1), aliases(5); C{util/readlline.c},
C{postmap/postmap.c}, C{postalias/postalias.c}.

Errors: none; a line that cannot be used is left out with a warning, as
postmap does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from txmta.address import join, scan

#: Takes one warning.
Warn = Callable[[str], None]

_QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*"'

# White space as in C: what else looks like it may be in keys and values.
_BLANK = " \t\n\v\f\r"

# A key ends at white space outside quotes; a backslash at the end of the line
# is part of it.
_KEY = re.compile(rf'(?:[^{_BLANK}"\\]|\\.?|{_QUOTED})+', re.DOTALL)

# "name" of "name: value": a colon inside quotes does not count.
_NAME = re.compile(rf'((?:[^:"\\]|\\.|{_QUOTED})+):', re.DOTALL)


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """
    @return: number of the first physical line, and the text with its
        continuation lines (those that start with white space). Comments and
        empty lines are left out, also between continuation lines.
    """
    start = 0
    parts: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip(_BLANK)
        if not bare or bare[0] == "#":
            continue
        if line[0] in _BLANK and parts:
            parts.append(line.rstrip("\r"))
            continue
        if parts:
            yield start, "".join(parts)
        start, parts = number, [line.rstrip("\r")]
    if parts:
        yield start, "".join(parts)


def read_postmap(text: str, path: str, warn: Warn) -> dict[str, str]:
    """
    Read C{key whitespace value} lines.

    @return: values by case-folded key; of two equal keys the first counts.
    """
    table: dict[str, str] = {}
    for number, line in logical_lines(text):
        where = f"{path}, line {number}"
        if line[0] in _BLANK:
            warn(f"{where}: logical line must not start with whitespace")
            continue
        match = _KEY.match(line)
        key = match[0] if match else ""
        rest = line[len(key) :]
        if rest[:1] == '"':
            warn(f"{where}: unbalanced '\"' in '{line}' -- ignoring this line")
            continue
        value = rest.strip(_BLANK)
        if not key or not value:
            warn(
                f"{where}: expected format: key whitespace value -- ignoring this line"
            )
            continue
        if key[-1] == ":":
            warn(f'{where}: record is in "key: value" format; is this an alias file?')
        _add(table, key, value, where, warn)
    return table


def read_aliases(text: str, path: str, warn: Warn) -> dict[str, str]:
    """
    Read C{name: value, value ...} lines.

    @return: values, in external form, by case-folded name.
    """
    table: dict[str, str] = {}
    for number, line in logical_lines(text):
        where = f"{path}, line {number}"
        match = _NAME.match(line)
        name = scan(match[1]) if match else []
        value = line[match.end() :].strip(_BLANK) if match else ""
        kinds = {token.kind for token in name}
        if not name or not value or "," in kinds:
            warn(f"{where}: need name:value pair")
            continue
        if kinds & {"@", "%"}:
            warn(f"{where}: name must be local")
            continue
        _add(table, join(name), value, where, warn)
    return table


def _add(table: dict[str, str], key: str, value: str, where: str, warn: Warn) -> None:
    folded = key.casefold()
    if folded in table:
        warn(f'{where}: duplicate entry: "{folded}"')
        return
    table[folded] = value
