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
from collections.abc import Callable, Iterable, Iterator

#: Takes one warning.
Warn = Callable[[str], None]

#: Number of the line where it starts, key, value.
Entry = tuple[int, str, str]

#: Folds a key, and makes of a value what the table answers; this may raise
#: C{ValueError}: why the entry cannot be used.
Fold = Callable[[str], str]
Convert = Callable[[str], str]

#: Octets that a warning has of a line.
_SHOWN = 30

_QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*"'

#: White space as in C: what else looks like it may be in keys and values.
BLANK = " \t\n\v\f\r"

# A key ends at white space outside quotes; a backslash at the end of the line
# is part of it.
_KEY = re.compile(rf'(?:[^{BLANK}"\\]|\\.?|{_QUOTED})+', re.DOTALL)


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """
    @return: number of the first physical line, and the text with its
        continuation lines (those that start with white space). Comments and
        empty lines are left out, also between continuation lines.
    """
    return join_lines(text.split("\n"))


def join_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """
    As L{logical_lines}, of physical lines.
    """
    start = 0
    parts: list[str] = []
    for number, line in enumerate(lines, 1):
        bare = line.strip(BLANK)
        if not bare or bare[0] == "#":
            continue
        if line[0] in BLANK and parts:
            parts.append(line.rstrip("\r"))
            continue
        if parts:
            yield start, "".join(parts)
        start, parts = number, [line.rstrip("\r")]
    if parts:
        yield start, "".join(parts)


def _begun(
    lines: Iterable[tuple[int, str]], path: str, warn: Warn
) -> Iterator[tuple[int, str]]:
    """
    @return: those that do not go on from a line that there is not.
    """
    for number, line in lines:
        if line[0] in BLANK:
            warn(
                f"{path}: logical line must not start with whitespace: "
                f'"{shortened(line)}"'
            )
            continue
        yield number, line


def postmap_entries(
    lines: Iterable[tuple[int, str]], path: str, warn: Warn
) -> Iterator[Entry]:
    """
    @param lines: logical lines of C{key whitespace value}.
    @return: what they say; a line that cannot be used is left out.
    """
    for number, line in _begun(lines, path, warn):
        match = _KEY.match(line)
        key = match[0] if match else ""
        rest = line[len(key) :]
        if rest[:1] == '"':
            warn(
                f"{path}, line {number}: unbalanced '\"' in '{line}' "
                "-- ignoring this line"
            )
            continue
        value = rest.strip(BLANK)
        if not key or not value:
            warn(
                f"{path}, line {number}: expected format: key whitespace value "
                "-- ignoring this line"
            )
            continue
        if key[-1] == ":":
            warn(
                f'{path}, line {number}: record is in "key: value" format; '
                "is this an alias file?"
            )
        yield number, key, value


def alias_entries(
    lines: Iterable[tuple[int, str]], path: str, warn: Warn
) -> Iterator[Entry]:
    """
    @param lines: logical lines of C{name: value, value ...}.
    @return: what they say, the names without quotes.
    """
    # Here, as most commands have no use for it.
    from txmta.maps.alias_syntax import name_and_value

    for number, line in _begun(lines, path, warn):
        try:
            name, value = name_and_value(line)
        except ValueError as e:
            warn(f"{path}, line {number}: {e}")
            continue
        yield number, name, value


def read_postmap(
    text: str, path: str, warn: Warn, fold: Fold = str.casefold, convert: Convert = str
) -> dict[str, str]:
    """
    Read C{key whitespace value} lines.

    @return: values by folded key; of two equal keys the first counts.
    """
    entries = postmap_entries(logical_lines(text), path, warn)
    return _table(entries, path, warn, fold, convert)


def read_aliases(
    text: str, path: str, warn: Warn, fold: Fold = str.casefold, convert: Convert = str
) -> dict[str, str]:
    """
    Read C{name: value, value ...} lines.

    @return: values, in external form, by folded name.
    """
    entries = alias_entries(logical_lines(text), path, warn)
    return _table(entries, path, warn, fold, convert)


def _table(
    entries: Iterable[Entry], path: str, warn: Warn, fold: Fold, convert: Convert
) -> dict[str, str]:
    table: dict[str, str] = {}
    for number, key, value in entries:
        folded = fold(key)
        try:
            value = convert(value)
        except ValueError as e:
            warn(f"{path}, line {number}: {e}: skipping this entry")
            continue
        if folded in table:
            warn(f'{path}, line {number}: duplicate entry: "{folded}"')
        else:
            table[folded] = value
    return table


def shortened(line: str) -> str:
    """
    @return: the start of a line, for a warning.
    """
    octets = line.encode("utf-8", "surrogateescape")
    more = "..." if len(octets) > _SHOWN else ""
    return octets[:_SHOWN].decode("utf-8", "surrogateescape") + more


def is_utf8(text: str) -> bool:
    """
    @return: no octet of it is beside UTF-8.
    """
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def masked(text: str) -> str:
    """
    @return: without what is not ASCII, as Postfix writes into a log.
    """
    octets = text.encode("utf-8", "surrogateescape")
    return "".join(chr(o) if 32 <= o < 127 else "?" for o in octets)
