"""
What TLS of the SMTP client does not have yet.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import (
    OLD_TLS,
    flag,
    idle,
    items,
    number,
    tables,
    text,
    warn,
)

NO_TLS = warn("TLS of the client does without.")
NO_EARLY = idle("No server can begin TLS anew, which is what this is about.")


class SmtpTls:
    """
    Postfix: C{src/smtp}, C{src/tls}.
    """

    smtp_tls_cipherlist = text(
        "", OLD_TLS, "An OpenSSL cipher list that counted before there were grades."
    )
    smtp_tls_enable_rpk = flag("no", NO_TLS, "Ask servers for raw public keys.")
    smtp_tls_enforce_sts_mx_patterns = flag(
        "yes", NO_TLS, "With a policy of MTA-STS, look at its MX patterns, too."
    )
    smtp_tls_block_early_mail_reply = flag(
        "no", NO_EARLY, "Notice replies that a server sent before TLS began."
    )
    smtp_tls_loglevel_maps = tables("", NO_TLS, "As smtp_tls_loglevel, by server.")
    smtp_tls_trace_size_limit = number(
        "102400",
        NO_TLS,
        "Octets of the TLS handshake that are logged at the higher levels.",
    )
    smtp_log_tls_feature_status = flag(
        "yes", NO_TLS, "Log with each delivery which features of TLS it used."
    )
    smtp_tlsrpt_enable = flag(
        "no",
        NO_TLS,
        "Give the outcomes of TLS to a program that makes reports of them (RFC 8460).",
    )
    smtp_tlsrpt_socket_name = text("", NO_TLS, "Socket of that program.")
    smtp_tlsrpt_skip_reused_handshakes = text(
        "", NO_TLS, "Leave resumed sessions out of such reports."
    )
    smtp_requiretls_policy = items(
        "",
        NO_TLS,
        "What mail with REQUIRETLS (RFC 8689) demands of servers; smtpd does not "
        "offer it.",
    )
