"""
Values of main.cf that are well formed, but wrong together or for this machine.

Owns: addresses, sizes, domains, next hops and paths that cannot work.
Knows nothing of: master.cf, tables, restrictions.

Sources: Postfix's postconf(5); C{global/mynetworks.c}, C{local/local.c},
    C{postlogd/postlogd.c}.

Errors: none: all is in C{problems} and C{warnings}.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from txmta.config import networks
from txmta.config.addresses import named_addresses, own_interfaces
from txmta.config.declare import to_words
from txmta.config.next_hop import wrong_next_hop
from txmta.config.settings import Settings

#: Lists of networks.
NETWORKS = (
    "mynetworks",
    "smtpd_client_event_limit_exceptions",
    "smtpd_forbid_bare_newline_exclusions",
    "smtpd_authorized_xclient_hosts",
    "smtpd_authorized_xforward_hosts",
    "permit_mx_backup_networks",
    "debug_peer_list",
    "smtpd_sasl_exceptions_networks",
)

#: Transports whose next hop is that of smtp(8), in any usual master.cf.
_SMTP = ("smtp", "relay")


class ValueChecks:
    """
    @ivar problems: each refuses the start; file and line come first.
    @ivar warnings: for the log.
    """

    def __init__(
        self,
        settings: Settings,
        only: Collection[str] | None = None,
        programs: Collection[str] | None = None,
    ) -> None:
        """
        @param only: parameters of which to tell; L{None}: all.
        @param programs: those of master.cf; L{None}: all.
        """
        self._settings = settings
        self._only = only
        self._programs = programs
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self._interfaces()
        for name in NETWORKS:
            # The defaults of the others refer to mynetworks.
            if name == "mynetworks" or name in settings.definitions:
                self._networks(name)
        self._next_hops()
        self._bind_addresses()
        self._sizes()
        self._domains()
        self._log_file()

    def _interfaces(self) -> None:
        settings = self._settings
        try:
            own_interfaces(
                settings.inet_interfaces, settings.inet_protocols, settings.system
            )
        except ValueError as e:
            self._problem("inet_interfaces", str(e))
        for word in settings.proxy_interfaces:
            try:
                named_addresses(word, settings.system)
            except ValueError as e:
                self._problem("proxy_interfaces", str(e))

    def _networks(self, name: str) -> None:
        for word in getattr(self._settings, name):
            if trouble := networks.wrong(word):
                self._problem(name, trouble)
            elif name == "mynetworks" and networks.is_everybody(word):
                self._warning(
                    name, f"{word} trusts the whole Internet: everybody may relay"
                )

    def _next_hops(self) -> None:
        settings = self._settings
        for name in ("default_transport", "relay_transport", "local_transport"):
            transport, _colon, next_hop = settings.text(name).partition(":")
            if transport in _SMTP and (trouble := wrong_next_hop(next_hop)):
                self._problem(name, trouble)
        usual = settings.default_transport.partition(":")[0] in _SMTP
        if usual and (trouble := wrong_next_hop(settings.relayhost)):
            self._problem("relayhost", trouble)

    def _bind_addresses(self) -> None:
        for name, version in (
            ("smtp_bind_address", 4),
            ("smtp_bind_address6", 6),
            ("lmtp_bind_address", 4),
            ("lmtp_bind_address6", 6),
        ):
            text = self._settings.text(name).strip("[]")
            try:
                good = not text or ipaddress.ip_address(text).version == version
            except ValueError:
                good = False
            if not good:
                self._problem(
                    name, f"{text} is no IPv{version} address: write one of ours"
                )

    def _sizes(self) -> None:
        most = self._settings.message_size_limit
        for name, program in (
            ("mailbox_size_limit", "local"),
            ("virtual_mailbox_limit", "virtual"),
        ):
            if self._programs is not None and program not in self._programs:
                continue  # nobody writes such a mailbox
            limit = getattr(self._settings, name)
            if limit and (limit < most or most == 0):
                # Whichever of the two is written.
                place = name if name in self._settings.definitions else ""
                self._problem(
                    name,
                    f"{limit} is smaller than message_size_limit ({most or 'none'}): "
                    "make it larger, or 0 for no limit",
                    place or "message_size_limit",
                )

    def _domains(self) -> None:
        settings = self._settings
        mine = {word.lower() for word in settings.mydestination}
        name = "virtual_mailbox_domains"
        for word in to_words(settings.text(name)):
            if word.lower() in mine:
                self._warning(
                    name, f"do not list domain {word} in BOTH mydestination and {name}"
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

    def _problem(self, name: str, trouble: str, place: str = "") -> None:
        if self._only is None or name in self._only or place in self._only:
            self.problems.append(f"{self._where(place or name)}: {name}: {trouble}")

    def _warning(self, name: str, trouble: str) -> None:
        if self._only is None or name in self._only:
            self.warnings.append(f"{self._where(name)}: {name}: {trouble}")
