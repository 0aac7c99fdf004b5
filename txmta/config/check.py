"""
What is wrong, and what is doubtful, in one configuration.

Owns: unknown and unsupported parameters, in main.cf and C{-o}; all that the
    checks beside this one find.
Knows nothing of: tables and restrictions, which are checked where they are
    opened; files.

Sources: Postfix's postconf(5); C{postconf/postconf_unused.c},
    C{smtpd/smtpd_check.c}, C{local/local.c}.

Errors: none: all is in the L{Report}.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from txmta.config.check_services import ServiceChecks
from txmta.config.check_values import ValueChecks
from txmta.config.declare import Status, to_words
from txmta.config.expansion import expand, references
from txmta.config.main_cf import MainCf
from txmta.config.master_cf import Service, service_settings
from txmta.config.postfix import SILENT, danger, defaults
from txmta.config.programs import fate
from txmta.config.settings import FAMILIES, Definition, Settings
from txmta.errors import ConfigError

#: Programs of master.cf that are delivery agents here.
AGENTS = ("smtp", "local", "virtual", "error", "discard")


# Tables that may be configured in main.cf instead of a file of their own.
_CLIENT = re.compile(
    r"\b(?:ldap|mysql|pgsql|sqlite|memcache|mongodb):([A-Za-z0-9_]+)(?=[\s,;})]|$)"
)


@dataclass(frozen=True)
class Report:
    """
    @ivar problems: each refuses the start; one line each, ready to print.
    @ivar warnings: for the log; one line each.
    @ivar not_yet: those of the problems that --allow-not-yet allows.
    @ivar notes: for the log, too; nothing is wrong.
    """

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    not_yet: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check(
    main_cf: MainCf,
    settings: Settings,
    services: Sequence[Service],
    agents: Collection[str] = AGENTS,
) -> Report:
    """
    @param settings: made from C{main_cf}.
    @param agents: programs of master.cf for which there is a delivery agent.
    """
    return Checker(settings, services, agents).report(main_cf)


class Checker:
    """
    Gathers problems and warnings.
    """

    def __init__(
        self, settings: Settings, services: Sequence[Service], agents: Collection[str]
    ) -> None:
        self._settings = settings
        self._services = services
        self._agents = agents
        self._problems: list[str] = []
        self._warnings: list[str] = []
        self._not_yet: list[str] = []
        self._notes: list[str] = []
        self._mentioned = set(self._mentions())
        self._clients = tuple(client_prefixes(self._texts()))

    def report(self, main_cf: MainCf) -> Report:
        """
        Call once.
        """
        self._warnings += main_cf.warnings
        if "compatibility_level" not in self._settings.definitions:
            self._warnings.append(
                f"{main_cf.path}: compatibility_level is not set: the newest, safest "
                f"defaults count ({self._settings.text('compatibility_level')})"
            )
        for name, definition in self._settings.definitions.items():
            self._parameter(name, definition, self._settings)
        for service in self._services:
            self._service(service)
        if self._services:  # none: master.cf itself is wrong, and said so
            self._all_services()
        self._values(self._settings)
        return Report(
            tuple(dict.fromkeys(self._problems)),
            tuple(dict.fromkeys(self._warnings)),
            tuple(dict.fromkeys(self._not_yet)),
            tuple(self._notes),
        )

    def _all_services(self) -> None:
        found = ServiceChecks(self._settings, self._services, self._agents)
        self._problems += found.problems
        self._warnings += found.warnings
        self._not_yet += found.not_yet
        self._notes += found.notes

    def _values(self, settings: Settings, only: Collection[str] | None = None) -> None:
        programs = [service.program for service in self._services]
        values = ValueChecks(settings, only, programs or None)
        self._problems += values.problems
        self._warnings += values.warnings

    def _mentions(self) -> Iterator[str]:
        """
        Names that some value uses; such a name may be anything.
        """
        for text in self._texts():
            yield from references(text)
        yield from to_words(self._settings.text("smtpd_restriction_classes"))

    def _texts(self) -> Iterator[str]:
        for definition in self._settings.definitions.values():
            yield definition.text
        for service in self._services:
            yield from service.overrides.values()
            yield from service.arguments

    def _parameter(self, name: str, definition: Definition, settings: Settings) -> None:
        where = definition.where
        parameter = settings.parameter(name)
        if parameter is not None and parameter.status in (
            Status.HONOURED,
            Status.APPROXIMATED,
            Status.NO_EFFECT,
        ):
            if parameter.expand:
                self._undefined(name, definition)
        elif parameter is not None:
            self._unsupported(name, definition, settings)
        elif family := self._family(name):
            self._family_value(name, definition, settings, family)
        elif name in defaults():
            self._later(name, definition, settings)
        elif name not in self._mentioned and not name.startswith(self._clients):
            self._warnings.append(f"{where}: {name}: unknown parameter{near(name)}")

    def _undefined(self, name: str, definition: Definition) -> None:
        for mentioned in references(definition.text):
            known = self._settings.is_known(mentioned) or mentioned in defaults()
            # ${stress?...}: Postfix's own, never set here
            if not known and mentioned != "stress" and not self._family(mentioned):
                self._warnings.append(
                    f"{definition.where}: {name}: undefined parameter: {mentioned}: "
                    "it expands to nothing"
                )

    def _unsupported(
        self, name: str, definition: Definition, settings: Settings
    ) -> None:
        try:
            text = settings.text(name)
            default = _default(name, settings)
        except ValueError as e:
            self._problems.append(f"{definition.where}: {name}: {e}")
            return
        if _normal(text) == _normal(default):
            return
        parameter = settings.parameter(name)
        line = f"{definition.where}: {name} = {_short(text)}"
        if parameter is not None and parameter.status is Status.REFUSED:
            self._problems.append(f"{line}: is refused: {parameter.note}")
        elif parameter is not None and parameter.status is Status.OBSOLETE:
            self._warnings.append(f"{line}: obsolete, ignored")
        elif remedy := danger(name, text):
            self._stop(f"{line}: is not supported yet: {remedy}")
        elif not SILENT.fullmatch(name):
            self._warnings.append(f"{line}: not supported yet, ignored")

    def _stop(self, problem: str) -> None:
        self._problems.append(problem)
        self._not_yet.append(problem)

    def _later(self, name: str, definition: Definition, settings: Settings) -> None:
        """
        Nothing here reads it.
        """
        # Here, because most processes never ask.
        from txmta.config.parameters.every import later

        parameter = later()[name]
        line = f"{definition.where}: {name} = {_short(definition.text)}"
        try:
            text = settings.text(name) if parameter.expand else definition.text
            default = parameter.default if isinstance(parameter.default, str) else ""
            if parameter.expand:
                default = expand(default, settings.text)
            if _normal(text) == _normal(default):
                return
            parameter.convert(text)
        except ValueError as e:
            self._problems.append(f"{line}: {e}")
            return
        line = f"{definition.where}: {name} = {_short(text)}"
        if parameter.status is Status.REFUSED:
            self._problems.append(f"{line}: is refused: {parameter.note}")
        elif parameter.status is Status.OBSOLETE:
            self._warnings.append(f"{line}: obsolete, ignored")
        elif remedy := parameter.remedy(text):
            self._stop(f"{line}: is not supported yet: {remedy}")
        elif parameter.status is Status.NOT_YET:
            self._warnings.append(
                f"{line}: not supported yet, ignored: {parameter.note}"
            )

    def _family(self, name: str) -> str:
        """
        @return: the suffix, if a transport of master.cf has this parameter.
        """
        for service in self._services:
            suffix = name.removeprefix(f"{service.name}_")
            if suffix != name and suffix in FAMILIES:
                return suffix
        return ""

    def _family_value(
        self, name: str, definition: Definition, settings: Settings, suffix: str
    ) -> None:
        parameter = settings.parameter(FAMILIES[suffix])
        try:
            text = settings.text(name)
            if parameter is not None:
                parameter.convert(text)
        except ValueError as e:
            self._problems.append(
                f"{definition.where}: {name} = {_short(definition.text)}: {e}"
            )

    def _service(self, service: Service) -> None:
        if not fate(service, self._agents).own:
            return
        try:
            settings = service_settings(self._settings, service)
        except ConfigError as e:
            self._problems += e.problems
            return
        for name in service.overrides:
            self._parameter(name, settings.definitions[name], settings)
        self._values(settings, service.overrides)


def _default(name: str, settings: Settings) -> str:
    parameter = settings.parameter(name)
    if parameter is not None and isinstance(parameter.default, str):
        return expand(parameter.default, settings.text)
    return expand(defaults().get(name, ""), settings.text)


def client_prefixes(texts: Iterable[str]) -> Iterator[str]:
    """
    @param texts: values.
    @return: C{NAME_} for each table C{ldap:NAME} and its kin whose settings
        stand in main.cf, as C{NAME_server_host}.
    """
    for text in texts:
        for name in _CLIENT.findall(text):
            yield f"{name}_"


def near(name: str) -> str:
    """
    @return: ", ignored", with the nearest known name if there is one.
    """
    names = (*defaults(), *Settings.names())
    near = get_close_matches(name, names, 1, 0.75)
    return f", ignored: did you mean {near[0]}?" if near else ", ignored"


def _normal(text: str) -> str:
    return " ".join(re.split(r"[,\s]+", text.strip()))


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
