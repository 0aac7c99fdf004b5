"""
postscreen, which is not there yet.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import (
    flag,
    gone,
    items,
    number,
    seconds,
    stop,
    tables,
    text,
    warn,
)

NO_SCREEN = warn(
    "There is no postscreen yet: what it would keep away comes to smtpd, whose "
    "restrictions decide."
)
NO_DEPTH = warn("There is no postscreen yet.")
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
        "0s", NO_DEPTH, "How long dnsblog waits with its answer, for tests."
    )
    dnsblog_service_name = text("dnsblog", NO_DEPTH, "The service that asks DNS lists.")
    postscreen_access_list = items(
        "permit_mynetworks",
        NO_SCREEN,
        "Clients that are let through, or sent away, at once.",
    )
    postscreen_allowlist_interfaces = items(
        "${postscreen_whitelist_interfaces?{$postscreen_whitelist_interfaces}:{static:all}}",
        NO_SCREEN,
        "Own addresses at which a client can come to be known.",
    )
    postscreen_whitelist_interfaces = items(
        "static:all", OLD, "The old name of postscreen_allowlist_interfaces."
    )
    postscreen_bare_newline_action = text(
        "ignore", NO_SCREEN, "What is done with a client that sends a bare newline."
    )
    postscreen_bare_newline_enable = flag(
        "no", NO_SCREEN, "Whether bare newlines are looked for."
    )
    postscreen_bare_newline_ttl = seconds(
        "30d", NO_DEPTH, "How long that test counts as passed."
    )
    postscreen_blacklist_action = text(
        "ignore", OLD, "The old name of postscreen_denylist_action."
    )
    postscreen_denylist_action = text(
        "${postscreen_blacklist_action?{$postscreen_blacklist_action}:{ignore}}",
        NO_SCREEN,
        "What is done with a client that postscreen_access_list sends away.",
    )
    postscreen_cache_cleanup_interval = seconds(
        "12h", NO_DEPTH, "How often old entries leave the cache.", unit="h"
    )
    postscreen_cache_map = tables(
        "$default_cache_db_type:$data_directory/postscreen_cache",
        NO_DEPTH,
        "Table that keeps what is known of clients.",
    )
    postscreen_cache_retention_time = seconds(
        "7d", NO_DEPTH, "How long entries stay after they count no more.", unit="d"
    )
    postscreen_client_connection_count_limit = number(
        "$smtpd_client_connection_count_limit",
        NO_SCREEN,
        "Connections that a client may have at a time.",
    )
    postscreen_command_count_limit = number(
        "20", NO_SCREEN, "Commands that a client may send."
    )
    postscreen_command_filter = tables(
        "$smtpd_command_filter", NO_SCREEN, "As smtpd_command_filter, for postscreen."
    )
    postscreen_command_time_limit = seconds(
        "${stress?{10}:{300}}s", NO_DEPTH, "Time for one command."
    )
    postscreen_disable_vrfy_command = flag(
        "$disable_vrfy_command", NO_DEPTH, "As disable_vrfy_command, for postscreen."
    )
    postscreen_discard_ehlo_keyword_address_maps = tables(
        "$smtpd_discard_ehlo_keyword_address_maps",
        NO_DEPTH,
        "As smtpd_discard_ehlo_keyword_address_maps, for postscreen.",
    )
    postscreen_discard_ehlo_keywords = items(
        "$smtpd_discard_ehlo_keywords",
        NO_DEPTH,
        "As smtpd_discard_ehlo_keywords, for postscreen.",
    )
    postscreen_dnsbl_action = text(
        "ignore",
        NO_SCREEN,
        "What is done with a client whose score reaches postscreen_dnsbl_threshold.",
    )
    postscreen_dnsbl_allowlist_threshold = number(
        "${postscreen_dnsbl_whitelist_threshold?{$postscreen_dnsbl_whitelist_threshold}:{0}}",
        NO_SCREEN,
        "The score at which other tests are left out; negative.",
        low=-(10**9),
    )
    postscreen_dnsbl_whitelist_threshold = number(
        "0", OLD, "The old name of postscreen_dnsbl_allowlist_threshold.", low=-(10**9)
    )
    postscreen_dnsbl_max_ttl = seconds(
        "${postscreen_dnsbl_ttl?{$postscreen_dnsbl_ttl}:{1}}h",
        NO_DEPTH,
        "How long an answer of a DNS list counts, at most.",
        unit="h",
    )
    postscreen_dnsbl_min_ttl = seconds(
        "60s", NO_DEPTH, "How long an answer of a DNS list counts, at least."
    )
    postscreen_dnsbl_ttl = seconds(
        "1h", OLD, "The old name of postscreen_dnsbl_max_ttl.", unit="h"
    )
    postscreen_dnsbl_reply_map = tables(
        "", NO_DEPTH, "Names to be said of DNS lists whose own name is a secret."
    )
    postscreen_dnsbl_sites = items(
        "", NO_SCREEN, "DNS lists, with reply filters and weights."
    )
    postscreen_dnsbl_threshold = number(
        "1", NO_SCREEN, "The score at which postscreen_dnsbl_action is done."
    )
    postscreen_dnsbl_timeout = seconds(
        "10s", NO_DEPTH, "Time for the answers of DNS lists."
    )
    postscreen_enforce_tls = flag(
        "$smtpd_enforce_tls", NO_SCREEN, "As smtpd_enforce_tls, for postscreen."
    )
    postscreen_expansion_filter = text(
        "$smtpd_expansion_filter",
        NO_DEPTH,
        "As smtpd_expansion_filter, for postscreen.",
        expand=False,
    )
    postscreen_forbidden_commands = items(
        "$smtpd_forbidden_commands",
        NO_SCREEN,
        "As smtpd_forbidden_commands, for postscreen.",
    )
    postscreen_greet_action = text(
        "ignore", NO_SCREEN, "What is done with a client that speaks before its turn."
    )
    postscreen_greet_banner = text(
        "$smtpd_banner",
        NO_DEPTH,
        "The first line of the greeting, which tempts clients to speak too early.",
    )
    postscreen_greet_ttl = seconds(
        "1d", NO_DEPTH, "How long that test counts as passed.", unit="d"
    )
    postscreen_greet_wait = seconds(
        "${stress?{2}:{6}}s", NO_DEPTH, "How long a client is made to wait."
    )
    postscreen_helo_required = flag(
        "$smtpd_helo_required", NO_SCREEN, "As smtpd_helo_required, for postscreen."
    )
    postscreen_non_smtp_command_action = text(
        "drop", NO_SCREEN, "What is done with a client that speaks another protocol."
    )
    postscreen_non_smtp_command_enable = flag(
        "no", NO_SCREEN, "Whether other protocols are looked for."
    )
    postscreen_non_smtp_command_ttl = seconds(
        "30d", NO_DEPTH, "How long that test counts as passed.", unit="d"
    )
    postscreen_pipelining_action = text(
        "enforce",
        NO_SCREEN,
        "What is done with a client that sends several commands at once.",
    )
    postscreen_pipelining_enable = flag(
        "no", NO_SCREEN, "Whether such clients are looked for."
    )
    postscreen_pipelining_ttl = seconds(
        "30d", NO_DEPTH, "How long that test counts as passed.", unit="d"
    )
    postscreen_post_queue_limit = number(
        "$default_process_limit", NO_DEPTH, "Clients that may wait for smtpd."
    )
    postscreen_pre_queue_limit = number(
        "$default_process_limit", NO_DEPTH, "Clients that may wait for a decision."
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
        "10s", NO_DEPTH, "Time for one operation of postscreen, then it ends itself."
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
