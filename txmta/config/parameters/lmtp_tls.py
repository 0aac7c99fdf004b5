"""
What TLS of the LMTP client does not have yet.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import (
    flag,
    idle,
    items,
    number,
    tables,
    warn,
)

NO_TLS = warn("TLS of the client does without.")
NO_EARLY = idle("No server can begin TLS anew, which is what this is about.")


class LmtpTls:
    """
    Postfix: C{src/smtp/lmtp_params.c}. Each is what smtp(8) has, for lmtp(8).
    """

    lmtp_log_tls_feature_status = flag(
        "yes", NO_TLS, "As smtp_log_tls_feature_status, for LMTP."
    )
    lmtp_requiretls_policy = items(
        "opportunistic", NO_TLS, "As smtp_requiretls_policy, for LMTP."
    )
    lmtp_tls_block_early_mail_reply = flag(
        "no", NO_EARLY, "As smtp_tls_block_early_mail_reply, for LMTP."
    )
    lmtp_tls_enable_rpk = flag("yes", NO_TLS, "As smtp_tls_enable_rpk, for LMTP.")
    lmtp_tls_enforce_sts_mx_patterns = flag(
        "yes", NO_TLS, "As smtp_tls_enforce_sts_mx_patterns, for LMTP."
    )
    lmtp_tls_loglevel_maps = tables(
        "$smtp_tls_loglevel_maps", NO_TLS, "As smtp_tls_loglevel_maps, for LMTP."
    )
    lmtp_tls_trace_size_limit = number(
        "102400", NO_TLS, "As smtp_tls_trace_size_limit, for LMTP."
    )
