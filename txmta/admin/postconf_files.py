"""
main.cf and master.cf, as C{postconf} reads them.

Owns: what stands in the files, by parameter and by service; what is wrong with
    them, in Postfix's words.
Knows nothing of: which parameters there are.

L{txmta.config.main_cf} reads main.cf for the server, and refuses what this
shows.

Sources: Postfix's postconf(5), master(5), C{util/dict.c}.

Errors: L{Fatal<txmta.admin.common.Fatal>}.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from txmta.admin.common import DEFAULT_DIRECTORY, Fatal
from txmta.config.lines import MAX_FILE
from txmta.config.master_lines import (
    BadFieldCount,
    MasterLine,
    logical_lines,
    parse,
    split_name_value,
)

Warn = Callable[[str], None]


@dataclass
class Service:
    """
    One entry of master.cf.

    @ivar given: values of C{-o}.
    @ivar fixed: what the server sets for it.
    @ivar used: names of the administrator's own, among C{given}, that somebody
        asks for.
    """

    line: MasterLine
    given: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def fixed(self, name: str) -> str | None:
        if name == "service_name":
            return self.line.name
        return self.line.program if name == "process_name" else None


@dataclass
class Files:
    """
    @ivar folder: as given; C{""}: where main.cf is without C{-c}.
    @ivar main: values of main.cf by name, C{-o} included.
    """

    folder: str
    main: dict[str, str] = field(default_factory=dict)
    services: Sequence[Service] = ()

    @property
    def main_path(self) -> str:
        return f"{self.folder}/main.cf"

    @property
    def master_path(self) -> str:
        return f"{self.folder}/master.cf"

    def path(self, service: Service | None) -> str:
        """
        @return: the file that settings of a service, or of none, are in.
        """
        return self.main_path if service is None else self.master_path


def config_directory(option: str) -> str:
    """
    @param option: C{-c}, or C{""}.
    """
    return option or os.environ.get("MAIL_CONFIG") or DEFAULT_DIRECTORY


def read_main(files: Files, warn: Warn) -> None:
    """
    Fill in C{files.main}.
    """
    path = files.main_path
    files.main.clear()
    files.main["config_directory"] = files.folder
    read_settings(path, read(path), files.main, warn)


def override(files: Files, options: Sequence[str]) -> None:
    """
    @param options: C{name=value} of C{postconf -o}.
    """
    for option in options:
        try:
            name, value = split_name_value(option)
        except ValueError as e:
            raise Fatal(f"invalid parameter override: {option}: {e}") from e
        files.main[name] = value


def read_settings(path: str, text: str, into: dict[str, str], warn: Warn) -> None:
    """
    @param path: for messages.
    @param text: C{name = value} lines.
    """
    lines = logical_lines(text, lambda what: warn(f"{path}: {what}"))
    for number, line in lines:
        where = f"{path}, line {number}"
        try:
            name, value = split_name_value(line)
        except ValueError as e:
            raise Fatal(f'{where}: {e}: "{line}"') from e
        if into.get(name, value) != value:
            warn(f"{where}: overriding earlier entry: {name}={into[name]}")
        into[name] = value


def read_master(files: Files, warn: Warn, needed: bool) -> None:
    """
    Fill in C{files.services}; without a master.cf, with those that the server
    has then.

    @param needed: the file is what was asked for.
    """
    path = files.master_path
    try:
        text = read(path)
    except Fatal as e:
        if needed:
            raise
        warn(str(e))
        # Here, for there usually is one.
        from txmta.config.master_cf import builtin_master_cf

        text = "".join(
            f"{s.name} {s.type} - - - - - {s.program}\n" for s in builtin_master_cf()
        )
    services: list[Service] = []
    # shared by entries of the same name and type, from the first with any
    spaces: dict[str, dict[str, str]] = {}
    for number, line in logical_lines(text, lambda what: warn(f"{path}: {what}")):
        try:
            entry = parse(line, lambda what: warn(f"master.cf: {what}"))
        except BadFieldCount as e:
            raise Fatal(f"file {path}: line {number}: {e}") from e
        except ValueError as e:
            raise Fatal(str(e)) from e
        given = entry.parameters()
        if entry.space in spaces or given:
            shared = spaces.setdefault(entry.space, {})
            shared.update(given)
            given = shared
        services.append(Service(entry, given))
    files.services = services


def read(path: str, why: str = "") -> str:
    """
    @param why: for the message, if it cannot be opened.
    @return: a configuration file; octets that are not UTF-8 as surrogates.
    @raise Fatal: it cannot be read, or is too large.
    """
    try:
        with open(path, "rb") as file:
            octets = file.read(MAX_FILE + 1)
    except OSError as e:
        raise Fatal(f"open {path}{why}: {e.strerror}") from e
    if len(octets) > MAX_FILE:
        raise Fatal(f"{path}: is larger than {MAX_FILE} octets")
    return octets.decode("utf-8", "surrogateescape")
