"""
SASL authentication, which is not there yet.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import flag, items, number, tables, text, warn

SERVER = warn("There is no AUTH yet; smtpd_sasl_auth_enable asks for it.")
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
