"""
TLS of servers and clients alike.
"""

from __future__ import annotations

from txmta.config.declare import Status, boolean, string, words


class TlsParameters:
    """
    Postfix: C{src/tls}.
    """

    tls_high_cipherlist = string(
        "aNULL:-aNULL:HIGH:@STRENGTH",
        doc="What the grade high means, up to TLS 1.2.",
    )
    tls_medium_cipherlist = string(
        "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH",
        doc="What the grade medium means, and the grades low and export.",
    )
    tls_null_cipherlist = string(
        "eNULL:!aNULL", doc="What the grade null means: no encryption."
    )
    tls_preempt_cipherlist = boolean(
        "no", doc="The server's order of ciphers counts, not the client's."
    )
    tls_ssl_options = words(
        "", doc="OpenSSL options to be turned on, by name or as 0x bits."
    )
    tls_eecdh_auto_curves = words(
        "X25519 X448 prime256v1 secp521r1 secp384r1",
        doc="Curves for key exchange, best first; those that the library does not "
        "know are left out.",
    )
    tls_ffdhe_auto_groups = words(
        "", doc="Finite-field groups for key exchange with TLS 1.3, after the curves."
    )
    tls_eecdh_strong_curve = string(
        "prime256v1", doc="The curve for the grade strong of smtpd_tls_eecdh_grade."
    )
    tls_eecdh_ultra_curve = string(
        "secp384r1", doc="The curve for the grade ultra of smtpd_tls_eecdh_grade."
    )
    tls_append_default_CA = boolean(
        "no", doc="Trust the system's authorities beside those that are named."
    )
    tls_session_ticket_cipher = string(
        "aes-256-cbc",
        doc="Cipher for session tickets; empty: none are given.",
        status=Status.APPROXIMATED,
        note="Which cipher it is, the library decides.",
    )
