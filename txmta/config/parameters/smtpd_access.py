"""
The SMTP server: restriction lists, and what restrictions read.
"""

from __future__ import annotations

from txmta.config.declare import Status, boolean, count, string, words


class SmtpdAccessParameters:
    """
    Postfix: C{smtpd/smtpd_check.c}.
    """

    smtpd_client_restrictions = words(
        "", kind="restrictions", doc="Restrictions on the client."
    )
    smtpd_helo_restrictions = words(
        "", kind="restrictions", doc="Restrictions on HELO and EHLO."
    )
    smtpd_sender_restrictions = words(
        "", kind="restrictions", doc="Restrictions on MAIL."
    )
    smtpd_data_restrictions = words(
        "", kind="restrictions", doc="Restrictions on DATA."
    )
    smtpd_end_of_data_restrictions = words(
        "", kind="restrictions", doc="Restrictions on a whole message."
    )
    smtpd_etrn_restrictions = words(
        "", kind="restrictions", doc="Restrictions on ETRN."
    )
    smtpd_restriction_classes = words(
        "",
        doc="Names for lists of restrictions; each is a parameter with the list.",
    )
    smtpd_delay_reject = boolean(
        "yes", doc="Ask client, helo and sender restrictions at RCPT and ETRN."
    )
    smtpd_reject_unlisted_sender = boolean(
        "no", doc="Refuse unknown senders in our domains, even if no restriction does."
    )
    smtpd_null_access_lookup_key = string(
        "<>", doc="What access tables are asked for the null sender."
    )
    smtpd_log_access_permit_actions = words(
        "",
        doc="Names of restrictions and results that permit and are logged; static:all: "
        "all.",
        status=Status.APPROXIMATED,
        note="Names and static:all only; no files, no other tables.",
    )
    smtpd_reject_footer = string(
        "",
        doc="Text below each refusal; after \\c it goes on in the same line, \\n "
        "begins another.",
        status=Status.APPROXIMATED,
        note="Of macros there are those of client, server and localtime; those of "
        "sender and recipient are empty.",
        expand=False,
    )
    smtpd_sender_login_maps = words(
        "", kind="tables", doc="The login names that own a sender address."
    )
    relay_clientcerts = words(
        "",
        kind="tables",
        doc="Fingerprints of the clients that permit_tls_clientcerts admits.",
    )
    access_map_defer_code = count(
        "450",
        low=400,
        high=499,
        doc="Reply code of the result DEFER of an access table.",
    )
    access_map_reject_code = count(
        "554",
        low=400,
        high=599,
        doc="Reply code of the result REJECT of an access table.",
    )
    invalid_hostname_reject_code = count(
        "501", low=400, high=599, doc="Reply code of reject_invalid_helo_hostname."
    )
    non_fqdn_reject_code = count(
        "504",
        low=400,
        high=599,
        doc="Reply code of reject_non_fqdn_sender and kin.",
    )
    multi_recipient_bounce_reject_code = count(
        "550", low=400, high=599, doc="Reply code of reject_multi_recipient_bounce."
    )
    plaintext_reject_code = count(
        "450", low=400, high=599, doc="Reply code of reject_plaintext_session."
    )
