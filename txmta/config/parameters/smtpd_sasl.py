"""
Logging in to the SMTP server.
"""

from __future__ import annotations

from txmta.config.declare import Status, boolean, choice, count, string, time, words

OURS = "Postfix has no such parameter."

#: What smtpd_sasl_type may say.
TYPES = ("cred", "dovecot", "txmta")


class SmtpdSaslParameters:
    """
    Postfix: C{smtpd/smtpd_sasl_*.c}, C{src/xsasl}.
    """

    smtpd_sasl_auth_enable = boolean("no", doc="Let clients log in (AUTH).")
    smtpd_sasl_type = string(
        "cyrus",
        doc="Who knows the passwords: dovecot (Dovecot's auth service), txmta (a "
        "table of our own, made by txmta passwd), or cred (a checker that is a Twisted "
        "plug-in).",
        status=Status.APPROXIMATED,
        note="cyrus, Postfix's default, is not here: write one of the others.",
    )
    smtpd_sasl_path = string(
        "smtpd",
        doc="Where the passwords are. For dovecot, its socket: a path, relative to "
        "queue_directory, with or without unix: before it, or inet:host:port. For "
        "txmta, a table, type:name. For cred, a checker and its argument, as in "
        "file:/etc/passwords.",
    )
    smtpd_sasl_security_options = words(
        "noanonymous",
        doc="Kinds of mechanisms that are not offered: noplaintext, noactive, "
        "nodictionary, noanonymous; kinds that all must be: forward_secrecy, "
        "mutual_auth.",
    )
    smtpd_sasl_tls_security_options = words(
        "$smtpd_sasl_security_options",
        doc="As smtpd_sasl_security_options, inside TLS.",
    )
    smtpd_sasl_mechanism_filter = words(
        "!external, static:rest",
        doc="Mechanisms of those the backend has that are offered.",
    )
    smtpd_sasl_exceptions_networks = words("", doc="Clients that are not offered AUTH.")
    smtpd_sasl_local_domain = string(
        "",
        doc="The domain of a login name that has none.",
        status=Status.APPROXIMATED,
        note="The txmta and cred backends put it there; Dovecot has a setting of its "
        "own (auth_default_realm).",
    )
    smtpd_sasl_response_limit = count(
        "12288", low=12288, doc="Octets that a client may send in one answer."
    )
    smtpd_sasl_service = string(
        "smtp", doc="The service name that the backend is told."
    )
    smtpd_sasl_authenticated_header = boolean(
        "no", doc="Say the login name in the Received: header."
    )
    broken_sasl_auth_clients = boolean(
        "no", doc="Offer AUTH in the form of old clients (AUTH=), too."
    )
    smtpd_sasl_certificate_maps = words(
        "",
        kind="tables",
        doc="The login name of a client certificate, by its fingerprint; with this, "
        "the txmta backend has EXTERNAL (which smtpd_sasl_mechanism_filter must "
        "admit).",
        note=OURS,
    )
    smtpd_sasl_account_secrets = choice(
        "scram",
        ("scram", "plain", "other"),
        doc="What every account of the txmta backend has, so that no mechanism is "
        "offered which it is not good for: scram ({SCRAM-SHA-256}, as txmta passwd "
        "makes them: SCRAM, PLAIN, LOGIN), plain ({PLAIN}: CRAM-MD5, too), other "
        "(any hash: PLAIN and LOGIN only).",
        note=OURS,
    )
    smtpd_sasl_token_maps = words(
        "",
        kind="tables",
        doc="The login name of a bearer token of OAuth 2.0; with this, the txmta "
        "backend has OAUTHBEARER and XOAUTH2. A table that asks a program, such as "
        "socketmap:, can have the token checked by whoever issued it.",
        note=OURS,
    )
    smtpd_sasl_concurrency_limit = count(
        "4",
        low=1,
        doc="Passwords that one process checks at a time, in threads; ten times as "
        "many may wait, and more get 454.",
        note=OURS,
    )
    smtpd_sasl_failure_delay = time(
        "1s",
        doc="How long a client waits for the answer to its first failure to log in. "
        "Each more of the same address doubles it.",
        note=OURS,
    )
    smtpd_sasl_failure_max_delay = time(
        "30s", doc="What smtpd_sasl_failure_delay grows to, at most.", note=OURS
    )
    smtpd_sasl_failure_limit = count(
        "0",
        doc="Failures to log in, of one address, after which AUTH is answered with "
        "454 until smtpd_sasl_failure_memory has passed; 0 is no limit. Each process "
        "counts for itself.",
        note=OURS,
    )
    smtpd_sasl_failure_memory = time(
        "600s",
        low=1,
        doc="How long failures to log in are remembered.",
        note=OURS,
    )
