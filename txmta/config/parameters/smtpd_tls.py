"""
TLS of the SMTP server.
"""

from __future__ import annotations

from txmta.config.declare import Status, boolean, count, string, time, words


class SmtpdTlsParameters:
    """
    Postfix: C{smtpd/smtpd.c}, C{tls/tls_server.c}.
    """

    smtpd_tls_security_level = string(
        "",
        doc="none, may (offer STARTTLS) or encrypt (insist on it); empty: what "
        "smtpd_use_tls and smtpd_enforce_tls say.",
    )
    smtpd_use_tls = boolean(
        "no", doc="The old way to say smtpd_tls_security_level = may."
    )
    smtpd_enforce_tls = boolean(
        "no", doc="The old way to say smtpd_tls_security_level = encrypt."
    )
    smtpd_tls_wrappermode = boolean(
        "no", doc="TLS from the first octet on, as for port 465."
    )
    smtpd_tls_auth_only = boolean("no", doc="Offer AUTH only inside TLS.")
    smtpd_tls_req_ccert = boolean(
        "no",
        doc="Where TLS is required, require a certificate of the client that verifies.",
    )
    smtpd_tls_ask_ccert = boolean(
        "no", doc="Ask the client for a certificate, without insisting."
    )
    smtpd_tls_cert_file = string(
        "",
        doc="File with the certificate of the server and the chain above it.",
    )
    smtpd_tls_key_file = string(
        "$smtpd_tls_cert_file", doc="File with the key of smtpd_tls_cert_file."
    )
    smtpd_tls_eccert_file = string("", doc="As smtpd_tls_cert_file, for ECDSA.")
    smtpd_tls_eckey_file = string(
        "$smtpd_tls_eccert_file", doc="File with the key of smtpd_tls_eccert_file."
    )
    smtpd_tls_chain_files = words(
        "",
        doc="Files that each hold keys, every one followed by its certificate chain; "
        "instead of the older names for each algorithm.",
    )
    smtpd_tls_CAfile = string(
        "",
        doc="File with the authorities that client certificates are verified with.",
    )
    smtpd_tls_CApath = string(
        "",
        doc="Directory with such authorities, under hashed names; they are read when "
        "the server starts, or is told to reload.",
    )
    smtpd_tls_ccert_verifydepth = count(
        "9", doc="How many authorities a chain of a client may have."
    )
    smtpd_tls_ciphers = string("medium", doc="Least grade of ciphers for optional TLS.")
    smtpd_tls_mandatory_ciphers = string(
        "medium", doc="Least grade of ciphers for required TLS."
    )
    smtpd_tls_exclude_ciphers = words("", doc="Ciphers that are never used.")
    smtpd_tls_mandatory_exclude_ciphers = words(
        "", doc="Further ciphers that are not used for required TLS."
    )
    smtpd_tls_protocols = words(
        ">=TLSv1", doc="Versions of the protocol for optional TLS."
    )
    smtpd_tls_mandatory_protocols = words(
        ">=TLSv1", doc="Versions of the protocol for required TLS."
    )
    smtpd_tls_dh1024_param_file = string(
        "",
        doc="File with Diffie-Hellman parameters.",
        status=Status.APPROXIMATED,
        note="Without one, ciphers with finite-field Diffie-Hellman are not used up to "
        "TLS 1.2; all clients of today have others.",
    )
    smtpd_tls_eecdh_grade = string(
        "auto",
        doc="Which curves: auto (tls_eecdh_auto_curves), strong, ultra; none: up to "
        "TLS 1.2 no ephemeral elliptic-curve key exchange.",
    )
    smtpd_tls_fingerprint_digest = string(
        "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
        doc="Digest for fingerprints of client certificates.",
    )
    smtpd_tls_loglevel = string(
        "0",
        doc="How much of TLS is logged: 0 to 2.",
        status=Status.APPROXIMATED,
        note="Above 2 as 2: no dump of the handshake.",
    )
    smtpd_tls_received_header = boolean(
        "no",
        doc="Say protocol, cipher and client certificate in the Received: header.",
    )
    smtpd_tls_session_cache_database = string(
        "",
        doc="Table that keeps TLS sessions, for clients that come again.",
        status=Status.APPROXIMATED,
        note="Clients keep their sessions themselves, as tickets; there is no table.",
    )
    smtpd_tls_session_cache_timeout = time(
        "3600s", doc="How long a TLS session can be resumed; 0: none can."
    )
    smtpd_starttls_timeout = time(
        "${stress?{10}:{300}}s", doc="Time for the handshake.", low=1
    )
