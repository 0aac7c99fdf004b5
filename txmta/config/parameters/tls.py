"""
TLS in general, which is not there yet.

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
    tables,
    text,
    warn,
)

NO_TLS = warn("There is no TLS yet.")
OWN = idle("OpenSSL has its own way.")
OLD = gone("Such ciphers are in no library any more.")
NO_PROXY = warn("There is no TLS yet; when it comes, no process of its own does it.")
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
    tls_append_default_CA = flag(
        "no", NO_TLS, "Trust the system's authorities beside those that are named."
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
    tls_dane_digests = items(
        "sha512 sha256", NO_TLS, "Digests of TLSA records that count, best first."
    )
    tls_dane_trust_anchor_digest_enable = text(
        "yes", NO_TLS, "Accept TLSA records with a digest of an authority."
    )
    tls_disable_workarounds = items("", NO_TLS, "OpenSSL workarounds to be turned off.")
    tls_ssl_options = items("", NO_TLS, "OpenSSL options to be turned on.")
    tls_eecdh_auto_curves = items(
        "X25519 X448 prime256v1 secp521r1 secp384r1",
        NO_TLS,
        "Curves for key exchange, best first.",
    )
    tls_eecdh_strong_curve = text(
        "prime256v1", NO_TLS, "The curve for smtpd_tls_eecdh_grade = strong."
    )
    tls_eecdh_ultra_curve = text(
        "secp384r1", NO_TLS, "The curve for smtpd_tls_eecdh_grade = ultra."
    )
    tls_ffdhe_auto_groups = items(
        "", NO_TLS, "Finite-field groups for key exchange with TLS 1.3."
    )
    tls_high_cipherlist = text(
        "aNULL:-aNULL:HIGH:@STRENGTH", NO_TLS, "What the grade high means."
    )
    tls_medium_cipherlist = text(
        "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH",
        NO_TLS,
        "What the grade medium means.",
    )
    tls_low_cipherlist = text(
        "aNULL:-aNULL:HIGH:MEDIUM:LOW:+RC4:@STRENGTH", OLD, "What the grade low means."
    )
    tls_export_cipherlist = text(
        "aNULL:-aNULL:HIGH:MEDIUM:LOW:EXPORT:+RC4:@STRENGTH",
        OLD,
        "What the grade export means.",
    )
    tls_null_cipherlist = text(
        "eNULL:!aNULL", NO_TLS, "What the grade null means: no encryption."
    )
    tls_preempt_cipherlist = flag(
        "no", NO_TLS, "The server's order of ciphers counts, not the client's."
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
    tls_session_ticket_cipher = text(
        "aes-256-cbc", NO_TLS, "Cipher for session tickets; empty means none are given."
    )
    tls_trace_rate_limit = number("1", NO_TLS, "TLS traces a second that are logged.")
    tls_trust_server_ccerts = flag(
        "no", NO_TLS, "Accept as a client's a certificate that was made for a server."
    )
    tls_wildcard_matches_multiple_labels = flag(
        "yes", NO_TLS, "In a certificate, let * stand for more than one label."
    )
    tlsmgr_service_name = text(
        "tlsmgr", NO_PROXY, "The service that keeps sessions and randomness."
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
