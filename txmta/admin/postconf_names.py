"""
Which names of the administrator's own are used, and which are not.

Owns: what C{$name} and smtpd_restriction_classes ask for; warnings of what is
    set and not used, asked for and not set, or of a time gone by.
Knows nothing of: where values come from, how tables are configured
    (L{txmta.admin.postconf_databases}).

Sources: Postfix's postconf(1), DEPRECATION_README.

Errors: L{Fatal<txmta.admin.common.Fatal>}.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from txmta.admin.postconf_databases import Databases
from txmta.admin.postconf_files import Files, Service
from txmta.admin.postconf_known import RAW, READ_ONLY, Kind, Known
from txmta.admin.postconf_order import in_order
from txmta.admin.postconf_values import Values
from txmta.config.expansion import MacroError, scan

Warn = Callable[[str], None]

_BETWEEN = re.compile(r"[, \t\r\n]+")

_NOTHING = ""
_DEFAULT = "do not specify (leave at default)"

#: Names that will go or are gone, and what to write instead.
DEPRECATED: Mapping[str, str] = {
    "authorized_verp_clients": "smtpd_authorized_verp_clients",
    "deleted-test-only": _NOTHING,
    "disable_dns_lookups": "smtp_dns_support_level",
    "fallback_relay": "smtp_fallback_relay",
    "postscreen_blacklist_action": "postscreen_denylist_action",
    "postscreen_dnsbl_ttl": "postscreen_dnsbl_max_ttl",
    "postscreen_dnsbl_whitelist_threshold": "postscreen_dnsbl_allowlist_threshold",
    "postscreen_enforce_tls": "postscreen_tls_security_level",
    "postscreen_use_tls": "postscreen_tls_security_level",
    "postscreen_whitelist_interfaces": "postscreen_allowlist_interfaces",
    "smtpd_client_connection_limit_exceptions": "smtpd_client_event_limit_exceptions",
    "smtpd_enforce_tls": "smtpd_tls_security_level",
    "smtpd_per_record_deadline": "smtpd_per_request_deadline",
    "smtpd_tls_dh1024_param_file": _DEFAULT,
    "smtpd_tls_eecdh_grade": _DEFAULT,
    "smtpd_use_tls": "smtpd_tls_security_level",
    "tlsproxy_client_enforce_tls": "tlsproxy_client_security_level",
    "tlsproxy_client_level": "tlsproxy_client_security_level",
    "tlsproxy_client_per_site": "tlsproxy_client_policy_maps",
    "tlsproxy_client_policy": "tlsproxy_client_policy_maps",
    "tlsproxy_client_use_tls": "tlsproxy_client_security_level",
    "tlsproxy_enforce_tls": "tlsproxy_tls_security_level",
    "tlsproxy_use_tls": "tlsproxy_tls_security_level",
    "virtual_maps": "virtual_alias_maps",
    **{
        f"{client}_{old}": new and f"{client}_{new}"
        for client in ("lmtp", "smtp")
        for old, new in (
            ("cname_overrides_servername", _NOTHING),
            ("enforce_tls", "tls_security_level"),
            ("per_record_deadline", "per_request_deadline"),
            ("tls_enforce_peername", "tls_security_level"),
            ("tls_per_site", "tls_policy_maps"),
            ("use_tls", "tls_security_level"),
        )
    },
}


class Names:
    """
    Finds out who uses what, once.
    """

    def __init__(self, files: Files, known: Known, values: Values, warn: Warn) -> None:
        self._files = files
        self._known = known
        self._values = values
        self._warn = warn

    def look(self, databases: Databases) -> None:
        """
        Look at all values: those of services, defaults, main.cf.

        @param databases: asked about tables that are used.
        """
        for service in self._files.services:
            self._space(service, service.given)
        for name, text in list(self._known.written_defaults()):
            if name not in self._files.main and name not in RAW:
                self._scan(text, None)
        self._space(None, self._files.main)
        self._values.forget()
        spaces: Sequence[Service | None] = (*self._files.services, None)
        for space in spaces:
            given = self._files.main if space is None else space.given
            for name in in_order(given):
                if self._is_used(name, space) and name not in RAW:
                    # Part of a name, perhaps, if it is no parameter of Postfix.
                    whole = self._known.kinds.get(name, Kind.USER) != Kind.USER
                    databases.look(given[name], space, self._use_of_table, whole)

    def _space(self, service: Service | None, given: dict[str, str]) -> None:
        classes = given.get("smtpd_restriction_classes")
        if classes is not None:
            expanded = self._values.expanded(classes, service)
            for name in filter(None, _BETWEEN.split(expanded)):
                self._use(name, service)
        for name in in_order(given):
            text = given[name]
            if name in READ_ONLY:
                path = self._files.path(service)
                self._warn(f"{path}: read-only parameter assignment: {name}={text}")
                del given[name]
                continue
            self._known.set(name)
            if name not in RAW:
                self._scan(text, service)

    def _scan(self, text: str, service: Service | None) -> None:
        try:
            for name in scan(text):
                self._use(name, service)
        except MacroError as e:
            self._warn(e.what)
        except ValueError as e:
            self._warn(str(e))

    def _use_of_table(self, name: str, service: Service | None) -> None:
        self._use(name, service, tell=False)

    def _use(self, name: str, service: Service | None, tell: bool = True) -> None:
        """
        Somebody asks for a name.

        @param service: whose C{-o} asks; L{None}: a line of main.cf, which
            counts for all services.
        """
        if service is not None and name in service.given:
            service.used.add(name)
            return
        found = name in self._files.main
        if found:
            self._known.add(name)
        if service is None:
            for each in self._files.services:
                if name in each.given:
                    found = True
                    each.used.add(name)
        if tell and not found and name not in self._known:
            path = self._files.path(service)
            self._warn(f"{path}: undefined parameter: {name}")

    def _is_used(self, name: str, service: Service | None) -> bool:
        return name in self._known or (service is not None and name in service.used)

    def tell(self, main: bool) -> None:
        """
        Warn of what is set and not used, or deprecated.

        @param main: in main.cf, too.
        """
        told = False
        if main:
            told = self._tell(None, self._files.main)
        for service in self._files.services:
            told |= self._tell(service, service.given)
        if told:
            self._warn(
                "See https://www.postfix.org/DEPRECATION_README.html for details"
            )

    def _tell(self, service: Service | None, given: Mapping[str, str]) -> bool:
        """
        @return: was there anything deprecated?
        """
        path = self._files.path(service)
        told = False
        for name, text in sorted(given.items()):
            used = self._is_used(name, service)
            if name in DEPRECATED:
                # without quotation marks if it has been removed, as there
                what = f'"{name}" will be' if used else f"{name} has been"
                self._warn(
                    f"{path}: support for parameter {what} removed; "
                    f"instead, {_instead(name)}"
                )
                told = True
            elif not used:
                self._warn(f"{path}: unused parameter: {name}={text}")
        return told


def _instead(name: str) -> str:
    new = DEPRECATED[name]
    if not new:
        return "do not specify"
    # as there, again
    plain = " " in new or name == "lmtp_enforce_tls"
    return new if plain else f'specify "{new}"'
