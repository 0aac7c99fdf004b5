"""
Restriction lists of main.cf, made ready to be asked.

Owns: classes, tables that stand alone, warn_if_reject, lists in tables.
Knows nothing of: what single restrictions say, in which order lists are asked.

Sources: Postfix C{smtpd/smtpd_check.c} (smtpd_check_parse, generic_checks);
RESTRICTION_CLASS_README.

Errors: none: L{txmta.smtp.access.validate} likes what comes here. What only the
value of a table can be wrong in says so when it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from txmta.config.declare import to_words
from txmta.smtp.access.check import Answer, Check, Into, Restriction, Step
from txmta.smtp.access.kinds import Tools, server_error
from txmta.smtp.access.registry import kind_of

#: How deep classes may stand in classes.
MAX_DEPTH = 20

Steps = tuple[Step, ...]


class Compiler:
    """
    Compiles all lists of one server.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = replace(tools, read=self.read)
        self._texts: Mapping[str, Sequence[str]] = classes(tools)
        self._classes: dict[tuple[str, str], Restriction] = {}
        self._values: dict[tuple[str, str], Steps | None] = {}

    def steps(self, items: Sequence[str], default: str) -> Steps:
        """
        @param items: of a list that is valid.
        @param default: what a table alone stands for; C{""}: nothing.
        """
        return self._steps(items, default, 0)

    def read(self, value: str, default: str) -> Steps | None:
        """
        @param value: of an access table.
        @return: the list of restrictions that it is; L{None}: it names tables,
            which must be open before anybody asks.
        """
        key = value, default
        if key not in self._values:
            if len(self._values) >= 1000:
                self._values.clear()
            self._values[key] = (
                None if ":" in value else self._steps(_words(value), default, 0)
            )
        return self._values[key]

    def _steps(self, items: Sequence[str], default: str, depth: int) -> Steps:
        steps: list[Step] = []
        rest = iter(items)
        warn = False
        for item in rest:
            if item.lower() == "warn_if_reject":
                warn = True
                continue
            step = self._step(item, rest, default, depth)
            steps.append(replace(step, warn=True) if warn else step)
            warn = False
        return tuple(steps)

    def _step(self, item: str, rest: object, default: str, depth: int) -> Step:
        name, argument = item, ""
        if ":" in item:
            name, argument = default, item
        kind = kind_of(name)
        if kind is None:
            restriction = self._class(item, default, depth)
            return Step(item.lower(), "", restriction or unknown(item))
        if kind.takes and not argument:
            argument = next(rest, "")  # type: ignore[call-overload]  # an iterator
        if kind.takes == "table" and ":" not in argument:
            return Step(kind.name, argument, no_argument(name, argument))
        return Step(name.lower(), argument, kind.make(self._tools, argument))

    def _class(self, name: str, default: str, depth: int) -> Restriction | None:
        items = self._texts.get(name)
        if items is None or depth >= MAX_DEPTH:
            return None
        key = name, default
        found = self._classes.get(key)
        if found is None:
            into = Into(name, self._steps(items, default, depth + 1))
            found = self._classes[key] = lambda check: into
        return found


def classes(tools: Tools) -> Mapping[str, Sequence[str]]:
    """
    @return: the items of each of smtpd_restriction_classes.
    """
    settings = tools.settings
    return {
        name: _words(settings.text(name)) if name in settings.definitions else ()
        for name in settings.smtpd_restriction_classes
    }


def _words(text: str) -> Sequence[str]:
    try:
        return to_words(text)
    except ValueError:
        return text.replace(",", " ").split()


def unknown(item: str) -> Restriction:
    """
    What a name says that nobody knows.
    """

    def fail(check: Check) -> Answer:
        return server_error(check, f'unknown smtpd restriction: "{item}"')

    return fail


def no_argument(name: str, argument: str) -> Restriction:
    """
    What a restriction says whose table is missing.
    """

    def fail(check: Check) -> Answer:
        return server_error(
            check,
            f'restriction {name}: bad argument "{argument}": need maptype:mapname',
        )

    return fail
