"""
The kinds of restrictions that main.cf can name.

Add one by a L{Kind} in the C{KINDS} of a module here, and the module below.

Owns: which there are, old names, and what those that are gone say.
Knows nothing of: what any does.

Sources: Postfix C{smtpd/smtpd_check.c} (generic_checks); postconf(5).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Mapping

from txmta.smtp.access import (
    access_table,
    by_client,
    by_dns,
    by_dns_list,
    by_mx_backup,
    by_rate,
    by_sender,
    by_server,
    policy_service,
    restrictions,
)
from txmta.smtp.access.kinds import Kind as Kind
from txmta.smtp.access.kinds import Tools as Tools

#: By name, in lower case.
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for module in (
        *(restrictions, by_client, by_sender, access_table, policy_service),
        *(by_rate, by_dns, by_dns_list, by_server, by_mx_backup),
    )
    for kind in module.KINDS
}

#: Names of old, by what they are called now.
OLD_NAMES: Mapping[str, str] = {
    "reject_unknown_client": "reject_unknown_client_hostname",
    "reject_unknown_hostname": "reject_unknown_helo_hostname",
    "reject_invalid_hostname": "reject_invalid_helo_hostname",
    "reject_non_fqdn_hostname": "reject_non_fqdn_helo_hostname",
}

#: What Postfix has no more, and what to write.
GONE: Mapping[str, str] = {
    "permit_naked_ip_address": "write permit_mynetworks or permit_sasl_authenticated",
    "reject_maps_rbl": "write reject_rbl_client with the name of the list",
    "check_relay_domains": "write permit_mynetworks, reject_unauth_destination",
    "reject_unknown_address": "write reject_unknown_sender_domain",
}


def kind_of(name: str) -> Kind | None:
    """
    @param name: as main.cf has it.
    """
    name = name.lower()
    return KINDS.get(OLD_NAMES.get(name, name))
