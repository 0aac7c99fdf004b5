"""
A few parameters of main.cf, at little cost.

Owns: reading main.cf for commands that start anew for each message: all of
    L{txmta.config.settings} takes longer to import than the command to run.
Knows nothing of: what the parameters are for.

What is not as simple as usual is left to L{txmta.config.settings}, which tells
what is wrong in its own words. A test compares the two.

Sources: Postfix's postconf(5).

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

import os

from txmta.config.expansion import expand
from txmta.errors import ConfigError

#: Octets of main.cf; more is left to the settings.
_MAX_FILE = 1 << 20

#: Defaults that need nothing else to be known.
DEFAULTS = {
    "queue_directory": "/var/spool/txmta",
    "message_size_limit": "10240000",
    "header_size_limit": "102400",
    "authorized_submit_users": "static:anyone",
    "multi_instance_name": "",
    "mail_owner": "postfix",
    "default_database_type": "hash",
    "alias_database": "$default_database_type:/etc/aliases",
    "compatibility_level": "3.11",
    "smtputf8_enable": "${{$compatibility_level} <level {1} ? {no} : {yes}}",
    "syslog_name": "${multi_instance_name?{$multi_instance_name}:{postfix}}",
}

_MAX_DEPTH = 20


class NotSimple(Exception):
    """
    Ask the settings.
    """


class QuickSettings:
    """
    @ivar path: of main.cf.
    """

    def __init__(self, path: str) -> None:
        """
        @raise ConfigError: it cannot be read.
        """
        self.path = path
        folder = os.path.dirname(os.path.abspath(path))
        self._definitions = _definitions(path)
        # Always where main.cf is, as for the server.
        self._definitions["config_directory"] = folder

    def text(self, name: str) -> str:
        """
        @param name: one of L{DEFAULTS}.
        @return: its expanded text.
        @raise ConfigError: there is none, for main.cf is wrong.
        """
        try:
            text = self._text(name, 0)
            if name == "queue_directory" and not text.startswith("/"):
                raise NotSimple
            return text.rstrip("/") or "/" if name == "queue_directory" else text
        except (NotSimple, ValueError):
            return self._by_settings(name)

    def count(self, name: str) -> int:
        text = self.text(name)
        if not text.isascii() or not text.isdigit():
            text = self._by_settings(name)
        return int(text)

    def _text(self, name: str, depth: int) -> str:
        raw = self._definitions.get(name, DEFAULTS.get(name))
        if raw is None or depth > _MAX_DEPTH:
            raise NotSimple
        if "$" not in raw:
            return raw
        return expand(raw, lambda each: self._text(each, depth + 1))

    def _by_settings(self, name: str) -> str:
        from txmta.config.main_cf import read_main_cf
        from txmta.config.settings import Definition, Settings
        from txmta.config.system import this_machine

        definitions = dict(read_main_cf(self.path).definitions)
        folder = os.path.dirname(os.path.abspath(self.path))
        definitions["config_directory"] = Definition(folder, self.path)
        settings = Settings(definitions, this_machine())
        value = getattr(settings, name)
        return str(value) if isinstance(value, str | int) else settings.text(name)


def _definitions(path: str) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            octets = file.read(_MAX_FILE + 1)
    except OSError as e:
        raise ConfigError([f"open {path}: {e.strerror}"]) from e
    if len(octets) > _MAX_FILE:
        raise ConfigError([f"{path}: larger than {_MAX_FILE} octets"])
    lines: list[str] = []
    for line in octets.decode("utf-8", "surrogateescape").split("\n"):
        bare = line.strip()
        if not bare or bare[0] == "#":
            continue
        if line[0].isspace() and lines:
            lines[-1] += line
        else:
            lines.append(line)
    found: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip()] = value.strip()
    return found
