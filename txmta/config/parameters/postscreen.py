"""
What postscreen does not do yet, or need not.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import (
    flag,
    gone,
    idle,
    items,
    number,
    seconds,
    stop,
    tables,
    text,
    warn,
)

NO_DEPTH = warn("postscreen does not do this yet.")
NO_PROCESS = idle("It is a part of each SMTP server process.")
OLD = gone("An old name.")
PROXY = stop(
    "there is no proxy protocol yet: every client would have the address of the "
    "proxy: remove the line"
)


class Postscreen:
    """
    Postfix: C{src/postscreen}, C{src/dnsblog}.
    """

    dnsblog_reply_delay = seconds(
        "0s", NO_PROCESS, "How long dnsblog waits with its answer, for tests."
    )
    dnsblog_service_name = text(
        "dnsblog", NO_PROCESS, "The service that asks DNS lists."
    )
    postscreen_whitelist_interfaces = items(
        "static:all", OLD, "The old name of postscreen_allowlist_interfaces."
    )
    postscreen_blacklist_action = text(
        "ignore", OLD, "The old name of postscreen_denylist_action."
    )
    postscreen_command_filter = tables(
        "$smtpd_command_filter", NO_DEPTH, "As smtpd_command_filter, for postscreen."
    )
    postscreen_discard_ehlo_keyword_address_maps = tables(
        "$smtpd_discard_ehlo_keyword_address_maps",
        NO_DEPTH,
        "As smtpd_discard_ehlo_keyword_address_maps, for postscreen.",
    )
    postscreen_dnsbl_whitelist_threshold = number(
        "0", OLD, "The old name of postscreen_dnsbl_allowlist_threshold.", low=-(10**9)
    )
    postscreen_dnsbl_ttl = seconds(
        "1h", OLD, "The old name of postscreen_dnsbl_max_ttl.", unit="h"
    )
    postscreen_enforce_tls = flag(
        "$smtpd_enforce_tls", NO_DEPTH, "As smtpd_enforce_tls, for postscreen."
    )
    postscreen_expansion_filter = text(
        "$smtpd_expansion_filter",
        NO_DEPTH,
        "As smtpd_expansion_filter, for postscreen.",
        expand=False,
    )
    postscreen_post_queue_limit = number(
        "$default_process_limit", NO_PROCESS, "Clients that may wait for smtpd."
    )
    postscreen_reject_footer = text(
        "$smtpd_reject_footer", NO_DEPTH, "As smtpd_reject_footer, for postscreen."
    )
    postscreen_reject_footer_maps = tables(
        "$smtpd_reject_footer_maps",
        NO_DEPTH,
        "As smtpd_reject_footer_maps, for postscreen.",
    )
    postscreen_starttls_timeout = seconds(
        "$smtpd_starttls_timeout",
        NO_DEPTH,
        "As smtpd_starttls_timeout, for postscreen.",
    )
    postscreen_upstream_proxy_protocol = text(
        "", PROXY, "The protocol in which a proxy in front tells the client's address."
    )
    postscreen_upstream_proxy_timeout = seconds("5s", NO_DEPTH, "Time for that.")
    postscreen_use_tls = flag(
        "$smtpd_use_tls", NO_DEPTH, "As smtpd_use_tls, for postscreen."
    )
    postscreen_watchdog_timeout = seconds(
        "10s", NO_PROCESS, "Time for one operation of postscreen, then it ends itself."
    )


class PostscreenTls:
    """
    Each is what smtpd(8) has, for postscreen(8).
    """

    postscreen_tls_CAfile = text(
        "$smtpd_tls_CAfile", NO_DEPTH, "As smtpd_tls_CAfile, for postscreen."
    )
    postscreen_tls_CApath = text(
        "$smtpd_tls_CApath", NO_DEPTH, "As smtpd_tls_CApath, for postscreen."
    )
    postscreen_tls_always_issue_session_ids = flag(
        "$smtpd_tls_always_issue_session_ids",
        NO_DEPTH,
        "As smtpd_tls_always_issue_session_ids, for postscreen.",
    )
    postscreen_tls_ask_ccert = flag(
        "$smtpd_tls_ask_ccert", NO_DEPTH, "As smtpd_tls_ask_ccert, for postscreen."
    )
    postscreen_tls_ccert_verifydepth = number(
        "$smtpd_tls_ccert_verifydepth",
        NO_DEPTH,
        "As smtpd_tls_ccert_verifydepth, for postscreen.",
    )
    postscreen_tls_cert_file = text(
        "$smtpd_tls_cert_file", NO_DEPTH, "As smtpd_tls_cert_file, for postscreen."
    )
    postscreen_tls_chain_files = items(
        "$smtpd_tls_chain_files", NO_DEPTH, "As smtpd_tls_chain_files, for postscreen."
    )
    postscreen_tls_ciphers = text(
        "$smtpd_tls_ciphers", NO_DEPTH, "As smtpd_tls_ciphers, for postscreen."
    )
    postscreen_tls_dcert_file = text(
        "$smtpd_tls_dcert_file", NO_DEPTH, "As smtpd_tls_dcert_file, for postscreen."
    )
    postscreen_tls_dh1024_param_file = text(
        "$smtpd_tls_dh1024_param_file",
        NO_DEPTH,
        "As smtpd_tls_dh1024_param_file, for postscreen.",
    )
    postscreen_tls_dh512_param_file = text(
        "$smtpd_tls_dh512_param_file",
        NO_DEPTH,
        "As smtpd_tls_dh512_param_file, for postscreen.",
    )
    postscreen_tls_dkey_file = text(
        "$smtpd_tls_dkey_file", NO_DEPTH, "As smtpd_tls_dkey_file, for postscreen."
    )
    postscreen_tls_eccert_file = text(
        "$smtpd_tls_eccert_file", NO_DEPTH, "As smtpd_tls_eccert_file, for postscreen."
    )
    postscreen_tls_eckey_file = text(
        "$smtpd_tls_eckey_file", NO_DEPTH, "As smtpd_tls_eckey_file, for postscreen."
    )
    postscreen_tls_eecdh_grade = text(
        "$smtpd_tls_eecdh_grade", NO_DEPTH, "As smtpd_tls_eecdh_grade, for postscreen."
    )
    postscreen_tls_enable_rpk = flag(
        "$smtpd_tls_enable_rpk", NO_DEPTH, "As smtpd_tls_enable_rpk, for postscreen."
    )
    postscreen_tls_exclude_ciphers = items(
        "$smtpd_tls_exclude_ciphers",
        NO_DEPTH,
        "As smtpd_tls_exclude_ciphers, for postscreen.",
    )
    postscreen_tls_fingerprint_digest = text(
        "$smtpd_tls_fingerprint_digest",
        NO_DEPTH,
        "As smtpd_tls_fingerprint_digest, for postscreen.",
    )
    postscreen_tls_key_file = text(
        "$smtpd_tls_key_file", NO_DEPTH, "As smtpd_tls_key_file, for postscreen."
    )
    postscreen_tls_loglevel = text(
        "$smtpd_tls_loglevel", NO_DEPTH, "As smtpd_tls_loglevel, for postscreen."
    )
    postscreen_tls_loglevel_maps = tables(
        "$smtpd_tls_loglevel_maps",
        NO_DEPTH,
        "As smtpd_tls_loglevel_maps, for postscreen.",
    )
    postscreen_tls_mandatory_ciphers = text(
        "$smtpd_tls_mandatory_ciphers",
        NO_DEPTH,
        "As smtpd_tls_mandatory_ciphers, for postscreen.",
    )
    postscreen_tls_mandatory_exclude_ciphers = items(
        "$smtpd_tls_mandatory_exclude_ciphers",
        NO_DEPTH,
        "As smtpd_tls_mandatory_exclude_ciphers, for postscreen.",
    )
    postscreen_tls_mandatory_protocols = items(
        "$smtpd_tls_mandatory_protocols",
        NO_DEPTH,
        "As smtpd_tls_mandatory_protocols, for postscreen.",
    )
    postscreen_tls_protocols = items(
        "$smtpd_tls_protocols", NO_DEPTH, "As smtpd_tls_protocols, for postscreen."
    )
    postscreen_tls_req_ccert = flag(
        "$smtpd_tls_req_ccert", NO_DEPTH, "As smtpd_tls_req_ccert, for postscreen."
    )
    postscreen_tls_security_level = text(
        "$smtpd_tls_security_level",
        NO_DEPTH,
        "As smtpd_tls_security_level, for postscreen.",
    )
    postscreen_tls_trace_size_limit = number(
        "$smtpd_tls_trace_size_limit",
        NO_DEPTH,
        "As smtpd_tls_trace_size_limit, for postscreen.",
    )
