"""
The lines of main.cf and master.cf.

Owns: joining continuation lines, dropping comments, bounds on size.
Knows nothing of: what a logical line means.

Sources: Postfix's postconf(5) and master(5); C{util/readlline.c}. Comments
    and empty lines do not end a logical line.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from txmta.errors import ConfigError

#: Octets in one file. Ours: the largest main.cf files seen have 60,000.
MAX_FILE = 4 << 20

#: Characters in one logical line; long lists of networks are legitimate.
MAX_LINE = 256 << 10


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """
    @ivar text: without line ends; a continuation keeps its white space.
    @ivar number: of its first line.
    """

    text: str
    number: int


def read_text(path: str) -> str:
    """
    @return: a configuration file; octets that are not UTF-8 as surrogates.
    @raise ConfigError: it cannot be read, or is too large.
    """
    try:
        with open(path, "rb") as file:
            octets = file.read(MAX_FILE + 1)
    except OSError as e:
        problem = f"{path}: cannot be read: {e.strerror}: check the path, or its owner"
        raise ConfigError([problem]) from e
    if len(octets) > MAX_FILE:
        raise ConfigError(
            [f"{path}: is larger than {MAX_FILE} octets: put long lists into tables"]
        )
    return octets.decode("utf-8", "surrogateescape")


def logical_lines(text: str) -> Iterator[LogicalLine]:
    """
    @return: logical lines in order. One that starts with white space has
        nothing to continue: the caller says what that means.
    """
    parts: list[str] = []
    start = 0
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if parts and line[0].isspace():
            parts.append(line.rstrip())
            continue
        if parts:
            yield LogicalLine("".join(parts), start)
        parts, start = [line.rstrip()], number
    if parts:
        yield LogicalLine("".join(parts), start)


def unfit(line: LogicalLine) -> str:
    """
    @return: why a logical line cannot be used, or C{""}.
    """
    if len(line.text) > MAX_LINE:
        return f"is longer than {MAX_LINE} characters: put long lists into tables"
    if "\0" in line.text:
        return "contains a NUL octet: remove it"
    if any("\ud800" <= c <= "\udfff" for c in line.text):
        return "is not UTF-8: write the file in UTF-8"
    return ""
