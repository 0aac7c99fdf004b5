"""
SASL authentication, which is not there yet.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import flag, items, number, seconds, tables, text, warn

SERVER = warn("There is no AUTH yet; smtpd_sasl_auth_enable asks for it.")
CLIENT = warn(
    "There is no AUTH yet; smtp_sasl_auth_enable asks for it, and stops the start."
)
LMTP = warn(
    "There is no AUTH yet; lmtp_sasl_auth_enable asks for it, and stops the start."
)
OWNERS = warn(
    "Restrictions that read it are not there yet, and stop the start by themselves."
)


class SmtpdSasl:
    """
    Postfix: C{smtpd/smtpd_sasl_*.c}, C{src/xsasl}.
    """

    broken_sasl_auth_clients = flag(
        "no", SERVER, "Offer AUTH in the form of old clients (AUTH=), too."
    )
    cyrus_sasl_config_path = items(
        "", SERVER, "Directories with configuration files of Cyrus SASL."
    )
    smtpd_sasl_application_name = text(
        "smtpd", SERVER, "The old name of smtpd_sasl_path."
    )
    smtpd_sasl_authenticated_header = flag(
        "no", SERVER, "Say the login name in the Received: header."
    )
    smtpd_sasl_exceptions_networks = items(
        "", SERVER, "Clients that are not offered AUTH."
    )
    smtpd_sasl_local_domain = text("", SERVER, "The realm of Cyrus SASL.")
    smtpd_sasl_mechanism_filter = items(
        "!external, static:rest",
        SERVER,
        "Mechanisms of those the backend has that are offered.",
    )
    smtpd_sasl_path = text(
        "smtpd", SERVER, "Where the backend is: for dovecot, its socket."
    )
    smtpd_sasl_response_limit = number(
        "12288", SERVER, "Octets that a client may send in one answer."
    )
    smtpd_sasl_security_options = items(
        "noanonymous", SERVER, "Kinds of mechanisms that are not offered."
    )
    smtpd_sasl_tls_security_options = items(
        "$smtpd_sasl_security_options",
        SERVER,
        "As smtpd_sasl_security_options, inside TLS.",
    )
    smtpd_sasl_service = text(
        "smtp", SERVER, "The service name that the backend is told."
    )
    smtpd_sasl_type = text("cyrus", SERVER, "The kind of backend.")
    smtpd_sender_login_maps = tables(
        "", OWNERS, "The login names that own a sender address."
    )
    send_cyrus_sasl_authzid = flag(
        "no", CLIENT, "Send the login name as the authorization identity, too."
    )


class SmtpSasl:
    """
    Postfix: C{smtp/smtp_sasl_*.c}.
    """

    smtp_sasl_auth_cache_name = text(
        "", CLIENT, "Table that remembers names and passwords that were refused."
    )
    smtp_sasl_auth_cache_time = seconds("90d", CLIENT, "How long it does.", unit="d")
    smtp_sasl_auth_soft_bounce = flag(
        "yes", CLIENT, "Defer mail when the server refuses name and password."
    )
    smtp_sasl_mechanism_filter = items(
        "", CLIENT, "Mechanisms of those the server offers that may be used."
    )
    smtp_sasl_password_maps = tables(
        "", CLIENT, "Name and password by sender, server or next hop."
    )
    smtp_sasl_password_result_delimiter = text(
        ":", CLIENT, "What stands between name and password there."
    )
    smtp_sasl_path = text("", CLIENT, "What the backend is told at its start.")
    smtp_sasl_security_options = items(
        "noplaintext, noanonymous", CLIENT, "Kinds of mechanisms that are not used."
    )
    smtp_sasl_tls_security_options = items(
        "$smtp_sasl_security_options",
        CLIENT,
        "As smtp_sasl_security_options, inside TLS.",
    )
    smtp_sasl_tls_verified_security_options = items(
        "$smtp_sasl_tls_security_options",
        CLIENT,
        "As smtp_sasl_security_options, inside TLS with a verified server.",
    )
    smtp_sasl_type = text("cyrus", CLIENT, "The kind of backend.")
    smtp_send_dummy_mail_auth = flag(
        "no", CLIENT, "Send AUTH=<> with MAIL FROM after authentication."
    )
    smtp_sender_dependent_authentication = flag(
        "no", CLIENT, "Look name and password up by sender, too."
    )


class LmtpSasl:
    """
    Each is what smtp(8) has, for lmtp(8).
    """

    lmtp_sasl_auth_cache_name = text(
        "", LMTP, "As smtp_sasl_auth_cache_name, for LMTP."
    )
    lmtp_sasl_auth_cache_time = seconds(
        "90d", LMTP, "As smtp_sasl_auth_cache_time, for LMTP.", unit="d"
    )
    lmtp_sasl_auth_soft_bounce = flag(
        "yes", LMTP, "As smtp_sasl_auth_soft_bounce, for LMTP."
    )
    lmtp_sasl_mechanism_filter = items(
        "", LMTP, "As smtp_sasl_mechanism_filter, for LMTP."
    )
    lmtp_sasl_password_maps = tables("", LMTP, "As smtp_sasl_password_maps, for LMTP.")
    lmtp_sasl_password_result_delimiter = text(
        ":", LMTP, "As smtp_sasl_password_result_delimiter, for LMTP."
    )
    lmtp_sasl_path = text("", LMTP, "As smtp_sasl_path, for LMTP.")
    lmtp_sasl_security_options = items(
        "noplaintext, noanonymous", LMTP, "As smtp_sasl_security_options, for LMTP."
    )
    lmtp_sasl_tls_security_options = items(
        "$lmtp_sasl_security_options",
        LMTP,
        "As smtp_sasl_tls_security_options, for LMTP.",
    )
    lmtp_sasl_tls_verified_security_options = items(
        "$lmtp_sasl_tls_security_options",
        LMTP,
        "As smtp_sasl_tls_verified_security_options, for LMTP.",
    )
    lmtp_sasl_type = text("cyrus", LMTP, "As smtp_sasl_type, for LMTP.")
    lmtp_send_dummy_mail_auth = flag(
        "no", LMTP, "As smtp_send_dummy_mail_auth, for LMTP."
    )
    lmtp_sender_dependent_authentication = flag(
        "no", LMTP, "As smtp_sender_dependent_authentication, for LMTP."
    )
