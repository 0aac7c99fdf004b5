"""
Which parameters C{postconf} knows, of which class, with which default.

Owns: built-in names (the declarations of L{txmta.config}), old names that count
    only when they are set, names that a service of master.cf brings, names
    that the program sets itself.
Knows nothing of: main.cf; which names of the administrator's own are used
    (L{txmta.admin.postconf_names}).

All declarations are loaded, but no settings are made of them: that takes
longer, and stops at the first error.

Sources: Postfix's postconf(1), postconf(5). Debian's C{postconf -d} is the
    oracle of the tests.

Errors: none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from enum import Flag
from functools import cache
from typing import Any

from txmta.config.declare import Lookup, Parameter, System, declared
from txmta.config.master_lines import MasterLine
from txmta.config.parameters.every import later
from txmta.config.settings import FAMILIES, Settings


class Kind(Flag):
    """
    What C{postconf -C} chooses by.
    """

    HIDDEN = 0
    BUILTIN = 1
    SERVICE = 2
    USER = 4
    ALL = 7


#: Names of before; defaults of others still ask for them. Shown when set.
OLD = frozenset(
    (
        "authorized_verp_clients",
        "fallback_relay",
        "lmtp_per_record_deadline",
        "postscreen_blacklist_action",
        "postscreen_dnsbl_ttl",
        "postscreen_dnsbl_whitelist_threshold",
        "postscreen_whitelist_interfaces",
        "smtp_per_record_deadline",
        "smtpd_client_connection_limit_exceptions",
        "smtpd_per_record_deadline",
        "tlsproxy_client_level",
        "tlsproxy_client_policy",
        "virtual_maps",
    )
)

#: Names in Postfix's manual that no program of Postfix asks for.
MANUAL_ONLY = frozenset(
    (
        "domain_to_ascii",
        "enable_errors_to",
        "extract_recipient_limit",
        "lmtp_cache_connection",
        "postscreen_starttls_timeout",
        "sender_based_routing",
        "smtp_skip_4xx_greeting",
        "smtp_tls_cipherlist",
        "smtpd_sasl_application_name",
        "smtpd_tls_cipherlist",
        "tls_dane_digest_agility",
        "tls_dane_trust_anchor_digest_enable",
        "tlsproxy_tls_session_cache_timeout",
    )
)

#: Declared, and no parameters of C{postconf}; C{transport_} stands for any.
_NOT_NAMES = MANUAL_ONLY | {f"transport_{suffix}" for suffix in FAMILIES}

#: Those whose C{$name} is expanded at use, by the program and not for C{-x}.
RAW = frozenset(
    (
        "command_execution_directory",
        "default_rbl_reply",
        "forward_path",
        "luser_relay",
        "mailbox_command",
        "postscreen_expansion_filter",
        "postscreen_reject_footer",
        "smtpd_expansion_filter",
        "smtpd_reject_footer",
    )
)

#: Those that the program sets itself.
READ_ONLY = frozenset(("process_id", "process_name", "service_name"))

#: Suffixes of the names that a service brings, by its program.
_DELIVERY = tuple(suffix for suffix in FAMILIES if suffix != "time_limit")
SERVICES: dict[str, Sequence[str]] = {
    **dict.fromkeys(("error", "lmtp", "local", "smtp", "virtual"), _DELIVERY),
    "pipe": ("time_limit", *_DELIVERY),
    "spawn": ("time_limit",),
}


class Known:
    """
    @ivar kinds: class by name.
    """

    def __init__(self, machine: Callable[[], System], process: str) -> None:
        """
        @param machine: asked when a default needs it.
        @param process: the value of process_name.
        """
        self.kinds: dict[str, Kind] = {}
        self._machine = cache(machine)
        self._parameters: dict[str, Parameter[Any]] = {}
        for parameter in (*later().values(), *declared(Settings)):
            if parameter.name not in _NOT_NAMES and not _of_service(parameter):
                self._parameters[parameter.name] = parameter
        for name in self._parameters:
            self.kinds[name] = Kind.HIDDEN if name in OLD else Kind.BUILTIN
        self._texts = {
            **dict.fromkeys(OLD, ""),
            "process_name": process,
            "process_id": str(os.getpid()),
            "service_name": "",
        }
        self.kinds.update(dict.fromkeys(READ_ONLY, Kind.BUILTIN))

    def __contains__(self, name: str) -> bool:
        return name in self.kinds

    def add(self, name: str) -> None:
        """
        A name of the administrator's own that is set, and used.
        """
        self.kinds.setdefault(name, Kind.USER)

    def set(self, name: str) -> None:
        """
        One of L{OLD} is set: it is shown.
        """
        if self.kinds.get(name) == Kind.HIDDEN:
            self.kinds[name] = Kind.USER

    def add_services(self, lines: Sequence[MasterLine]) -> None:
        """
        The names that services bring.
        """
        for line in lines:
            for suffix in SERVICES.get(line.program, ()):
                name = f"{line.name}_{suffix}"
                if name not in self._parameters:
                    self._texts.setdefault(name, f"${FAMILIES[suffix]}")
                self.kinds[name] = Kind.SERVICE

    def default(self, name: str, lookup: Lookup) -> str | None:
        """
        @param lookup: expanded text of other parameters.
        @return: as written, not expanded; L{None} for a name that has none.
        """
        if name in self._texts:
            return self._texts[name]
        parameter = self._parameters.get(name)
        if parameter is None:
            return None
        if isinstance(parameter.default, str):
            return parameter.default
        return parameter.default(lookup, self._machine()).replace("$", "$$")

    def written_defaults(self) -> Iterator[tuple[str, str]]:
        """
        @return: names and defaults, but for those that are computed.
        """
        yield from self._texts.items()
        for name, parameter in self._parameters.items():
            if isinstance(parameter.default, str) and name not in self._texts:
                yield name, parameter.default


def _of_service(parameter: Parameter[Any]) -> bool:
    """
    @return: does it only exist with the service of its name? Where the default
        is another (local_destination_recipient_limit), it always does.
    """
    for suffix, base in FAMILIES.items():
        if parameter.name.endswith(f"_{suffix}") and parameter.default == f"${base}":
            return True
    return False
