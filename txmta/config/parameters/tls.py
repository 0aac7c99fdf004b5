"""
What of TLS is not there.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import (
    OLD_TLS,
    flag,
    gone,
    idle,
    items,
    number,
    seconds,
    tables,
    text,
    warn,
)

NO_TLS = warn("There is no TLS of such a kind yet.")
OWN = idle("OpenSSL has its own way.")
OLD = gone("Such ciphers are in no library any more.")
NO_PROXY = warn(
    "There is no process of its own for TLS: see the smtpd_tls_ parameters."
)
NO_HEADER = warn("REQUIRETLS and TLS-Required: mean nothing without TLS.")
OLD_NAME = gone("An old name.")


class Tls:
    """
    Postfix: C{src/tls}, C{src/tlsmgr}.
    """

    openssl_path = text("openssl", NO_TLS, 'The openssl command, for "postfix tls".')
    requiretls_enable = flag(
        "yes", NO_HEADER, "Offer and honour REQUIRETLS (RFC 8689)."
    )
    requiretls_esmtp_header = flag(
        "yes",
        NO_HEADER,
        "Record REQUIRETLS in a header where the next hop cannot take it.",
    )
    requiretls_redact_dsn = flag(
        "yes", NO_HEADER, "Return only headers of mail with REQUIRETLS."
    )
    tls_required_enable = flag(
        "yes", NO_HEADER, "Honour the header TLS-Required: no (RFC 8689)."
    )
    tls_config_file = text("default", NO_TLS, "Configuration file of OpenSSL.")
    tls_config_name = text("", NO_TLS, "The part of tls_config_file that counts.")
    tls_daemon_random_bytes = number(
        "32", OWN, "Octets of randomness that a daemon asks tlsmgr for."
    )
    tls_random_bytes = number(
        "32", OWN, "Octets that tlsmgr reads of tls_random_source."
    )
    tls_random_exchange_name = text(
        "${data_directory}/prng_exch", OWN, "File that keeps randomness over restarts."
    )
    tls_random_prng_update_period = seconds(
        "3600s", OWN, "How often tlsmgr writes that file.", low=1
    )
    tls_random_reseed_period = seconds(
        "3600s", OWN, "How often tlsmgr reads more randomness.", low=1
    )
    tls_random_source = text("dev:/dev/urandom", OWN, "Where tlsmgr reads randomness.")
    tls_dane_digest_agility = text(
        "on", NO_TLS, "Use only the strongest digests of TLSA records."
    )
    tls_dane_trust_anchor_digest_enable = text(
        "yes", NO_TLS, "Accept TLSA records with a digest of an authority."
    )
    tls_disable_workarounds = items("", NO_TLS, "OpenSSL workarounds to be turned off.")
    tls_low_cipherlist = text(
        "aNULL:-aNULL:HIGH:MEDIUM:LOW:+RC4:@STRENGTH", OLD, "What the grade low means."
    )
    tls_export_cipherlist = text(
        "aNULL:-aNULL:HIGH:MEDIUM:LOW:EXPORT:+RC4:@STRENGTH",
        OLD,
        "What the grade export means.",
    )
    tls_fast_shutdown_enable = flag(
        "yes", NO_TLS, "End a TLS session without waiting for the peer."
    )
    tls_legacy_public_key_fingerprints = flag(
        "no", NO_TLS, "Compute fingerprints of keys as Postfix before 2.9.6."
    )
    tls_server_sni_maps = tables(
        "", NO_TLS, "Keys and certificates by the name that the client asks for."
    )
    tls_trace_rate_limit = number("1", NO_TLS, "TLS traces a second that are logged.")
    tls_trust_server_ccerts = flag(
        "no", NO_TLS, "Accept as a client's a certificate that was made for a server."
    )
    tlsmgr_service_name = text(
        "tlsmgr", NO_PROXY, "The service that keeps sessions and randomness."
    )


class SmtpdTls:
    """
    Postfix: C{src/smtpd}, C{src/tls}.
    """

    smtpd_tls_dcert_file = text("", OLD_TLS, "As smtpd_tls_cert_file, for DSA.")
    smtpd_tls_dkey_file = text(
        "$smtpd_tls_dcert_file", OLD_TLS, "File with the key of smtpd_tls_dcert_file."
    )
    smtpd_tls_always_issue_session_ids = flag(
        "yes", OWN, "Give clients a session id although sessions are not cached."
    )
    smtpd_tls_cipherlist = text(
        "", OLD_TLS, "An OpenSSL cipher list that counted before there were grades."
    )
    smtpd_tls_dh512_param_file = text(
        "", OLD_TLS, "File with parameters for export-grade Diffie-Hellman."
    )
    smtpd_tls_enable_rpk = flag(
        "no", NO_TLS, "Use raw public keys with clients that ask for them."
    )
    smtpd_tls_loglevel_maps = tables("", NO_TLS, "As smtpd_tls_loglevel, by client.")
    smtpd_tls_trace_size_limit = number(
        "102400",
        NO_TLS,
        "Octets of the TLS handshake that are logged at the higher levels.",
    )


class TlsProxy:
    """
    Postfix: C{src/tlsproxy}, which does TLS for other daemons.
    """

    tlsproxy_service_name = text(
        "tlsproxy",
        NO_PROXY,
        "The service that does TLS for postscreen and for reused connections.",
    )
    tlsproxy_watchdog_timeout = seconds(
        "10s",
        NO_PROXY,
        "Time for one operation of that service, then it ends itself.",
        low=1,
    )
    tlsproxy_enforce_tls = flag(
        "$smtpd_enforce_tls", NO_PROXY, "As smtpd_enforce_tls, for tlsproxy."
    )
    tlsproxy_use_tls = flag(
        "$smtpd_use_tls", NO_PROXY, "As smtpd_use_tls, for tlsproxy."
    )
    tlsproxy_client_policy = tables(
        "$smtp_tls_policy_maps",
        OLD_NAME,
        "The old name of tlsproxy_client_policy_maps.",
    )
    tlsproxy_client_policy_maps = tables(
        "${tlsproxy_client_policy:$smtp_tls_policy_maps}",
        NO_PROXY,
        "As smtp_tls_policy_maps, for tlsproxy.",
    )
    tlsproxy_client_level = text(
        "$smtp_tls_security_level",
        OLD_NAME,
        "The old name of tlsproxy_client_security_level.",
    )
    tlsproxy_client_security_level = text(
        "${tlsproxy_client_level:$smtp_tls_security_level}",
        NO_PROXY,
        "As smtp_tls_security_level, for tlsproxy.",
    )
    tlsproxy_client_enforce_tls = flag(
        "$smtp_enforce_tls", NO_PROXY, "As smtp_enforce_tls, for tlsproxy."
    )
    tlsproxy_client_use_tls = flag(
        "$smtp_use_tls", NO_PROXY, "As smtp_use_tls, for tlsproxy."
    )
    tlsproxy_client_loglevel_parameter = text(
        "smtp_tls_loglevel",
        NO_PROXY,
        "Which parameter has the log level of the client, for messages.",
    )
    tlsproxy_client_CAfile = text(
        "$smtp_tls_CAfile", NO_PROXY, "As smtp_tls_CAfile, for tlsproxy."
    )
    tlsproxy_client_CApath = text(
        "$smtp_tls_CApath", NO_PROXY, "As smtp_tls_CApath, for tlsproxy."
    )
    tlsproxy_client_cert_file = text(
        "$smtp_tls_cert_file", NO_PROXY, "As smtp_tls_cert_file, for tlsproxy."
    )
    tlsproxy_client_chain_files = items(
        "$smtp_tls_chain_files", NO_PROXY, "As smtp_tls_chain_files, for tlsproxy."
    )
    tlsproxy_client_dcert_file = text(
        "$smtp_tls_dcert_file", NO_PROXY, "As smtp_tls_dcert_file, for tlsproxy."
    )
    tlsproxy_client_dkey_file = text(
        "$smtp_tls_dkey_file", NO_PROXY, "As smtp_tls_dkey_file, for tlsproxy."
    )
    tlsproxy_client_eccert_file = text(
        "$smtp_tls_eccert_file", NO_PROXY, "As smtp_tls_eccert_file, for tlsproxy."
    )
    tlsproxy_client_eckey_file = text(
        "$smtp_tls_eckey_file", NO_PROXY, "As smtp_tls_eckey_file, for tlsproxy."
    )
    tlsproxy_client_fingerprint_digest = text(
        "$smtp_tls_fingerprint_digest",
        NO_PROXY,
        "As smtp_tls_fingerprint_digest, for tlsproxy.",
    )
    tlsproxy_client_key_file = text(
        "$smtp_tls_key_file", NO_PROXY, "As smtp_tls_key_file, for tlsproxy."
    )
    tlsproxy_client_loglevel = text(
        "$smtp_tls_loglevel", NO_PROXY, "As smtp_tls_loglevel, for tlsproxy."
    )
    tlsproxy_client_per_site = tables(
        "$smtp_tls_per_site", NO_PROXY, "As smtp_tls_per_site, for tlsproxy."
    )
    tlsproxy_client_scert_verifydepth = number(
        "$smtp_tls_scert_verifydepth",
        NO_PROXY,
        "As smtp_tls_scert_verifydepth, for tlsproxy.",
    )
    tlsproxy_tls_CAfile = text(
        "$smtpd_tls_CAfile", NO_PROXY, "As smtpd_tls_CAfile, for tlsproxy."
    )
    tlsproxy_tls_CApath = text(
        "$smtpd_tls_CApath", NO_PROXY, "As smtpd_tls_CApath, for tlsproxy."
    )
    tlsproxy_tls_always_issue_session_ids = flag(
        "$smtpd_tls_always_issue_session_ids",
        NO_PROXY,
        "As smtpd_tls_always_issue_session_ids, for tlsproxy.",
    )
    tlsproxy_tls_ask_ccert = flag(
        "$smtpd_tls_ask_ccert", NO_PROXY, "As smtpd_tls_ask_ccert, for tlsproxy."
    )
    tlsproxy_tls_ccert_verifydepth = number(
        "$smtpd_tls_ccert_verifydepth",
        NO_PROXY,
        "As smtpd_tls_ccert_verifydepth, for tlsproxy.",
    )
    tlsproxy_tls_cert_file = text(
        "$smtpd_tls_cert_file", NO_PROXY, "As smtpd_tls_cert_file, for tlsproxy."
    )
    tlsproxy_tls_chain_files = items(
        "$smtpd_tls_chain_files", NO_PROXY, "As smtpd_tls_chain_files, for tlsproxy."
    )
    tlsproxy_tls_ciphers = text(
        "$smtpd_tls_ciphers", NO_PROXY, "As smtpd_tls_ciphers, for tlsproxy."
    )
    tlsproxy_tls_dcert_file = text(
        "$smtpd_tls_dcert_file", NO_PROXY, "As smtpd_tls_dcert_file, for tlsproxy."
    )
    tlsproxy_tls_dh1024_param_file = text(
        "$smtpd_tls_dh1024_param_file",
        NO_PROXY,
        "As smtpd_tls_dh1024_param_file, for tlsproxy.",
    )
    tlsproxy_tls_dh512_param_file = text(
        "$smtpd_tls_dh512_param_file",
        NO_PROXY,
        "As smtpd_tls_dh512_param_file, for tlsproxy.",
    )
    tlsproxy_tls_dkey_file = text(
        "$smtpd_tls_dkey_file", NO_PROXY, "As smtpd_tls_dkey_file, for tlsproxy."
    )
    tlsproxy_tls_eccert_file = text(
        "$smtpd_tls_eccert_file", NO_PROXY, "As smtpd_tls_eccert_file, for tlsproxy."
    )
    tlsproxy_tls_eckey_file = text(
        "$smtpd_tls_eckey_file", NO_PROXY, "As smtpd_tls_eckey_file, for tlsproxy."
    )
    tlsproxy_tls_eecdh_grade = text(
        "$smtpd_tls_eecdh_grade", NO_PROXY, "As smtpd_tls_eecdh_grade, for tlsproxy."
    )
    tlsproxy_tls_enable_rpk = flag(
        "$smtpd_tls_enable_rpk", NO_PROXY, "As smtpd_tls_enable_rpk, for tlsproxy."
    )
    tlsproxy_tls_exclude_ciphers = items(
        "$smtpd_tls_exclude_ciphers",
        NO_PROXY,
        "As smtpd_tls_exclude_ciphers, for tlsproxy.",
    )
    tlsproxy_tls_fingerprint_digest = text(
        "$smtpd_tls_fingerprint_digest",
        NO_PROXY,
        "As smtpd_tls_fingerprint_digest, for tlsproxy.",
    )
    tlsproxy_tls_key_file = text(
        "$smtpd_tls_key_file", NO_PROXY, "As smtpd_tls_key_file, for tlsproxy."
    )
    tlsproxy_tls_loglevel = text(
        "$smtpd_tls_loglevel", NO_PROXY, "As smtpd_tls_loglevel, for tlsproxy."
    )
    tlsproxy_tls_mandatory_ciphers = text(
        "$smtpd_tls_mandatory_ciphers",
        NO_PROXY,
        "As smtpd_tls_mandatory_ciphers, for tlsproxy.",
    )
    tlsproxy_tls_mandatory_exclude_ciphers = items(
        "$smtpd_tls_mandatory_exclude_ciphers",
        NO_PROXY,
        "As smtpd_tls_mandatory_exclude_ciphers, for tlsproxy.",
    )
    tlsproxy_tls_mandatory_protocols = items(
        "$smtpd_tls_mandatory_protocols",
        NO_PROXY,
        "As smtpd_tls_mandatory_protocols, for tlsproxy.",
    )
    tlsproxy_tls_protocols = items(
        "$smtpd_tls_protocols", NO_PROXY, "As smtpd_tls_protocols, for tlsproxy."
    )
    tlsproxy_tls_req_ccert = flag(
        "$smtpd_tls_req_ccert", NO_PROXY, "As smtpd_tls_req_ccert, for tlsproxy."
    )
    tlsproxy_tls_security_level = text(
        "$smtpd_tls_security_level",
        NO_PROXY,
        "As smtpd_tls_security_level, for tlsproxy.",
    )
    tlsproxy_tls_session_cache_timeout = seconds(
        "$smtpd_tls_session_cache_timeout",
        NO_PROXY,
        "As smtpd_tls_session_cache_timeout, for tlsproxy.",
    )
