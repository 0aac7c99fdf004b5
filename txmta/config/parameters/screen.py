"""
postscreen: tests that a client passes before smtpd sees it.
"""

from __future__ import annotations

import re

from txmta.config.declare import (
    Parameter,
    Status,
    boolean,
    choice,
    count,
    string,
    time,
    to_time,
    words,
)

_ACTIONS = ("ignore", "enforce", "drop")
_OWN_FILE = (
    "Kept in queue_directory/postscreen_cache.sqlite, for all processes, whatever "
    "table is named."
)
_EACH = "Each process counts for itself."


def _hours(text: str) -> float:
    """
    @param text: the default puts an C{h} behind what postscreen_dnsbl_ttl says, which
        may have a unit.
    """
    return to_time(re.sub(r"([smhdw])h$", r"\1", text.lower()), "h")


class PostscreenParameters:
    """
    Postfix: C{src/postscreen}.
    """

    postscreen_access_list = words(
        "permit_mynetworks", doc="Clients that are let through, or sent away, at once."
    )
    postscreen_allowlist_interfaces = words(
        "${postscreen_whitelist_interfaces?{$postscreen_whitelist_interfaces}:{static:all}}",
        doc="Own addresses at which a client can come to be known.",
    )
    postscreen_bare_newline_action = choice(
        "ignore", _ACTIONS, doc="What is done with a client that sends a bare newline."
    )
    postscreen_bare_newline_enable = boolean(
        "no", doc="Whether bare newlines are looked for."
    )
    postscreen_bare_newline_ttl = time(
        "30d", doc="How long that test counts as passed."
    )
    postscreen_denylist_action = choice(
        "${postscreen_blacklist_action?{$postscreen_blacklist_action}:{ignore}}",
        _ACTIONS,
        doc="What is done with a client that postscreen_access_list sends away.",
    )
    postscreen_cache_cleanup_interval = time(
        "12h", doc="How often old entries leave the cache.", unit="h"
    )
    postscreen_cache_map = string(
        "$default_cache_db_type:$data_directory/postscreen_cache",
        doc="Table that keeps what is known of clients.",
        status=Status.APPROXIMATED,
        note=_OWN_FILE,
    )
    postscreen_cache_retention_time = time(
        "7d", doc="How long entries stay after they count no more.", unit="d"
    )
    postscreen_client_connection_count_limit = count(
        "$smtpd_client_connection_count_limit",
        doc="Connections that a client may have at a time.",
        status=Status.APPROXIMATED,
        note=_EACH,
    )
    postscreen_command_count_limit = count("20", doc="Commands that a client may send.")
    postscreen_command_time_limit = time(
        "${stress?{10}:{300}}s", doc="Time for one command."
    )
    postscreen_disable_vrfy_command = boolean(
        "$disable_vrfy_command", doc="As disable_vrfy_command, for postscreen."
    )
    postscreen_discard_ehlo_keywords = words(
        "$smtpd_discard_ehlo_keywords",
        doc="As smtpd_discard_ehlo_keywords, for postscreen.",
    )
    postscreen_dnsbl_action = choice(
        "ignore",
        _ACTIONS,
        doc="What is done with a client whose score is postscreen_dnsbl_threshold or "
        "more.",
    )
    postscreen_dnsbl_allowlist_threshold = count(
        "${postscreen_dnsbl_whitelist_threshold?{$postscreen_dnsbl_whitelist_threshold}:{0}}",
        doc="The score at which other tests are left out; negative.",
        low=-(10**9),
    )
    postscreen_dnsbl_max_ttl = Parameter(
        "${postscreen_dnsbl_ttl?{$postscreen_dnsbl_ttl}:{1}}h",
        _hours,
        kind="time",
        doc="How long an answer of a DNS list counts, at most.",
    )
    postscreen_dnsbl_min_ttl = time(
        "60s", doc="How long an answer of a DNS list counts, at least."
    )
    postscreen_dnsbl_reply_map = words(
        "",
        doc="Names to be said of DNS lists whose own name is a secret.",
        kind="tables",
    )
    postscreen_dnsbl_sites = words("", doc="DNS lists, with reply filters and weights.")
    postscreen_dnsbl_threshold = count(
        "1", doc="The score at which postscreen_dnsbl_action is done."
    )
    postscreen_dnsbl_timeout = time("10s", doc="Time for the answers of DNS lists.")
    postscreen_forbidden_commands = words(
        "$smtpd_forbidden_commands", doc="As smtpd_forbidden_commands, for postscreen."
    )
    postscreen_greet_action = choice(
        "ignore",
        _ACTIONS,
        doc="What is done with a client that speaks before its turn.",
    )
    postscreen_greet_banner = string(
        "$smtpd_banner",
        doc="The first line of the greeting, which tempts clients to speak too early.",
    )
    postscreen_greet_ttl = time(
        "1d", doc="How long that test counts as passed.", unit="d"
    )
    postscreen_greet_wait = time(
        "${stress?{2}:{6}}s", doc="How long a client is made to wait."
    )
    postscreen_helo_required = boolean(
        "$smtpd_helo_required", doc="As smtpd_helo_required, for postscreen."
    )
    postscreen_non_smtp_command_action = choice(
        "drop", _ACTIONS, doc="What is done with a client that speaks another protocol."
    )
    postscreen_non_smtp_command_enable = boolean(
        "no", doc="Whether other protocols are looked for."
    )
    postscreen_non_smtp_command_ttl = time(
        "30d", doc="How long that test counts as passed.", unit="d"
    )
    postscreen_pipelining_action = choice(
        "enforce",
        _ACTIONS,
        doc="What is done with a client that sends several commands at once.",
    )
    postscreen_pipelining_enable = boolean(
        "no", doc="Whether such clients are looked for."
    )
    postscreen_pipelining_ttl = time(
        "30d", doc="How long that test counts as passed.", unit="d"
    )
    postscreen_pre_queue_limit = count(
        "$default_process_limit",
        doc="Clients that may wait for a decision.",
        status=Status.APPROXIMATED,
        note=_EACH,
    )
    smtpd_service_name = string(
        "smtpd", doc="The service that postscreen hands clients to."
    )
