"""
Content filters, milters, policy servers, which are not there yet.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import flag, items, seconds, stop, tables, text, warn

FILTER = stop(
    "there is no such filter yet, and mail would pass unseen: remove the line, or "
    "stay with Postfix until txmta has it"
)
NO_FILTER = warn("There is no such filter yet.")
NO_MILTER = warn("There are no milters yet.")
STRICT = stop(
    "it is not there yet, and what it refuses would be let in: remove the line"
)


class Filters:
    """
    Postfix: C{src/cleanup}, C{smtpd/smtpd_proxy.c}.
    """

    content_filter = text(
        "", FILTER, "The transport and next hop that all mail goes to first."
    )
    default_filter_nexthop = text(
        "",
        NO_FILTER,
        "The next hop of a FILTER action that names none; empty means the recipient's"
        " domain.",
    )
    smtpd_proxy_ehlo = text(
        "$myhostname",
        NO_FILTER,
        "The name that smtpd gives to the filter of smtpd_proxy_filter.",
    )
    smtpd_proxy_options = items("", NO_FILTER, "How smtpd talks to that filter.")
    smtpd_proxy_timeout = seconds(
        "100s", NO_FILTER, "Time for each step with it.", low=1
    )
    strict_7bit_headers = flag("no", STRICT, "Refuse headers with 8-bit octets.")
    strict_8bitmime = flag(
        "no", STRICT, "Both strict_7bit_headers and strict_8bitmime_body."
    )
    strict_8bitmime_body = flag(
        "no", STRICT, "Refuse bodies with 8-bit octets that are not declared."
    )
    strict_mime_encoding_domain = flag(
        "no",
        STRICT,
        "Refuse multipart and message parts with a wrong transfer encoding.",
    )
    force_mime_input_conversion = flag(
        "no", NO_FILTER, "Turn 8-bit content into 7 bits as it comes in."
    )


class Milters:
    """
    Postfix: C{src/milter}, C{cleanup/cleanup_milter.c}.
    """

    non_smtpd_milters = items(
        "", FILTER, "Milters for mail that does not come by SMTP."
    )
    smtpd_milter_maps = tables(
        "", FILTER, "Milters by client, instead of smtpd_milters."
    )
    milter_header_checks = tables(
        "", FILTER, "Header checks for headers that milters add."
    )
    milter_default_action = text(
        "${{$compatibility_level} <level {3.11} ? {tempfail} : {shutdown}}",
        NO_MILTER,
        "What becomes of mail when a milter cannot be used.",
    )
    milter_protocol = text(
        "6", NO_MILTER, "The version of the protocol, and extensions."
    )
    milter_connect_timeout = seconds(
        "30s", NO_MILTER, "Time to connect to a milter and agree on options.", low=1
    )
    milter_command_timeout = seconds(
        "30s", NO_MILTER, "Time for its answer to one command.", low=1
    )
    milter_content_timeout = seconds(
        "300s", NO_MILTER, "Time for its answer to the content.", low=1
    )
    milter_macro_daemon_name = text(
        "$myhostname", NO_MILTER, "What the macro {daemon_name} says."
    )
    milter_macro_defaults = items("", NO_MILTER, "Values of macros that have none.")
    milter_macro_v = text(
        "$mail_name $mail_version", NO_MILTER, "What the macro v says."
    )
    milter_connect_macros = items(
        "j {daemon_name} {daemon_addr} v _",
        NO_MILTER,
        "Macros that are sent with the connection.",
    )
    milter_helo_macros = items(
        "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
        NO_MILTER,
        "Macros that are sent with HELO or EHLO.",
    )
    milter_mail_macros = items(
        "i {auth_type} {auth_authen} {auth_author} "
        "{mail_addr} {mail_host} {mail_mailer}",
        NO_MILTER,
        "Macros that are sent with MAIL FROM.",
    )
    milter_rcpt_macros = items(
        "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
        NO_MILTER,
        "Macros that are sent with RCPT TO.",
    )
    milter_data_macros = items("i", NO_MILTER, "Macros that are sent with DATA.")
    milter_end_of_header_macros = items(
        "i", NO_MILTER, "Macros that are sent after the headers."
    )
    milter_end_of_data_macros = items(
        "i", NO_MILTER, "Macros that are sent after the content."
    )
    milter_unknown_command_macros = items(
        "", NO_MILTER, "Macros that are sent with an unknown command."
    )
