"""
TLS of the SMTP client, which is not there yet.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import (
    NEED_TLS,
    OLD_TLS,
    flag,
    items,
    number,
    seconds,
    stop,
    tables,
    text,
    warn,
)

MX_POLICY = stop(
    "there is no TLS yet: remove the line if plain text will do",
    "may",
    "dane",
)
NO_TLS = warn(
    "There is no TLS yet; smtp_tls_security_level and smtp_tls_policy_maps ask for "
    "it, and stop the start where they require it."
)


class SmtpTls:
    """
    Postfix: C{src/smtp}, C{src/tls}.
    """

    smtp_use_tls = flag(
        "no", NO_TLS, "The old way to say smtp_tls_security_level = may."
    )
    smtp_enforce_tls = flag(
        "no",
        NEED_TLS,
        "The old way to say smtp_tls_security_level = encrypt, with a verified name.",
    )
    smtp_tls_enforce_peername = flag(
        "yes",
        NO_TLS,
        "With smtp_enforce_tls, whether the name in the certificate must match.",
    )
    smtp_tls_per_site = tables(
        "", NEED_TLS, "The old table of TLS policies by next hop and host."
    )
    smtp_tls_policy_maps = tables("", NEED_TLS, "TLS policies by next hop.")
    smtp_tls_wrappermode = flag(
        "no",
        NEED_TLS,
        "TLS from the first octet on, as port 465 of a submission server wants it.",
    )
    smtp_tls_dane_insecure_mx_policy = text(
        "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}",
        MX_POLICY,
        "The level for MX hosts with TLSA records whose MX records are not signed.",
    )
    smtp_tls_cert_file = text(
        "",
        NO_TLS,
        "File with the RSA certificate of the client and the chain above it.",
    )
    smtp_tls_key_file = text(
        "$smtp_tls_cert_file", NO_TLS, "File with the key of smtp_tls_cert_file."
    )
    smtp_tls_dcert_file = text("", NO_TLS, "As smtp_tls_cert_file, for DSA.")
    smtp_tls_dkey_file = text(
        "$smtp_tls_dcert_file", NO_TLS, "File with the key of smtp_tls_dcert_file."
    )
    smtp_tls_eccert_file = text("", NO_TLS, "As smtp_tls_cert_file, for ECDSA.")
    smtp_tls_eckey_file = text(
        "$smtp_tls_eccert_file", NO_TLS, "File with the key of smtp_tls_eccert_file."
    )
    smtp_tls_chain_files = items(
        "",
        NO_TLS,
        "Files that each hold keys, every one followed by its certificate chain.",
    )
    smtp_tls_CAfile = text(
        "",
        NO_TLS,
        "File with the authorities that server certificates are verified with.",
    )
    smtp_tls_CApath = text(
        "", NO_TLS, "Directory with such authorities, under hashed names."
    )
    smtp_tls_scert_verifydepth = number(
        "9", NO_TLS, "How many authorities a chain of a server may have."
    )
    smtp_tls_trust_anchor_file = items(
        "", NO_TLS, "Files with authorities that count instead of the usual ones."
    )
    smtp_tls_cipherlist = text(
        "", OLD_TLS, "An OpenSSL cipher list that counted before there were grades."
    )
    smtp_tls_ciphers = text(
        "medium", NO_TLS, "Least grade of ciphers for optional TLS."
    )
    smtp_tls_mandatory_ciphers = text(
        "medium", NO_TLS, "Least grade of ciphers for required TLS."
    )
    smtp_tls_exclude_ciphers = items("", NO_TLS, "Ciphers that are never used.")
    smtp_tls_mandatory_exclude_ciphers = items(
        "", NO_TLS, "Further ciphers that are not used for required TLS."
    )
    smtp_tls_protocols = items(
        ">=TLSv1", NO_TLS, "Versions of the protocol for optional TLS."
    )
    smtp_tls_mandatory_protocols = items(
        ">=TLSv1", NO_TLS, "Versions of the protocol for required TLS."
    )
    smtp_tls_enable_rpk = flag("no", NO_TLS, "Ask servers for raw public keys.")
    smtp_tls_fingerprint_cert_match = items(
        "", NO_TLS, "Certificates that the level fingerprint accepts."
    )
    smtp_tls_fingerprint_digest = text(
        "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
        NO_TLS,
        "Digest for fingerprints of server certificates.",
    )
    smtp_tls_verify_cert_match = items(
        "hostname", NO_TLS, "Which names the level verify looks for in a certificate."
    )
    smtp_tls_secure_cert_match = items(
        "nexthop, dot-nexthop",
        NO_TLS,
        "Which names the level secure looks for in a certificate.",
    )
    smtp_tls_enforce_sts_mx_patterns = flag(
        "yes", NO_TLS, "With a policy of MTA-STS, look at its MX patterns, too."
    )
    smtp_tls_force_insecure_host_tlsa_lookup = flag(
        "no", NO_TLS, "Look for TLSA records of hosts whose addresses are not signed."
    )
    smtp_tls_block_early_mail_reply = flag(
        "no", NO_TLS, "Notice replies that a server sent before TLS began."
    )
    smtp_tls_connection_reuse = flag(
        "no", NO_TLS, "Use a connection with TLS for several messages."
    )
    smtp_tls_loglevel = text("0", NO_TLS, "How much of TLS is logged.")
    smtp_tls_loglevel_maps = tables("", NO_TLS, "As smtp_tls_loglevel, by server.")
    smtp_tls_trace_size_limit = number(
        "102400",
        NO_TLS,
        "Octets of the TLS handshake that are logged at the higher levels.",
    )
    smtp_tls_note_starttls_offer = flag(
        "no", NO_TLS, "Log which servers offer STARTTLS while it is not used."
    )
    smtp_log_tls_feature_status = flag(
        "yes", NO_TLS, "Log with each delivery which features of TLS it used."
    )
    smtp_tls_servername = text("", NO_TLS, "The name that is sent for SNI.")
    smtp_tls_session_cache_database = text(
        "", NO_TLS, "Table that keeps TLS sessions for the next connection."
    )
    smtp_tls_session_cache_timeout = seconds(
        "3600s", NO_TLS, "How long a TLS session can be resumed."
    )
    smtp_starttls_timeout = seconds("300s", NO_TLS, "Time for the handshake.", low=1)
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
