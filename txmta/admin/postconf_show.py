"""
What C{postconf} shows of main.cf and master.cf.

Owns: which parameters, entries and columns are shown, in which order.
Knows nothing of: options of the command line.

Sources: Postfix's postconf(1).

Errors: L{Fatal<txmta.admin.common.Fatal>}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from txmta.admin.postconf_files import Service
from txmta.admin.postconf_known import RAW, Kind, Known
from txmta.admin.postconf_patterns import ANY, Pattern, column, pattern
from txmta.admin.postconf_print import (
    entry_line,
    field_line,
    field_text,
    json_line,
    line,
)
from txmta.admin.postconf_values import Values
from txmta.config.master_lines import COLUMNS, COMMAND


@dataclass(frozen=True)
class Style:
    """
    @ivar fold: lines of at most 80 columns.
    @ivar named: with the name before the value.
    @ivar valued: with the value.
    @ivar expand: C{$name} is expanded.
    @ivar json: one object a line.
    """

    fold: bool = False
    named: bool = True
    valued: bool = True
    expand: bool = False
    json: bool = False

    def line(self, name: str, value: str) -> str:
        if self.json:
            return json_line(name, value)
        if not self.valued:
            return line(name, self.fold)
        return line(f"{name} = {value}" if self.named else value, self.fold)


class Show:
    def __init__(
        self,
        values: Values,
        known: Known,
        style: Style,
        write: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self._values = values
        self._known = known
        self._style = style
        self._write = write
        self._warn = warn

    def parameters(self, names: Sequence[str], kinds: Kind, explicit: bool) -> None:
        """
        Show parameters of main.cf.

        @param names: none: all.
        @param explicit: only those that are set.
        """
        if names:
            for name in names:
                if name in self._known:
                    self._parameter(name, explicit)
                else:
                    self._warn(f"{name}: unknown parameter")
            return
        for name, kind in sorted(self._known.kinds.items()):
            if kind & kinds:
                self._parameter(name, explicit)

    def _parameter(self, name: str, explicit: bool) -> None:
        value = self._values.written(name, explicit=explicit)
        if value is None:
            return
        if self._style.expand and name not in RAW:
            value = self._values.expanded(value)
        self._write(self._style.line(name, value))

    def entries(self, services: Iterable[Service], texts: Sequence[str]) -> None:
        """
        Show entries of master.cf.

        @param texts: C{service/type} of those to show; none: all.
        """
        usage = "-M option requires service_name[/type]"
        for service, _pattern in self._chosen(services, texts, 2, usage):
            entry = service.line
            if self._style.json:
                fields = [field_text(entry, n) for n in range(COMMAND)]
                command = field_text(entry, COMMAND, self._changed(service))
                self._write(json_line(entry.space, " ".join((*fields, command))))
                continue
            self._write(entry_line(entry, self._style.fold, self._changed(service)))

    def fields(self, services: Iterable[Service], texts: Sequence[str]) -> None:
        """
        Show columns of master.cf.
        """
        usage = "-F option requires service_name[/type[/field]]"
        for service, one in self._chosen(services, texts, 3, usage, check=column):
            number = column(one.last)
            for each in range(len(COLUMNS)) if number is None else (number,):
                self._write(self._field(service, each))

    def _field(self, service: Service, number: int) -> str:
        entry, style = service.line, self._style
        name = f"{entry.space}/{COLUMNS[number]}"
        if style.json:
            return json_line(name, field_text(entry, number, self._changed(service)))
        if not style.valued:
            return f"{name}\n"
        changed = self._changed(service)
        return field_line(entry, number, style.named, style.fold, changed)

    def overrides(
        self, services: Iterable[Service], texts: Sequence[str], everywhere: bool
    ) -> None:
        """
        Show C{-o} of services.

        @param everywhere: what is not set there has its value from main.cf or
            the default.
        """
        usage = "-P option requires service_name[/type[/parameter]]"
        for service, one in self._chosen(services, texts, 3, usage, count=False):
            given = service.given
            names = sorted(given) if one.last == ANY else [one.last]
            if not everywhere:
                names = [name for name in names if name in given]
            for name in names:
                value = self._values.written(name, service)
                if value is not None:
                    one.matched += 1
                    self._override(service, name, value)
            if one.last == ANY and given:
                one.matched += 1

    def _override(self, service: Service, name: str, value: str) -> None:
        if self._style.expand:
            value = self._values.expanded(value, service)
        self._write(self._style.line(f"{service.line.space}/{name}", value))

    def _chosen(
        self,
        services: Iterable[Service],
        texts: Sequence[str],
        parts: int,
        usage: str,
        count: bool = True,
        check: Callable[[str], object] = str,
    ) -> Iterator[tuple[Service, Pattern]]:
        """
        @param count: a service that matches is a match.
        @param check: of the last part.
        @return: services with the patterns that match; those without a match
            are told at the end.
        """
        patterns = [pattern(text, 1, parts, usage) for text in texts]
        for one in patterns:
            check(one.last)
        everything = Pattern(ANY, (ANY,) * parts)
        for service in services:
            for one in patterns or (everything,):
                if one.is_of(service.line):
                    one.matched += count
                    yield service, one
        for one in patterns:
            if not one.matched:
                self._warn(f'unmatched request: "{one.text}"')

    def _changed(self, service: Service) -> Callable[[str], str]:
        if not self._style.expand:
            return str
        return lambda text: self._values.expanded(text, service)
