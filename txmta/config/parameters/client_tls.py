"""
TLS of the SMTP client; and of the LMTP client, by L{txmta.config.parameters.lmtp}.
"""

from __future__ import annotations

from txmta.config.declare import Status, boolean, choice, count, string, time, words

_LEVELS = (
    *("", "none", "may", "encrypt", "fingerprint"),
    *("dane", "dane-only", "verify", "secure"),
)

_IN_MEMORY = (
    "Sessions are kept in the memory of the process: a name switches that on, and is "
    "not used otherwise."
)


class ClientTlsParameters:
    """
    Postfix: C{smtp/smtp_tls_policy.c}, C{smtp/smtp_proto.c}, C{tls/tls_client.c}.
    """

    smtp_tls_security_level = choice(
        "${{$compatibility_level} <level {3.11} ? {} : {may}}",
        _LEVELS,
        doc="Use TLS: none, may (where it is offered), encrypt (never without), "
        "fingerprint, dane, dane-only, verify, secure (never with another server).",
    )
    smtp_use_tls = boolean(
        "no", doc="The old way to say smtp_tls_security_level = may."
    )
    smtp_enforce_tls = boolean(
        "no",
        doc="The old way to say smtp_tls_security_level = verify; or encrypt, with "
        "smtp_tls_enforce_peername = no.",
    )
    smtp_tls_enforce_peername = boolean(
        "yes",
        doc="With smtp_enforce_tls, whether the name in the certificate must match.",
    )
    smtp_tls_policy_maps = words(
        "",
        kind="tables",
        doc="TLS policies by next hop (as it is routed to, with [] and port), then by "
        "its parent domains (.example.com): a level, and attributes.",
    )
    smtp_tls_per_site = words(
        "",
        kind="tables",
        doc="The old table of TLS policies by next hop and host.",
    )
    smtp_tls_wrappermode = boolean(
        "no",
        doc="TLS from the first octet on, as port 465 of a submission server wants it; "
        "needs smtp_tls_security_level = encrypt or more.",
    )
    smtp_tls_dane_insecure_mx_policy = choice(
        "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}",
        ("may", "encrypt", "dane"),
        doc="The level for MX hosts with TLSA records whose MX records are not signed.",
    )
    smtp_tls_force_insecure_host_tlsa_lookup = boolean(
        "no", doc="Look for TLSA records of hosts whose addresses are not signed."
    )
    smtp_tls_cert_file = string(
        "", doc="File with the certificate of the client and the chain above it."
    )
    smtp_tls_key_file = string(
        "$smtp_tls_cert_file", doc="File with the key of smtp_tls_cert_file."
    )
    smtp_tls_dcert_file = string("", doc="As smtp_tls_cert_file, for DSA.")
    smtp_tls_dkey_file = string(
        "$smtp_tls_dcert_file", doc="File with the key of smtp_tls_dcert_file."
    )
    smtp_tls_eccert_file = string("", doc="As smtp_tls_cert_file, for ECDSA.")
    smtp_tls_eckey_file = string(
        "$smtp_tls_eccert_file", doc="File with the key of smtp_tls_eccert_file."
    )
    smtp_tls_chain_files = words(
        "",
        doc="Files that each hold keys, every one followed by its certificate chain; "
        "then the cert_file parameters do not count.",
    )
    smtp_tls_CAfile = string(
        "", doc="File with the authorities that server certificates are verified with."
    )
    smtp_tls_CApath = string(
        "",
        doc="Directory with such authorities, under hashed names; read at start.",
    )
    smtp_tls_scert_verifydepth = count(
        "9", doc="How many authorities a chain of a server may have."
    )
    smtp_tls_trust_anchor_file = words(
        "",
        doc="Files with authorities that count instead of the usual ones, for the "
        "levels verify and secure.",
        status=Status.APPROXIMATED,
        note="Certificates only, no bare public keys.",
    )
    smtp_tls_ciphers = string("medium", doc="Least grade of ciphers for optional TLS.")
    smtp_tls_mandatory_ciphers = string(
        "medium", doc="Least grade of ciphers for required TLS."
    )
    smtp_tls_exclude_ciphers = words("", doc="Ciphers that are never used.")
    smtp_tls_mandatory_exclude_ciphers = words(
        "", doc="Further ciphers that are not used for required TLS."
    )
    smtp_tls_protocols = words(
        ">=TLSv1", doc="Versions of the protocol for optional TLS."
    )
    smtp_tls_mandatory_protocols = words(
        ">=TLSv1", doc="Versions of the protocol for required TLS."
    )
    smtp_tls_fingerprint_cert_match = words(
        "",
        doc="Fingerprints of certificates, or keys, that the level fingerprint "
        "accepts.",
    )
    smtp_tls_fingerprint_digest = string(
        "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
        doc="Digest for fingerprints of server certificates.",
    )
    smtp_tls_verify_cert_match = words(
        "hostname",
        doc="Which names the level verify looks for in a certificate: hostname, "
        "nexthop, dot-nexthop, names.",
    )
    smtp_tls_secure_cert_match = words(
        "nexthop, dot-nexthop",
        doc="Which names the level secure looks for in a certificate.",
    )
    smtp_tls_servername = string(
        "", doc="The name that is sent for SNI: hostname, nexthop, or a name."
    )
    smtp_tls_connection_reuse = boolean(
        "no", doc="Use a connection with TLS for several messages."
    )
    smtp_tls_loglevel = string(
        "0",
        doc="How much of TLS is logged: 0 nothing, 1 a line for each handshake, 2 "
        "what is in certificates.",
        status=Status.APPROXIMATED,
        note="3 and 4 are as 2.",
    )
    smtp_tls_note_starttls_offer = boolean(
        "no", doc="Log which servers offer STARTTLS while it is not used."
    )
    smtp_tls_session_cache_database = string(
        "",
        doc="Keep TLS sessions for the next connection.",
        status=Status.APPROXIMATED,
        note=_IN_MEMORY,
    )
    smtp_tls_session_cache_timeout = time(
        "3600s", doc="How long a TLS session can be resumed."
    )
    smtp_starttls_timeout = time(
        "300s", low=1, doc="Time for STARTTLS and the handshake."
    )
    tls_dane_digests = words(
        "sha512 sha256",
        doc="Digests of TLSA records that count, best first.",
        among=("sha512", "sha256"),
    )
    tls_wildcard_matches_multiple_labels = boolean(
        "yes", doc="In a certificate, let * stand for more than one label."
    )
