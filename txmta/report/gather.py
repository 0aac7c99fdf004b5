"""
The report on one main.cf and the master.cf beside it.

Owns: who is asked, and that what would stop the start is found at the thing
    that is to be changed.
Knows nothing of: how anything is judged or shown.

The server's own check at the start is asked, too: what it refuses stops the
start, whatever declarations say.

Errors: L{ConfigError<txmta.errors.ConfigError>}: a file cannot be read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from txmta.build import load
from txmta.config.declare import to_words
from txmta.config.main_cf import BadLines, MainCf, read_main_cf
from txmta.config.master_cf import (
    Service,
    builtin_master_cf,
    read_master_cf,
    service_settings,
)
from txmta.config.settings import Definition, Settings
from txmta.config.system import this_machine
from txmta.delivery.registry import AgentRegistry
from txmta.errors import ConfigError
from txmta.maps.registry import TableRegistry
from txmta.report.items import Item, Kind, Report
from txmta.report.parameters import Parameters
from txmta.report.services import service_items
from txmta.report.words import Value, Words
from txmta.smtp.access.registry import KINDS, OLD_NAMES

# Where what is said of a value begins.
_AFTER_VALUE = re.compile(r": (?:is |obsolete|not supported|has )")

#: Where user-made names of restriction lists are.
_CLASSES = "smtpd_restriction_classes"


def gather(path: str) -> Report:
    """
    @param path: of main.cf.
    @raise ConfigError: it cannot be read.
    """
    problems, warnings = _start(path)
    main_cf = _main_cf(path)
    services = _services(path)
    # As for the server: it is where main.cf is.
    folder = Definition(os.path.dirname(os.path.abspath(path)), path)
    definitions = {**main_cf.definitions, "config_directory": folder}
    settings, _ = Settings.collect(definitions, this_machine())
    agents = AgentRegistry().known_programs()
    parameters = Parameters(main_cf.definitions, settings, services, agents)
    items = [
        *parameters.items(),
        *service_items(services, agents),
        *_words(main_cf, settings, services),
    ]
    items, problems = _attached(items, problems)
    told = [each for each in warnings if not _is_told(each, items)]
    return Report(path, items, problems, told)


def _start(path: str) -> tuple[Sequence[str], Sequence[str]]:
    """
    @return: what would refuse the start; what the log would say.
    """
    try:
        configuration = load(path, starts=False)
    except ConfigError as e:
        return e.problems, ()
    return (), configuration.warnings


def _main_cf(path: str) -> MainCf:
    try:
        return read_main_cf(path)
    except BadLines as e:
        return e.main_cf


def _services(path: str) -> Sequence[Service]:
    master_cf = os.path.join(os.path.dirname(os.path.abspath(path)), "master.cf")
    if not os.path.lexists(master_cf):
        return builtin_master_cf()
    try:
        return read_master_cf(master_cf)
    except ConfigError:
        return ()  # the problems say so


def _words(
    main_cf: MainCf, settings: Settings, services: Sequence[Service]
) -> Iterator[Item]:
    types = TableRegistry(float, lambda text: None, ()).known_types()
    found = Words(types, (*KINDS, *OLD_NAMES))
    classes: set[str] = set()
    spaces = list(_spaces(main_cf, settings, services))
    for special, _given in spaces:
        classes.update(_list(special, _CLASSES))
    for special, given in spaces:
        values = [
            Value(name, _text(special, name, each.text), each.where)
            for name, each in given.items()
        ]
        found.look(values, classes)
    yield from found.items(classes)


def _spaces(
    main_cf: MainCf, settings: Settings, services: Sequence[Service]
) -> Iterator[tuple[Settings, Mapping[str, Definition]]]:
    """
    @return: main.cf, and the C{-o} of each service.
    """
    yield settings, main_cf.definitions
    for service in services:
        if service.overrides:
            given = {
                name: Definition(text, service.where)
                for name, text in service.overrides.items()
            }
            try:
                yield service_settings(settings, service), given
            except ConfigError:
                yield settings, given


def _list(settings: Settings, name: str) -> Sequence[str]:
    try:
        return to_words(settings.text(name))
    except ValueError:
        return ()


def _text(settings: Settings, name: str, written: str) -> str:
    """
    @return: expanded; what cannot be, as it is written.
    """
    parameter = settings.parameter(name)
    if name not in settings.definitions or (parameter and not parameter.expand):
        return written
    try:
        return settings.text(name)
    except ValueError:
        return written


def _attached(
    items: Iterable[Item], problems: Iterable[str]
) -> tuple[list[Item], list[str]]:
    """
    @return: items that know what stops them, and problems of none of them.
    """
    found, left = list(items), []
    for problem in problems:
        at = next((i for i, item in enumerate(found) if _is_about(problem, item)), -1)
        if at < 0:
            left.append(problem)
        else:
            found[at] = found[at].stopped(_said(problem, found[at]))
    return found, left


def _is_about(text: str, item: Item) -> bool:
    """
    @param text: a problem or warning, which begins with file and line.
    """
    return bool(_rest(text, item))


def _said(text: str, item: Item) -> str:
    """
    @return: less file, line, name and value.
    """
    rest = _rest(text, item)
    if rest.startswith("= "):
        # The value is expanded and may be cut, and may have colons.
        value = f"= {item.value}: "
        if rest.startswith(value):
            return rest[len(value) :]
        match = _AFTER_VALUE.search(rest)
        return rest[match.start() + 2 :] if match else rest
    return rest


def _rest(text: str, item: Item) -> str:
    """
    @return: what stands after the name of an item, or C{""}.
    """
    for place in item.places:
        rest = text.removeprefix(f"{place}: ")
        if rest == text:
            continue
        name = item.name
        if item.kind is Kind.OVERRIDE:
            name = name.rpartition(": ")[2]
        elif item.kind is Kind.SERVICE:
            # What is said of it names it, or is about its arguments.
            return rest.removeprefix(f"{name}: {item.value}: ")
        elif item.kind is not Kind.PARAMETER:
            continue
        match = re.match(rf"{re.escape(name)}(?::| (?==))\s*", rest)
        if match is not None:
            return rest[match.end() :] or rest
    return ""


def _is_told(warning: str, items: Iterable[Item]) -> bool:
    """
    @return: some item says it.
    """
    return any(_is_about(warning, item) and item.why for item in items)
