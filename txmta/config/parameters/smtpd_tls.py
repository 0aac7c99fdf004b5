"""
TLS of the SMTP server, which is not there yet.

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
    tables,
    text,
    warn,
)

NO_TLS = warn("There is no TLS yet; smtpd_tls_security_level asks for it.")


class SmtpdTls:
    """
    Postfix: C{src/smtpd}, C{src/tls}.
    """

    smtpd_use_tls = flag(
        "no", NO_TLS, "The old way to say smtpd_tls_security_level = may."
    )
    smtpd_enforce_tls = flag(
        "no", NEED_TLS, "The old way to say smtpd_tls_security_level = encrypt."
    )
    smtpd_tls_wrappermode = flag(
        "no", NEED_TLS, "TLS from the first octet on, as for port 465."
    )
    smtpd_tls_auth_only = flag("no", NEED_TLS, "Offer AUTH only inside TLS.")
    smtpd_tls_req_ccert = flag(
        "no",
        NEED_TLS,
        "Where TLS is required, require a certificate of the client that verifies.",
    )
    smtpd_tls_ask_ccert = flag(
        "no", NO_TLS, "Ask the client for a certificate, without insisting."
    )
    smtpd_tls_cert_file = text(
        "",
        NO_TLS,
        "File with the RSA certificate of the server and the chain above it.",
    )
    smtpd_tls_key_file = text(
        "$smtpd_tls_cert_file", NO_TLS, "File with the key of smtpd_tls_cert_file."
    )
    smtpd_tls_dcert_file = text("", NO_TLS, "As smtpd_tls_cert_file, for DSA.")
    smtpd_tls_dkey_file = text(
        "$smtpd_tls_dcert_file", NO_TLS, "File with the key of smtpd_tls_dcert_file."
    )
    smtpd_tls_eccert_file = text("", NO_TLS, "As smtpd_tls_cert_file, for ECDSA.")
    smtpd_tls_eckey_file = text(
        "$smtpd_tls_eccert_file", NO_TLS, "File with the key of smtpd_tls_eccert_file."
    )
    smtpd_tls_chain_files = items(
        "",
        NO_TLS,
        "Files that each hold keys, every one followed by its certificate chain; "
        "instead of the older names for each algorithm.",
    )
    smtpd_tls_CAfile = text(
        "",
        NO_TLS,
        "File with the authorities that client certificates are verified with.",
    )
    smtpd_tls_CApath = text(
        "", NO_TLS, "Directory with such authorities, under hashed names."
    )
    smtpd_tls_ccert_verifydepth = number(
        "9", NO_TLS, "How many authorities a chain of a client may have."
    )
    smtpd_tls_always_issue_session_ids = flag(
        "yes", NO_TLS, "Give clients a session id although sessions are not cached."
    )
    smtpd_tls_cipherlist = text(
        "", OLD_TLS, "An OpenSSL cipher list that counted before there were grades."
    )
    smtpd_tls_ciphers = text(
        "medium", NO_TLS, "Least grade of ciphers for optional TLS."
    )
    smtpd_tls_mandatory_ciphers = text(
        "medium", NO_TLS, "Least grade of ciphers for required TLS."
    )
    smtpd_tls_exclude_ciphers = items("", NO_TLS, "Ciphers that are never used.")
    smtpd_tls_mandatory_exclude_ciphers = items(
        "", NO_TLS, "Further ciphers that are not used for required TLS."
    )
    smtpd_tls_protocols = items(
        ">=TLSv1", NO_TLS, "Versions of the protocol for optional TLS."
    )
    smtpd_tls_mandatory_protocols = items(
        ">=TLSv1", NO_TLS, "Versions of the protocol for required TLS."
    )
    smtpd_tls_dh512_param_file = text(
        "", OLD_TLS, "File with parameters for export-grade Diffie-Hellman."
    )
    smtpd_tls_dh1024_param_file = text(
        "", NO_TLS, "File with Diffie-Hellman parameters instead of built-in ones."
    )
    smtpd_tls_eecdh_grade = text(
        "auto", NO_TLS, "How strong ephemeral elliptic-curve key exchange is to be."
    )
    smtpd_tls_enable_rpk = flag(
        "no", NO_TLS, "Use raw public keys with clients that ask for them."
    )
    smtpd_tls_fingerprint_digest = text(
        "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
        NO_TLS,
        "Digest for fingerprints of client certificates.",
    )
    smtpd_tls_loglevel = text("0", NO_TLS, "How much of TLS is logged.")
    smtpd_tls_loglevel_maps = tables("", NO_TLS, "As smtpd_tls_loglevel, by client.")
    smtpd_tls_trace_size_limit = number(
        "102400",
        NO_TLS,
        "Octets of the TLS handshake that are logged at the higher levels.",
    )
    smtpd_tls_received_header = flag(
        "no",
        NO_TLS,
        "Say protocol, cipher and client certificate in the Received: header.",
    )
    smtpd_tls_session_cache_database = text(
        "", NO_TLS, "Table that keeps TLS sessions, for clients that come again."
    )
    smtpd_tls_session_cache_timeout = seconds(
        "3600s", NO_TLS, "How long a TLS session can be resumed."
    )
    smtpd_starttls_timeout = seconds(
        "${stress?{10}:{300}}s", NO_TLS, "Time for the handshake.", low=1
    )
