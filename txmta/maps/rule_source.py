"""
Rules of C{regexp:}, C{pcre:} and C{cidr:} tables: a file, or the name itself.

C{type:/path} reads a file, C{type:{ {rule}, {rule} }} is that file, a rule a line.

Owns: logical lines of either form; what happens to a version with mistakes.
Knows nothing of: what a rule means.

Sources: Postfix's regexp_table(5), INLINE SPECIFICATION;
C{util/dict_stream.c}, C{util/readlline.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} for what cannot be opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from txmta.config.declare import to_words
from txmta.errors import ConfigError
from txmta.maps.braces import inside
from txmta.maps.context import TableContext
from txmta.maps.source import Source
from txmta.maps.text import Warn, logical_lines, shortened

T = TypeVar("T")

#: How deep C{if} may stand in C{if}.
MAX_NESTING = 100

#: Mistakes of a new version that are told; one line has to hold them.
_MAX_TOLD = 3


class Skips:
    """
    Takes the warnings of one version.

    @ivar skipped: those that mean that a rule does not count.
    """

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self.skipped: list[str] = []

    def warn(self, text: str) -> None:
        """
        All rules count; something about them is odd.
        """
        self._warn(text)

    def skip(self, text: str) -> None:
        """
        A rule does not count.
        """
        self.skipped.append(text)
        self._warn(text)


def rule_lines(text: str, path: str, skips: Skips) -> Iterator[tuple[int, str]]:
    """
    @return: number and text of each logical line, without white space at its
        end.
    """
    for number, line in logical_lines(text):
        if line[0].isspace():
            skips.skip(
                f"{path}: logical line must not start with whitespace: "
                f'"{shortened(line)}"'
            )
            continue
        yield number, line.rstrip()


def open_rules(
    prefix: str,
    name: str,
    context: TableContext,
    parse: Callable[[str, Skips], T],
) -> Callable[[], T]:
    """
    @param prefix: type of the table.
    @param name: a full path, or rules in braces.
    @param parse: reads rules; puts what it skips to its second argument.
    @return: gives what C{parse} made of the newest version. At start a rule
        with a mistake is skipped, as by Postfix; while mail runs through, the
        version before stays in force instead.
    @raise ConfigError: nothing can be read.
    """
    if name.startswith("{"):
        value = parse(_inline(prefix, name, context), Skips(context.warn))
        return lambda: value
    if not context.takes(name):
        raise context.failed(
            "not a full path",
            ": write the path of the file, from /, or rules in braces",
        )
    opened = False

    def parse_version(text: str) -> T:
        nonlocal opened
        if not opened:
            opened = True
            return parse(text, Skips(context.warn))
        skips = Skips(lambda text: None)
        value = parse(text, skips)
        if skips.skipped:
            raise ConfigError(skips.skipped[:_MAX_TOLD])
        return value

    return Source(name, parse_version, context).value


def _inline(prefix: str, name: str, context: TableContext) -> str:
    try:
        lines = []
        for word in to_words(inside(name)):
            if word[0] != "{":
                raise ValueError(f"no '{{' at start of text in \"{word}\"")
            lines.append(inside(word))
    except ValueError as e:
        raise ConfigError([f"{context.parameter}: {prefix} map: {e}"]) from e
    return "\n".join(lines)
