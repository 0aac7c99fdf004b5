"""
A snapshot of all parameters, typed and checked.

Owns: computing defaults, expanding, converting, and telling all that is
    wrong at once.
Knows nothing of: files, packages that use the values.

Errors: L{ConfigError<txmta.errors.ConfigError>} with every problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from txmta.config.declare import Parameter, SelfReference, System, declared
from txmta.config.expansion import expand
from txmta.config.parameters.cleanup import CleanupParameters
from txmta.config.parameters.local import LocalParameters
from txmta.config.parameters.network import NetworkParameters
from txmta.config.parameters.process import ProcessParameters
from txmta.config.parameters.qmgr import QmgrParameters
from txmta.config.parameters.rewrite import RewriteParameters
from txmta.config.parameters.smtp import SmtpParameters
from txmta.config.parameters.smtpd import SmtpdParameters
from txmta.config.parameters.virtual import VirtualParameters
from txmta.errors import ConfigError


@dataclass(frozen=True)
class Definition:
    """
    One line of main.cf.

    @ivar text: the value as written, continuation lines joined.
    @ivar where: C{"main.cf, line 12"}, for messages.
    """

    text: str
    where: str


class Settings(
    NetworkParameters,
    RewriteParameters,
    ProcessParameters,
    SmtpdParameters,
    CleanupParameters,
    QmgrParameters,
    SmtpParameters,
    LocalParameters,
    VirtualParameters,
):
    """
    C{settings.name} is the value of parameter C{name}. Never changes.
    """

    def __init__(
        self,
        definitions: Mapping[str, Definition] | None = None,
        system: System | None = None,
    ) -> None:
        """
        @param definitions: of main.cf, the last of each name; user-defined
            names are among them.
        @raise ConfigError: with all problems, not only the first.
        """
        self.definitions = dict(definitions or {})
        self.system = system or System()
        problems: list[str] = []
        self._parameters = {p.name: p for p in declared(type(self))}
        for parameter in self._parameters.values():
            self._set(parameter, problems)
        if problems:
            raise ConfigError(problems)

    @classmethod
    def of(cls, **values: str) -> Settings:
        """
        For tests: C{Settings.of(smtpd_timeout="10s")}.
        """
        return cls({name: Definition(text, name) for name, text in values.items()})

    def text(self, name: str) -> str:
        """
        @return: the expanded text of any parameter, declared or user-defined;
            C{""} for one that is neither.
        """
        return self._text(name, ())

    def _text(self, name: str, above: tuple[str, ...]) -> str:
        if name in above:
            raise SelfReference(f"refers to itself: {' -> '.join((*above, name))}")
        if name in self.definitions:
            raw = self.definitions[name].text
        else:
            raw = self._default(name, above)
        return expand(raw, lambda n: self._text(n, (*above, name)))

    def _default(self, name: str, above: tuple[str, ...]) -> str:
        parameter = self._parameters.get(name)
        if parameter is None:
            return ""
        if isinstance(parameter.default, str):
            return parameter.default
        return parameter.default(
            lambda n: self._text(n, (*above, name)), self.system
        ).replace("$", "$$")

    def _set(self, parameter: Parameter[object], problems: list[str]) -> None:
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
            problems.append(f"{where}: {name} = {text}: {e}")
