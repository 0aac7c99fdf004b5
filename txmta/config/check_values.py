"""
Values of main.cf that are well formed, but wrong together or for this machine.

Owns: addresses, sizes, domains, next hops and paths that cannot work.
Knows nothing of: master.cf, tables, restrictions.

Sources: Postfix's postconf(5); C{global/mynetworks.c}, C{local/local.c},
    C{postlogd/postlogd.c}.

Errors: none: all is in C{problems} and C{warnings}.
"""

from __future__ import annotations

from txmta.config import networks
from txmta.config.addresses import own_interfaces
from txmta.config.declare import to_words
from txmta.config.settings import Settings


class ValueChecks:
    """
    @ivar problems: each refuses the start; file and line come first.
    @ivar warnings: for the log.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self._network()
        self._sizes()
        self._domains()
        self._log_file()

    def _network(self) -> None:
        settings = self._settings
        try:
            own_interfaces(
                settings.inet_interfaces, settings.inet_protocols, settings.system
            )
        except ValueError as e:
            self._problem("inet_interfaces", str(e))
        for word in settings.mynetworks:
            if trouble := networks.wrong(word):
                self._problem("mynetworks", trouble)
            elif networks.is_everybody(word):
                self.warnings.append(
                    f"{self._where('mynetworks')}: mynetworks: {word} trusts the "
                    "whole Internet: everybody may relay"
                )

    def _sizes(self) -> None:
        most = self._number("message_size_limit")
        for name in ("mailbox_size_limit", "virtual_mailbox_limit"):
            limit = self._number(name)
            if most is not None and limit and (limit < most or most == 0):
                self._problem(
                    name,
                    f"{limit} is smaller than message_size_limit: make it larger, or "
                    "0 for no limit",
                )

    def _number(self, name: str) -> int | None:
        value = getattr(self._settings, name, None)
        return value if isinstance(value, int) else None

    def _domains(self) -> None:
        settings = self._settings
        mine = {word.lower() for word in settings.mydestination}
        name = "virtual_mailbox_domains"
        for word in to_words(settings.text(name)):
            if word.lower() in mine:
                self.warnings.append(
                    f"{self._where(name)}: do not list domain {word} in BOTH "
                    f"mydestination and {name}"
                )

    def _log_file(self) -> None:
        path = self._settings.maillog_file
        prefixes = self._settings.maillog_file_prefixes
        # Only where it is written: see its note.
        wanted = "maillog_file_prefixes" in self._settings.definitions
        if wanted and path and not path.startswith(prefixes):
            self._problem(
                "maillog_file",
                f"{path} does not begin with one of maillog_file_prefixes "
                f"({', '.join(prefixes)}): change the one or the other",
            )

    def _where(self, name: str) -> str:
        definition = self._settings.definitions.get(name)
        return definition.where if definition else "default"

    def _problem(self, name: str, trouble: str) -> None:
        self.problems.append(f"{self._where(name)}: {name}: {trouble}")
