"""
C{txmta reference}: what each parameter is for, and what txmta does with it.

Owns: the words of the command, how an entry looks in a terminal.
Knows nothing of: any parameter; the page to search in
    (L{txmta.config.reference_html}).

Errors: one line on standard error; exit status 1 for a name that nobody knows, 64
(sysexits.h) for wrong options.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import NoReturn

from txmta.admin.common import Tool, write
from txmta.config.reference import SEARCH, documents, entries
from txmta.config.reference_html import Entry

EX_USAGE = 64

#: Columns of what is told.
_WIDTH = 78


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: the exit status.
    """
    parser = _Parser(
        prog="txmta reference",
        description="Tell what parameters of main.cf are for, their defaults, and "
        "what txmta does with them.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--html",
        action="store_true",
        help="write all of them as one page, to search in with a browser",
    )
    parser.add_argument("name", nargs="*", help="a parameter; none is all")
    given = parser.parse_args(arguments)
    tool = Tool("txmta reference", "", 1)
    if given.html:
        if given.name:
            parser.error("--html has all parameters: leave the names out")
        return tool.run(lambda: write(documents()[SEARCH]))
    good = True

    def tell() -> None:
        nonlocal good
        good = _tell(tool, given.name)

    return tool.run(tell) or int(not good)


def _tell(tool: Tool, names: Sequence[str]) -> bool:
    """
    @return: all names are known.
    """
    known = {entry.name: entry for entry in entries()}
    missing = [name for name in names if name not in known]
    wanted = [name for name in names if name in known] if names else sorted(known)
    write("\n".join("\n".join(_lines(known[name])) + "\n" for name in wanted))
    for name in missing:
        near = get_close_matches(name, known, 1)
        hint = f": did you mean {near[0]}?" if near else ""
        tool.say(f"warning: {name}: unknown parameter{hint}")
    return not missing


def _lines(entry: Entry) -> Iterator[str]:
    yield f"{entry.name} ({entry.kind}, {entry.status})"
    default = entry.default if entry.literal else f"({entry.default})"
    yield from _wrapped(f"Default: {default}")
    yield from _wrapped(entry.doc)
    if entry.note:
        yield from _wrapped(f"{entry.label}: {entry.note}")


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


if __name__ == "__main__":
    sys.exit(main())
