"""
Settings of a database client: a C{.cf} file, or C{name_parameter} in main.cf.

Owns: which names there are, their kinds and bounds.
Knows nothing of: any database.

Sources: Postfix's sqlite_table(5) and the like; C{global/cfg_parser.c}. A
C{.cf} file has the syntax of main.cf, but C{$name} is not expanded there.

Errors: L{ConfigError<txmta.errors.ConfigError>} with everything that is wrong.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from txmta.config.declare import to_count, to_time
from txmta.config.main_cf import parse_main_cf
from txmta.errors import ConfigError

#: Takes a name of main.cf; gives its expanded text, or L{None}.
Defined = Callable[[str], str | None]


@dataclass
class ClientSettings:
    """
    @ivar where: file, or main.cf and the beginning of the names.
    @ivar texts: what is set.
    @ivar problems: what has been found wrong, one line each.
    """

    where: str
    texts: dict[str, str]
    prefix: str = ""
    problems: list[str] = field(default_factory=list)

    def text(self, name: str, default: str = "") -> str:
        return self.texts.get(name, default)

    def required(self, name: str, example: str) -> str:
        if not (value := self.text(name)):
            self.wrong(name, f"is missing: write {self.prefix}{name} = {example}")
        return value

    def count(self, name: str, default: int, low: int, high: int) -> int:
        return int(self._number(name, default, low, high, to_count))

    def seconds(self, name: str, default: float, low: float, high: float) -> float:
        return self._number(name, default, low, high, lambda text: to_time(text, "s"))

    def _number(
        self,
        name: str,
        default: float,
        low: float,
        high: float,
        read: Callable[[str], float],
    ) -> float:
        if not (text := self.text(name)):
            return default
        try:
            value = read(text)
        except ValueError as e:
            self.wrong(name, f'"{text}" {e}')
            return default
        if not low <= value <= high:
            self.wrong(name, f'"{text}": write {low:g} to {high:g}')
            return default
        return value

    def flag(self, name: str, default: bool) -> bool:
        text = self.text(name, "yes" if default else "no").lower()
        if text not in ("yes", "no"):
            self.wrong(name, f'"{text}": write yes or no')
        return text == "yes"

    def wrong(self, name: str, what: str) -> None:
        self.problems.append(f"{self.where}: {self.prefix}{name}: {what}")


def from_file(
    path: str, text: str, names: Collection[str], warn: Callable[[str], None]
) -> ClientSettings:
    """
    @param names: those that this kind of client has; others are told.
    @raise ConfigError: lines that are none.
    """
    read = parse_main_cf(path, text)
    for warning in read.warnings:
        warn(_without_value(warning))
    for name, definition in read.definitions.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f": did you mean {near[0]}?" if near else ""
            warn(f"{definition.where}: {name}: unknown name, ignored{hint}")
    texts = {name: each.text for name, each in read.definitions.items()}
    return ClientSettings(path, texts)


def _without_value(warning: str) -> str:
    # "overriding earlier entry: password=..." is not for the log.
    head, sign, _value = warning.partition("=")
    return head if sign and "overriding" in head else warning


def from_main_cf(name: str, names: Collection[str], defined: Defined) -> ClientSettings:
    """
    The old form: C{sqlite:name}, and C{name_query} in main.cf.

    @raise ConfigError: nothing of that name is there.
    """
    found = {each: defined(f"{name}_{each}") for each in names}
    texts = {each: text for each, text in found.items() if text is not None}
    if not texts:
        raise ConfigError(
            [f"main.cf has no {name}_query: name a file that begins with / or ."]
        )
    return ClientSettings("main.cf", texts, f"{name}_")
