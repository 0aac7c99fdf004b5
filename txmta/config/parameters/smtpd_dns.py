"""
The SMTP server: what restrictions ask of the DNS.
"""

from __future__ import annotations

from txmta.config.declare import Status, choice, count, string, words

_ACTIONS = ("defer_if_permit", "defer")


class SmtpdDnsParameters:
    """
    Postfix: C{smtpd/smtpd_check.c}.
    """

    maps_rbl_reject_code = count(
        "554",
        low=400,
        high=599,
        doc="The code of reject_rbl_client and its kin, $rbl_code in their replies.",
    )
    unknown_address_reject_code = count(
        "450",
        low=400,
        high=599,
        doc="The code of reject_unknown_sender_domain and its kin.",
    )
    unknown_client_reject_code = count(
        "450", low=400, high=599, doc="The code of reject_unknown_client_hostname."
    )
    unknown_hostname_reject_code = count(
        "450", low=400, high=599, doc="The code of reject_unknown_helo_hostname."
    )
    reject_tempfail_action = choice(
        "defer_if_permit", _ACTIONS, doc="What is done when a test cannot say."
    )
    unknown_address_tempfail_action = choice(
        "$reject_tempfail_action",
        _ACTIONS,
        doc="As reject_tempfail_action, for unknown domains.",
    )
    unknown_helo_hostname_tempfail_action = choice(
        "$reject_tempfail_action",
        _ACTIONS,
        doc="As reject_tempfail_action, for HELO names.",
    )
    default_rbl_reply = string(
        "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using "
        "$rbl_domain${rbl_reason?; $rbl_reason}",
        doc="The reply for a client in a DNS list.",
        expand=False,
    )
    rbl_reply_maps = words(
        "",
        kind="tables",
        doc="As default_rbl_reply, by list (with or without =d.d.d.d).",
    )
    permit_mx_backup_networks = words(
        "", doc="Networks of the best mail exchangers for permit_mx_backup."
    )
    smtpd_dns_reply_filter = words(
        "",
        kind="tables",
        doc="Tables that are asked for each record that restrictions look up (name ttl "
        "class type value); those for which they say IGNORE do not count.",
        status=Status.APPROXIMATED,
        note="The ttl is that of the answer as a whole; the names of clients are not "
        "filtered.",
    )
