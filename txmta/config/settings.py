"""
A snapshot of all parameters, typed and checked.

Owns: computing defaults, expanding, converting, and telling all that is
    wrong at once.
Knows nothing of: files, packages that use the values.

Errors: L{ConfigError<txmta.errors.ConfigError>} with every problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from txmta.config.declare import (
    Parameter,
    SelfReference,
    Status,
    System,
    declared,
    to_count,
    to_time,
)
from txmta.config.expansion import expand
from txmta.config.parameters.address_mapping import MappingParameters
from txmta.config.parameters.cleanup import CleanupParameters
from txmta.config.parameters.command import CommandParameters
from txmta.config.parameters.lmtp import LmtpParameters
from txmta.config.parameters.local import LocalParameters
from txmta.config.parameters.network import NetworkParameters
from txmta.config.parameters.plugin import PluginParameters
from txmta.config.parameters.process import ProcessParameters
from txmta.config.parameters.qmgr import QmgrParameters
from txmta.config.parameters.rewrite import RewriteParameters
from txmta.config.parameters.screen import PostscreenParameters
from txmta.config.parameters.smtp import SmtpParameters
from txmta.config.parameters.smtpd import SmtpdParameters
from txmta.config.parameters.smtpd_access import SmtpdAccessParameters
from txmta.config.parameters.smtpd_dns import SmtpdDnsParameters
from txmta.config.parameters.smtpd_extras import SmtpdExtrasParameters
from txmta.config.parameters.smtpd_policy import SmtpdPolicyParameters
from txmta.config.parameters.smtpd_sasl import SmtpdSaslParameters
from txmta.config.parameters.smtpd_tls import SmtpdTlsParameters
from txmta.config.parameters.tls_common import TlsParameters
from txmta.config.parameters.virtual import VirtualParameters
from txmta.errors import ConfigError

#: How deep parameters may refer to parameters. Ours.
MAX_NESTING = 100

#: What counts for a transport without C{<transport>_<suffix>}, by suffix.
FAMILIES: Mapping[str, str] = {
    "initial_destination_concurrency": "initial_destination_concurrency",
    "time_limit": "command_time_limit",
    **{
        suffix: f"default_{suffix}"
        for suffix in (
            "delivery_slot_cost",
            "delivery_slot_discount",
            "delivery_slot_loan",
            "destination_concurrency_failed_cohort_limit",
            "destination_concurrency_limit",
            "destination_concurrency_negative_feedback",
            "destination_concurrency_positive_feedback",
            "destination_rate_delay",
            "destination_recipient_limit",
            "extra_recipient_limit",
            "minimum_delivery_slots",
            "recipient_limit",
            "recipient_refill_delay",
            "recipient_refill_limit",
            "transport_rate_delay",
        )
    },
}


@dataclass(frozen=True)
class Definition:
    """
    One line of main.cf.

    @ivar text: the value as written, continuation lines joined.
    @ivar where: C{"main.cf, line 12"}, for messages.
    """

    text: str
    where: str


class BadValues(ConfigError):
    """
    @ivar names: the parameters whose definitions are wrong.
    """

    def __init__(self, problems: Sequence[str], names: Sequence[str]) -> None:
        super().__init__(problems)
        self.names = tuple(names)


class Settings(
    NetworkParameters,
    RewriteParameters,
    ProcessParameters,
    SmtpdParameters,
    SmtpdPolicyParameters,
    SmtpdSaslParameters,
    PostscreenParameters,
    SmtpdTlsParameters,
    TlsParameters,
    SmtpdAccessParameters,
    SmtpdDnsParameters,
    SmtpdExtrasParameters,
    CleanupParameters,
    MappingParameters,
    QmgrParameters,
    SmtpParameters,
    LmtpParameters,
    LocalParameters,
    CommandParameters,
    VirtualParameters,
    PluginParameters,
):
    """
    C{settings.name} is the value of parameter C{name}. Never changes.
    """

    @property
    def several_processes(self) -> bool:
        """
        Whether the server is a master and its children: process_model, where
        C{auto} is C{multi} for root, who alone can give each its own rights.
        """
        if self.process_model == "auto":
            return self.system.root
        return self.process_model == "multi"

    def __init__(
        self,
        definitions: Mapping[str, Definition] | None = None,
        system: System | None = None,
    ) -> None:
        """
        @param definitions: of main.cf, the last of each name; user-defined
            names are among them.
        @raise BadValues: with all problems, not only the first.
        """
        self.definitions = dict(definitions or {})
        self.system = system or System()
        self._texts: dict[str, str] = {}  # else $a$a of $b$b ... takes for ever
        self._parameters = {p.name: p for p in declared(type(self))}
        problems: dict[str, str] = {}
        for parameter in self._parameters.values():
            self._set(parameter, problems)
        if problems:
            # a wrong default only follows from a wrong definition
            names = [name for name in problems if name in self.definitions]
            first = [problems[name] for name in names]
            raise BadValues(first or list(problems.values()), names)

    @classmethod
    def collect(
        cls, definitions: Mapping[str, Definition], system: System
    ) -> tuple[Settings, Sequence[str]]:
        """
        For a check that is to tell everything at once.

        @return: settings in which wrong definitions are left out, and what is
            wrong with these.
        @raise BadValues: no settings can be made.
        """
        problems: list[str] = []
        left = dict(definitions)
        while True:
            try:
                return cls(left, system), problems
            except BadValues as e:
                if not e.names:
                    raise BadValues([*problems, *e.problems], ()) from e
                problems += e.problems
                for name in e.names:
                    del left[name]

    @classmethod
    def of(cls, **values: str) -> Settings:
        """
        For tests: C{Settings.of(smtpd_timeout="10s")}.
        """
        return cls({name: Definition(text, name) for name, text in values.items()})

    def override(self, values: Mapping[str, str], where: str = "-o") -> Settings:
        """
        @param values: C{-o name=value} of master.cf.
        @param where: of that service, for messages.
        @return: another snapshot; this one stays as it is.
        @raise ConfigError: with all problems.
        """
        changed = {name: Definition(text, where) for name, text in values.items()}
        return type(self)({**self.definitions, **changed}, self.system)

    def text(self, name: str) -> str:
        """
        @return: the expanded text of any parameter, declared or user-defined;
            C{""} for one that is neither.
        @raise ValueError: the text cannot be expanded.
        """
        try:
            return self._text(name, ())
        except RecursionError as e:
            raise ValueError("nests too deep") from e

    def parameter(self, name: str) -> Parameter[Any] | None:
        """
        @return: its declaration.
        """
        return self._parameters.get(name)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """
        @return: all that are declared.
        """
        owner: type = cls
        return _names(owner)

    def is_known(self, name: str) -> bool:
        """
        @return: is it declared or defined?
        """
        return name in self._parameters or name in self.definitions

    def of_transport(self, transport: str, suffix: str) -> str:
        """
        The expanded text of a parameter that each transport has of its own.

        @param suffix: C{"destination_concurrency_limit"} and its kin; see
            L{FAMILIES}.
        """
        return self.text(self.transport_parameter(transport, suffix))

    def transport_parameter(self, transport: str, suffix: str) -> str:
        """
        @return: the name of the parameter that counts.
        """
        own = f"{transport}_{suffix}"
        return own if self.is_known(own) else FAMILIES[suffix]

    def transport_count(self, transport: str, suffix: str) -> int:
        """
        As L{of_transport}, a number.
        """
        return to_count(self.of_transport(transport, suffix))

    def transport_time(self, transport: str, suffix: str) -> float:
        """
        As L{of_transport}, in seconds.
        """
        return to_time(self.of_transport(transport, suffix), "s")

    def _text(self, name: str, above: tuple[str, ...]) -> str:
        if name in self._texts:
            return self._texts[name]
        if name in above:
            raise SelfReference(
                f"refers to itself: {' -> '.join((*above, name))}: write its value out"
            )
        if len(above) > MAX_NESTING:
            raise ValueError(f"refers to {above[0]} and so on, {MAX_NESTING} deep")
        if name in self.definitions:
            raw = self.definitions[name].text
        else:
            raw = self._default(name, above)
        text = expand(raw, lambda n: self._text(n, (*above, name)))
        if self.is_known(name):
            self._texts[name] = text
        return text

    def _default(self, name: str, above: tuple[str, ...]) -> str:
        parameter = self._parameters.get(name)
        if parameter is None:
            # Not for what a default of ours names (proxy_read_maps): that
            # would load them all at every start, and they have no tables.
            written = not above or any(each in self.definitions for each in above)
            return _default_of_later(name) if written else ""
        if isinstance(parameter.default, str):
            return parameter.default
        return parameter.default(
            lambda n: self._text(n, (*above, name)), self.system
        ).replace("$", "$$")

    def _set(self, parameter: Parameter[object], problems: dict[str, str]) -> None:
        name = parameter.name
        definition = self.definitions.get(name)
        text = definition.text if definition else ""
        try:
            if parameter.expand:
                text = self.text(name)
            elif definition is None and isinstance(parameter.default, str):
                text = parameter.default
            self.__dict__[parameter.attribute] = parameter.convert(text)
        except ValueError as e:
            where = definition.where if definition else "default"
            problems[name] = f"{where}: {name} = {text}: {e}"


def _default_of_later(name: str) -> str:
    """
    @return: the default of a parameter that is only declared; an obsolete one
        has none, so that C{${old?$old}} finds out whether it is set.
    """
    # Here, because most processes never ask.
    from txmta.config.parameters.every import later

    parameter = later().get(name)
    if parameter is None or parameter.status is Status.OBSOLETE:
        return ""
    return parameter.default if isinstance(parameter.default, str) else ""


# Each child of the server asks, and would copy the pages of all declarations.
@cache
def _names(owner: type) -> tuple[str, ...]:
    return tuple(parameter.name for parameter in declared(owner))
