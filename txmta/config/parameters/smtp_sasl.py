"""
How the SMTP client logs in.
"""

from __future__ import annotations

from txmta.config.declare import Status, boolean, choice, string, time, words

#: smtp_sasl_security_options and its like.
_OPTIONS = (
    *("noplaintext", "noactive", "nodictionary", "noanonymous"),
    *("forward_secrecy", "mutual_auth"),
)


class SmtpSaslParameters:
    """
    Postfix: C{smtp/smtp_sasl_*.c}.
    """

    smtp_sasl_auth_enable = boolean(
        "no",
        doc="Log in to servers that offer AUTH and for which smtp_sasl_password_maps "
        "has name and password.",
    )
    smtp_sasl_password_maps = words(
        "",
        kind="tables",
        doc="name:password by sender (with smtp_sender_dependent_authentication), "
        "host name of the server, or next hop as it is written in main.cf and tables.",
    )
    smtp_sender_dependent_authentication = boolean(
        "no",
        doc="Look up name and password by sender first; connections are then not "
        "used for another sender.",
    )
    smtp_sasl_password_result_delimiter = string(
        ":", doc="What stands between name and password there."
    )
    smtp_sasl_mechanism_filter = words(
        "", doc="Mechanisms that may be used; nothing: all that we have."
    )
    smtp_sasl_security_options = words(
        "noplaintext, noanonymous",
        among=_OPTIONS,
        doc="Kinds of mechanisms that are not used.",
    )
    smtp_sasl_tls_security_options = words(
        "$smtp_sasl_security_options", among=_OPTIONS, doc="The same inside TLS."
    )
    smtp_sasl_tls_verified_security_options = words(
        "$smtp_sasl_tls_security_options",
        among=_OPTIONS,
        doc="The same inside TLS with a server whose certificate was verified.",
    )
    smtp_sasl_auth_soft_bounce = boolean(
        "yes", doc="Defer mail when a server refuses name and password."
    )
    smtp_sasl_auth_cache_name = string(
        "",
        doc="If set, names and passwords that a server refused with 535 are not tried "
        "again for smtp_sasl_auth_cache_time.",
        status=Status.APPROXIMATED,
        note="Each process remembers them in its memory; the table that is named is "
        "not made.",
    )
    smtp_sasl_auth_cache_time = time("90d", unit="d", doc="How long that is.")
    smtp_sasl_type = choice(
        "cyrus",
        ("cyrus", "txmta"),
        doc="Who makes the messages of mechanisms.",
        status=Status.NO_EFFECT,
        note="Always ourselves: SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, PLAIN, LOGIN, "
        "OAUTHBEARER and XOAUTH2.",
    )
    smtp_sasl_path = string(
        "",
        doc="What a library for mechanisms is told.",
        status=Status.NO_EFFECT,
        note="There is none.",
    )
    smtp_send_dummy_mail_auth = boolean(
        "no", doc="Send AUTH=<> with MAIL FROM when logged in."
    )
    send_cyrus_sasl_authzid = boolean(
        "no", doc="Send the login name as the authorization identity with PLAIN, too."
    )
    smtp_sasl_token_maps = words(
        "",
        kind="tables",
        doc="By login name, where its access tokens come from: the https address of "
        "an OAuth 2.0 token endpoint and client_id=, client_secret=, refresh_token=, "
        "scope=.",
        note="Our own.",
    )
