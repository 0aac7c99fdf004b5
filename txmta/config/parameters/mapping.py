"""
Addresses and routes: what is not there yet.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import flag, items, number, stop, tables, text, warn

CHANGES = stop(
    "it is not there yet, and addresses would not be changed: remove the line, or "
    "stay with Postfix until txmta has it"
)
ROUTES = stop(
    "it is not there yet, and mail would go elsewhere: remove the line, or stay with "
    "Postfix until txmta has it"
)
KEYS = warn("The tables that are asked so are not there yet, or ask for <>.")
TEXTS = warn("It changes texts and logs only.")
SENDERS = stop(
    "it is not there yet, and users could send as somebody else: remove the line",
    "static:*",
)
SRV = stop(
    "SRV records are not looked up yet, and mail would go to another host: remove the"
    " line"
)
NO_SRV = warn("SRV records are not looked up yet; use_srv_lookup asks for it.")
NO_VERP = warn("sendmail -V decides, and is not there yet.")
IDNA = stop(
    "IDNA2008 counts here, and some names would lead to other hosts: remove the line"
)


class Addresses:
    """
    Postfix: C{src/cleanup}, C{src/trivial-rewrite}.
    """

    local_login_sender_maps = tables(
        "static:*",
        SENDERS,
        "Sender addresses that a user may give to sendmail, by login name.",
    )
    empty_address_local_login_sender_maps_lookup_key = text(
        "<>", KEYS, "What local_login_sender_maps gives for the null sender."
    )
    enable_errors_to = flag(
        "no", CHANGES, "Take the address of notices from the header Errors-To:."
    )
    sender_based_routing = flag("no", ROUTES, "An old parameter: route by the sender.")
    non_empty_end_of_header_action = text(
        "fix_quietly",
        TEXTS,
        "What is done with a line with white space where headers end.",
    )
    header_from_format = text(
        "standard", TEXTS, "How sendmail writes the full name of a user into From:."
    )
    full_name_encoding_charset = text(
        "utf-8", TEXTS, "The character set of full names that are not ASCII."
    )
    extract_recipient_limit = number(
        "10240", TEXTS, "How many recipients sendmail -t takes from headers."
    )
    queue_file_attribute_count_limit = number(
        "100", TEXTS, "How many attributes a message may have."
    )


class Delivery:
    """
    Postfix: C{src/smtp}, C{src/bounce}, C{src/verp}.
    """

    fallback_relay = items("", ROUTES, "The old name of smtp_fallback_relay.")
    use_srv_lookup = items(
        "", SRV, "Services whose hosts are looked up as SRV records."
    )
    allow_srv_lookup_fallback = flag(
        "no", NO_SRV, "Look for MX records when there are no SRV records."
    )
    ignore_srv_lookup_error = flag(
        "no", NO_SRV, "Look for MX records when SRV records cannot be looked up."
    )
    known_tcp_ports = items(
        "lmtp=24, smtp=25, smtps=submissions=465, submission=587",
        TEXTS,
        "Names for ports that need not be in /etc/services.",
    )
    lmtp_cache_connection = flag(
        "yes", TEXTS, "An old name of lmtp_connection_cache_on_demand."
    )
    smtp_per_record_deadline = flag(
        "no", TEXTS, "The old name of smtp_per_request_deadline."
    )
    lmtp_per_record_deadline = flag(
        "no", TEXTS, "The old name of lmtp_per_request_deadline."
    )
    dns_ncache_ttl_fix_enable = flag(
        "no", TEXTS, "A work-around for a mistake of old C libraries."
    )
    dnssec_probe = text(
        "ns:.",
        TEXTS,
        "The name by which it is found out whether the resolver validates.",
    )
    enable_idna2003_compatibility = flag(
        "no", IDNA, "Turn names into ASCII by the old rules."
    )
    default_verp_delimiters = text("+=", NO_VERP, "Characters of VERP addresses.")
    verp_delimiter_filter = text("-=+", NO_VERP, "Which characters may be such.")
    disable_verp_bounces = flag(
        "no",
        NO_VERP,
        "Send one notice for a message with VERP, not one for each recipient.",
    )
