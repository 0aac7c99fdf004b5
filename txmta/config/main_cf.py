"""
Read main.cf.

Owns: C{name = value}, last definition wins, where each one stands.
Knows nothing of: which parameters there are, expansion.

Sources: Postfix's postconf(5); C{util/dict.c}, C{util/split_nameval.c}.

Errors: L{BadLines} with every one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from txmta.config.lines import LogicalLine, logical_lines, read_text, unfit
from txmta.config.settings import Definition
from txmta.errors import ConfigError

#: Definitions in one file. Ours: Postfix has fewer than 1,000 parameters.
MAX_DEFINITIONS = 20_000

_DEFINITION = re.compile(r"([^\s=]*)\s*(=?)\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class MainCf:
    """
    One main.cf.

    @ivar path: as given.
    @ivar definitions: the last of each name, in the order of the file.
    @ivar warnings: what Postfix warns of too, one line each.
    """

    path: str
    definitions: dict[str, Definition]
    warnings: tuple[str, ...] = ()


class BadLines(ConfigError):
    """
    @ivar main_cf: the good lines, so that what is wrong with them can be told
        at the same time.
    """

    def __init__(self, problems: Sequence[str], main_cf: MainCf) -> None:
        super().__init__(problems)
        self.main_cf = main_cf


def read_main_cf(path: str) -> MainCf:
    """
    @raise BadLines: the file has bad lines.
    @raise ConfigError: it cannot be read.
    """
    main_cf = parse_main_cf(path, read_text(path))
    origin = main_cf.definitions.get("myorigin")
    if origin is not None and origin.text.startswith("/"):
        try:
            main_cf.definitions["myorigin"] = _first_line(origin)
        except ConfigError as e:
            del main_cf.definitions["myorigin"]
            raise BadLines(e.problems, main_cf) from e
    return main_cf


def _first_line(origin: Definition) -> Definition:
    """
    Debian's Postfix: C{myorigin = /etc/mailname}.
    """
    try:
        lines = read_text(origin.text).splitlines()
    except ConfigError as e:
        raise ConfigError(
            [f"{origin.where}: myorigin: {problem}" for problem in e.problems]
        ) from e
    name = lines[0].strip() if lines else ""
    if not name:
        raise ConfigError(
            [
                f"{origin.where}: myorigin = {origin.text}: the first line of that "
                "file is empty: write the domain there"
            ]
        )
    return Definition(name, origin.where)


def parse_main_cf(path: str, text: str) -> MainCf:
    """
    @param path: for messages.
    @raise BadLines: there are some.
    """
    definitions: dict[str, Definition] = {}
    problems: list[str] = []
    warnings: list[str] = []
    for line in logical_lines(text):
        where = f"{path}, line {line.number}"
        if line.text[0].isspace():
            warnings.append(
                f"{where}: logical line must not start with white space, ignored: "
                f'"{line.text[:30]}"'
            )
            continue
        try:
            name, value = split_definition(line)
        except ValueError as e:
            problems.append(f"{where}: {e}")
            continue
        if name in definitions:
            warnings.append(
                f"{where}: overriding earlier entry: {name}={definitions[name].text}"
            )
        elif len(definitions) == MAX_DEFINITIONS:
            problems.append(f"{where}: more than {MAX_DEFINITIONS} definitions")
            break
        definitions[name] = Definition(value, where)
    main_cf = MainCf(path, definitions, tuple(warnings))
    if problems:
        raise BadLines(problems, main_cf)
    return main_cf


def split_definition(line: LogicalLine) -> tuple[str, str]:
    """
    @return: name and value.
    @raise ValueError: with what is wrong and what to do.
    """
    if trouble := unfit(line):
        raise ValueError(trouble)
    match = _DEFINITION.fullmatch(line.text)
    assert match is not None  # every text matches
    name, equals, value = match.groups()
    if not name:
        raise ValueError(
            f'missing parameter name: "{line.text[:60]}": write name = value'
        )
    if not equals:
        raise ValueError(
            f"missing '=' after parameter name: \"{line.text[:60]}\": write name = "
            "value, or begin the line with white space if it continues the one above"
        )
    return name, value.rstrip()
