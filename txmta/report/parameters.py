"""
What becomes of each parameter of main.cf, and of each C{-o} of master.cf.

Owns: verdicts on names and values, from their declarations.
Knows nothing of: what is told of them at the start besides
    (L{txmta.report.gather}).

Sources: L{txmta.config.parameters}; Postfix's postconf(5).

Errors: none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from txmta.config.check import client_prefixes, near
from txmta.config.check_services import is_of_scheduler
from txmta.config.declare import Parameter, Status
from txmta.config.expansion import expand, references
from txmta.config.later import Later
from txmta.config.master_cf import Service
from txmta.config.parameters.every import later
from txmta.config.postfix import danger, defaults
from txmta.config.programs import EVERYWHERE, fate
from txmta.config.settings import FAMILIES, Definition, Settings
from txmta.report.items import OF_STATUS, Item, Kind, Verdict

#: Approximated only in what their default is: who sets one gets what is set.
DIFFERENT_DEFAULTS = frozenset(
    (
        *("alias_maps", "compatibility_level", "data_directory"),
        "smtpd_relay_restrictions",
    )
)

#: Values that are nobody's business.
_SECRET = re.compile(r"(.*_)?(password|passwd|bind_pw|secret)")


class Parameters:
    """
    Judges what is set.
    """

    def __init__(
        self,
        definitions: Mapping[str, Definition],
        settings: Settings,
        services: Sequence[Service],
        agents: Collection[str],
    ) -> None:
        """
        @param definitions: of main.cf, also those that are wrong.
        @param settings: without these.
        @param agents: programs that deliver mail.
        """
        self._definitions = definitions
        self._settings = settings
        self._services = services
        self._agents = agents
        self._mentioned = set(self._mentions())
        self._clients = tuple(client_prefixes(self._values()))

    def items(self) -> Iterator[Item]:
        for name, definition in self._definitions.items():
            verdict, why, stops = self.judge(name, definition.text)
            yield Item(
                Kind.PARAMETER,
                name,
                shown(name, definition.text),
                (definition.where,),
                verdict,
                why,
                stops,
            )
        for service in self._services:
            for name, text in service.overrides.items():
                verdict, why, stops = self._override(service, name, text)
                yield Item(
                    Kind.OVERRIDE,
                    f"{service.name} {service.type}: {name}",
                    shown(name, text),
                    (service.where,),
                    verdict,
                    why,
                    stops,
                )

    def judge(self, name: str, text: str) -> tuple[Verdict, str, bool]:
        """
        @return: what becomes of C{name = text}, why, and whether that stops
            the start.
        """
        parameter = self._settings.parameter(name) or later().get(name)
        if parameter is not None:
            return self._declared(parameter, text)
        if self._is_of_transport(name):
            return Verdict.HONOURED, "", False
        if name in defaults():
            return Verdict.NOT_YET, "not supported yet", bool(danger(name, text))
        if name in self._mentioned:
            return Verdict.HONOURED, "a name of your own", False
        if name.startswith(self._clients):
            return Verdict.HONOURED, "of a table that is configured here", False
        return Verdict.UNKNOWN, f"no parameter{near(name)}", False

    def _declared(
        self, parameter: Parameter[Any], text: str
    ) -> tuple[Verdict, str, bool]:
        status = parameter.status
        if parameter.name in DIFFERENT_DEFAULTS:
            return Verdict.HONOURED, "", False
        if status not in (Status.NOT_YET, Status.REFUSED):
            why = "" if status is Status.HONOURED else parameter.note
            return OF_STATUS[status], why, False
        value = self._expanded(text, parameter)
        default = parameter.default if isinstance(parameter.default, str) else ""
        if _same(value, self._expanded(default, parameter)):
            return Verdict.NO_EFFECT, "says what counts anyway", False
        if isinstance(parameter, Later):
            stops = status is Status.REFUSED or bool(parameter.remedy(value))
            return OF_STATUS[status], parameter.note, stops
        stops = status is Status.REFUSED or bool(danger(parameter.name, value))
        return OF_STATUS[status], parameter.note or "not supported yet", stops

    def _override(
        self, service: Service, name: str, text: str
    ) -> tuple[Verdict, str, bool]:
        if is_of_scheduler(name, service):
            why = "the queue manager reads main.cf only, in Postfix too: write it there"
            return Verdict.NO_EFFECT, why, False
        if name == "syslog_facility":
            why = "there is one for all processes: write it in main.cf"
            return Verdict.NO_EFFECT, why, False
        verdict, why, stops = self.judge(name, text)
        found = fate(service, self._agents)
        if not found.own and verdict is not Verdict.UNKNOWN:
            if name in EVERYWHERE:
                return Verdict.NO_EFFECT, "a part of another process", False
            why = "nobody reads it at this service: write it in main.cf if it matters"
            return Verdict.NO_EFFECT, why, False
        return verdict, why, stops

    def _expanded(self, text: str, parameter: Parameter[Any]) -> str:
        if not parameter.expand:
            return text
        try:
            return expand(text, self._settings.text)
        except ValueError:
            return text

    def _is_of_transport(self, name: str) -> bool:
        return any(
            name == f"{service.name}_{suffix}"
            for service in self._services
            for suffix in FAMILIES
            if name.endswith(suffix)
        )

    def _values(self) -> Iterator[str]:
        for definition in self._definitions.values():
            yield definition.text
        for service in self._services:
            yield from service.overrides.values()
            yield from service.arguments

    def _mentions(self) -> Iterator[str]:
        for text in self._values():
            yield from references(text)
        given = [self._definitions.get("smtpd_restriction_classes")]
        texts = [each.text for each in given if each]
        for service in self._services:
            if "smtpd_restriction_classes" in service.overrides:
                texts.append(service.overrides["smtpd_restriction_classes"])
        for text in texts:
            yield from re.split(r"[,\s]+", text)


def shown(name: str, text: str) -> str:
    """
    @return: a value in one line; not that of a password.
    """
    return "(not shown)" if _SECRET.fullmatch(name) else " ".join(text.split())


def _same(one: str, other: str) -> bool:
    return re.split(r"[,\s]+", one.strip()) == re.split(r"[,\s]+", other.strip())
