"""
TLS of the LMTP client, which is not there yet.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import (
    NEED_TLS,
    flag,
    items,
    number,
    seconds,
    tables,
    text,
    warn,
)

NO_TLS = warn(
    "There is no TLS yet; lmtp_tls_security_level and lmtp_tls_policy_maps ask for "
    "it, and stop the start where they require it."
)


class LmtpTls:
    """
    Postfix: C{src/smtp/lmtp_params.c}. Each is what smtp(8) has, for lmtp(8).
    """

    lmtp_enforce_tls = flag("no", NEED_TLS, "As smtp_enforce_tls, for LMTP.")
    lmtp_log_tls_feature_status = flag(
        "yes", NO_TLS, "As smtp_log_tls_feature_status, for LMTP."
    )
    lmtp_requiretls_policy = items(
        "opportunistic", NO_TLS, "As smtp_requiretls_policy, for LMTP."
    )
    lmtp_starttls_timeout = seconds(
        "300s", NO_TLS, "As smtp_starttls_timeout, for LMTP.", low=1
    )
    lmtp_tls_CAfile = text("", NO_TLS, "As smtp_tls_CAfile, for LMTP.")
    lmtp_tls_CApath = text("", NO_TLS, "As smtp_tls_CApath, for LMTP.")
    lmtp_tls_block_early_mail_reply = flag(
        "no", NO_TLS, "As smtp_tls_block_early_mail_reply, for LMTP."
    )
    lmtp_tls_cert_file = text("", NO_TLS, "As smtp_tls_cert_file, for LMTP.")
    lmtp_tls_chain_files = items("", NO_TLS, "As smtp_tls_chain_files, for LMTP.")
    lmtp_tls_ciphers = text("medium", NO_TLS, "As smtp_tls_ciphers, for LMTP.")
    lmtp_tls_connection_reuse = flag(
        "no", NO_TLS, "As smtp_tls_connection_reuse, for LMTP."
    )
    lmtp_tls_dcert_file = text("", NO_TLS, "As smtp_tls_dcert_file, for LMTP.")
    lmtp_tls_dkey_file = text(
        "$lmtp_tls_dcert_file", NO_TLS, "As smtp_tls_dkey_file, for LMTP."
    )
    lmtp_tls_eccert_file = text("", NO_TLS, "As smtp_tls_eccert_file, for LMTP.")
    lmtp_tls_eckey_file = text("", NO_TLS, "As smtp_tls_eckey_file, for LMTP.")
    lmtp_tls_enable_rpk = flag("yes", NO_TLS, "As smtp_tls_enable_rpk, for LMTP.")
    lmtp_tls_enforce_peername = flag(
        "yes", NO_TLS, "As smtp_tls_enforce_peername, for LMTP."
    )
    lmtp_tls_enforce_sts_mx_patterns = flag(
        "yes", NO_TLS, "As smtp_tls_enforce_sts_mx_patterns, for LMTP."
    )
    lmtp_tls_exclude_ciphers = items(
        "", NO_TLS, "As smtp_tls_exclude_ciphers, for LMTP."
    )
    lmtp_tls_fingerprint_cert_match = items(
        "", NO_TLS, "As smtp_tls_fingerprint_cert_match, for LMTP."
    )
    lmtp_tls_fingerprint_digest = text(
        "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
        NO_TLS,
        "As smtp_tls_fingerprint_digest, for LMTP.",
    )
    lmtp_tls_force_insecure_host_tlsa_lookup = flag(
        "no", NO_TLS, "As smtp_tls_force_insecure_host_tlsa_lookup, for LMTP."
    )
    lmtp_tls_key_file = text(
        "$lmtp_tls_cert_file", NO_TLS, "As smtp_tls_key_file, for LMTP."
    )
    lmtp_tls_loglevel = text("0", NO_TLS, "As smtp_tls_loglevel, for LMTP.")
    lmtp_tls_loglevel_maps = tables(
        "$smtp_tls_loglevel_maps", NO_TLS, "As smtp_tls_loglevel_maps, for LMTP."
    )
    lmtp_tls_mandatory_ciphers = text(
        "medium", NO_TLS, "As smtp_tls_mandatory_ciphers, for LMTP."
    )
    lmtp_tls_mandatory_exclude_ciphers = items(
        "", NO_TLS, "As smtp_tls_mandatory_exclude_ciphers, for LMTP."
    )
    lmtp_tls_mandatory_protocols = items(
        ">=TLSv1", NO_TLS, "As smtp_tls_mandatory_protocols, for LMTP."
    )
    lmtp_tls_note_starttls_offer = flag(
        "no", NO_TLS, "As smtp_tls_note_starttls_offer, for LMTP."
    )
    lmtp_tls_per_site = tables("", NEED_TLS, "As smtp_tls_per_site, for LMTP.")
    lmtp_tls_policy_maps = tables("", NEED_TLS, "As smtp_tls_policy_maps, for LMTP.")
    lmtp_tls_protocols = items(">=TLSv1", NO_TLS, "As smtp_tls_protocols, for LMTP.")
    lmtp_tls_scert_verifydepth = number(
        "9", NO_TLS, "As smtp_tls_scert_verifydepth, for LMTP."
    )
    lmtp_tls_secure_cert_match = items(
        "nexthop", NO_TLS, "As smtp_tls_secure_cert_match, for LMTP."
    )
    lmtp_tls_servername = text("", NO_TLS, "As smtp_tls_servername, for LMTP.")
    lmtp_tls_session_cache_database = text(
        "", NO_TLS, "As smtp_tls_session_cache_database, for LMTP."
    )
    lmtp_tls_session_cache_timeout = seconds(
        "3600s", NO_TLS, "As smtp_tls_session_cache_timeout, for LMTP."
    )
    lmtp_tls_trace_size_limit = number(
        "102400", NO_TLS, "As smtp_tls_trace_size_limit, for LMTP."
    )
    lmtp_tls_trust_anchor_file = items(
        "", NO_TLS, "As smtp_tls_trust_anchor_file, for LMTP."
    )
    lmtp_tls_verify_cert_match = items(
        "hostname", NO_TLS, "As smtp_tls_verify_cert_match, for LMTP."
    )
    lmtp_tls_wrappermode = flag("no", NEED_TLS, "As smtp_tls_wrappermode, for LMTP.")
    lmtp_use_tls = flag("no", NO_TLS, "As smtp_use_tls, for LMTP.")
