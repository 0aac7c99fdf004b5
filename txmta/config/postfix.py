"""
What Postfix has and txmta may lack: names, defaults, and what to do.

Owns: which parameters must not be ignored when they are not implemented.
Knows nothing of: main.cf, settings.

Sources: Postfix's postconf(5); C{parameters/postfix.cf}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import TypeVar

from txmta.config.lines import logical_lines

T = TypeVar("T")

_REMOVE = "remove the line, or stay with Postfix until txmta has it"

_DANGEROUS: Mapping[str, str] = {
    # refuses mail
    **dict.fromkeys(
        (
            "smtpd_milters",
            "smtpd_proxy_filter",
            "header_checks",
            "mime_header_checks",
            "nested_header_checks",
            "body_checks",
            "reject_code",
        ),
        _REMOVE,
    ),
    # says where mail goes, or what its addresses are
    **dict.fromkeys(
        (
            "mailbox_command",
            "mailbox_command_maps",
            "mailbox_transport",
            "mailbox_transport_maps",
            "fallback_transport",
            "fallback_transport_maps",
            "luser_relay",
            "best_mx_transport",
            "smtp_fallback_relay",
            "smtp_bind_address",
            "smtp_bind_address6",
            "smtp_host_lookup",
            "smtp_dns_support_level",
            "disable_dns_lookups",
            "smtp_mime_header_checks",
            "smtp_nested_header_checks",
            "smtp_body_checks",
            "ignore_mx_lookup_error",
            "allow_mail_to_commands",
            "allow_mail_to_files",
            "mail_spool_directory",
            "home_mailbox",
            "forward_path",
            "virtual_mailbox_base",
            "virtual_minimum_uid",
            "soft_bounce",
            "recipient_delimiter",
            "message_strip_characters",
            "message_reject_characters",
        ),
        _REMOVE,
    ),
}

_HARMLESS_VALUES: Mapping[str, frozenset[str]] = {}


def _for_lmtp(table: Mapping[str, T]) -> Mapping[str, T]:
    """
    @return: the table, with the names of lmtp(8) beside those of smtp(8).
    """
    names = [n for n in table if n.startswith("smtp_")]
    return {**table, **{n.replace("smtp_", "lmtp_"): table[n] for n in names}}


#: Ignoring these could admit, expose, lose or misroute mail; what to do.
DANGEROUS = _for_lmtp(_DANGEROUS)

#: Values of the above that ask for nothing that matters.
HARMLESS_VALUES = _for_lmtp(_HARMLESS_VALUES)

#: What these say does not exist here, and nobody misses it.
SILENT = re.compile(
    r"(readme|html|manpage|shlib|meta|daemon|command)_directory"
    r"|(sendmail|newaliases|mailq)_path|debugger_command|debug_peer_level"
    r"|sample_directory|program_directory|process_id_directory"
    r"|multi_instance_enable|mail_release_date"
    r"|proxy_write_maps|alias_database|max_idle|max_use"
)


@lru_cache(maxsize=1)
def defaults() -> Mapping[str, str]:
    """
    @return: Postfix's default of each of its parameters, unexpanded.
    """
    text = files("txmta.config.parameters").joinpath("postfix.cf").read_text("utf-8")
    rows = (line.text.partition("=") for line in logical_lines(text))
    return {name.strip(): value.strip() for name, _, value in rows}


def danger(name: str, text: str) -> str:
    """
    @param text: expanded.
    @return: what to do instead, or C{""} if it may be ignored.
    """
    remedy = DANGEROUS.get(name, "")
    if not remedy or text.strip().lower() in HARMLESS_VALUES.get(name, ()):
        return ""
    return remedy
