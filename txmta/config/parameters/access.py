"""
The SMTP server: replies, probes and lists that are not there yet.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import (
    flag,
    gone,
    idle,
    items,
    number,
    seconds,
    stop,
    tables,
    text,
    warn,
)

HARD_LISTS = stop(
    "it is not there yet, and mail would be let in: write reject_rbl_client when that"
    " is there, or remove the line"
)
REPLIES = stop(
    "it is not there yet, and replies would be others, hard errors perhaps instead of"
    " soft: remove the line"
)
COSMETIC = warn("It changes texts and logs only.")
NO_VERIFY = warn(
    "There are no address probes yet; reject_unverified_recipient and its kin stop "
    "the start."
)
PROBES = warn("Nobody probes our addresses in a way that depends on it.")
STRICTER = idle("Always so.")
OFFERS = warn("Clients are offered the same, whoever they are.")
PRIVATE = stop(
    "it is not there yet, and Received: would tell of the client: remove the line"
)
NO_VERP = warn("XVERP is not offered to clients.")
OLD = gone("An old name.")

#: As C{smtpd_expansion_filter} writes them.
_PRINTABLE = "".join(map(chr, range(33, 127))).replace("\\", "\\\\")


class Access:
    """
    Postfix: C{smtpd/smtpd_check.c}.
    """

    maps_rbl_domains = items(
        "", HARD_LISTS, "The old way to name DNS lists, for reject_maps_rbl."
    )
    smtpd_expansion_filter = text(
        "\\t\\40" + _PRINTABLE,
        COSMETIC,
        "Characters that may be in what clients put into replies; others become _.",
        expand=False,
    )
    smtpd_reject_footer_maps = tables(
        "", COSMETIC, "As smtpd_reject_footer, by the text of the refusal."
    )
    smtpd_reject_filter_maps = tables("", REPLIES, "Table that changes refusals.")
    helpful_warnings = flag("yes", COSMETIC, "Warn of settings that are doubtful.")
    smtpd_client_port_logging = flag("no", COSMETIC, "Log the port of a client, too.")
    smtpd_hide_client_session = flag(
        "no", PRIVATE, "Leave the client's name and address out of Received:."
    )
    smtpd_delay_open_until_valid_rcpt = flag(
        "yes",
        STRICTER,
        "Begin a message in the queue only when a recipient was accepted.",
    )
    smtpd_history_flush_threshold = number(
        "100", COSMETIC, "How many lines of a session are kept for notices."
    )
    smtpd_per_record_deadline = text(
        "", OLD, "The old name of smtpd_per_request_deadline."
    )
    smtpd_client_connection_limit_exceptions = items(
        "$mynetworks", OLD, "The old name of smtpd_client_event_limit_exceptions."
    )
    authorized_verp_clients = items(
        "$mynetworks", NO_VERP, "The old name of smtpd_authorized_verp_clients."
    )
    smtpd_authorized_verp_clients = items(
        "$authorized_verp_clients", NO_VERP, "Clients that may ask for VERP by XVERP."
    )


class Verify:
    """
    Postfix: C{src/verify}.
    """

    address_verify_cache_cleanup_interval = seconds(
        "12h", NO_VERIFY, "How often old results leave the cache.", unit="h"
    )
    address_verify_default_transport = text(
        "$default_transport", NO_VERIFY, "As default_transport, for probes."
    )
    address_verify_local_transport = text(
        "$local_transport", NO_VERIFY, "As local_transport, for probes."
    )
    address_verify_map = tables(
        "$default_cache_db_type:$data_directory/verify_cache",
        NO_VERIFY,
        "Table that keeps results.",
    )
    address_verify_negative_cache = flag(
        "yes", NO_VERIFY, "Keep results that say no, too."
    )
    address_verify_negative_expire_time = seconds(
        "3d", NO_VERIFY, "How long such a result is kept.", unit="d"
    )
    address_verify_negative_refresh_time = seconds(
        "3h", NO_VERIFY, "When such a result is tried again.", unit="h"
    )
    address_verify_pending_request_limit = number(
        "5000", NO_VERIFY, "Probes under way at a time.", low=1
    )
    address_verify_poll_count = number(
        "${stress?{1}:{3}}", NO_VERIFY, "How often the result of a probe is looked for."
    )
    address_verify_poll_delay = seconds("3s", NO_VERIFY, "The time between.", low=1)
    address_verify_positive_expire_time = seconds(
        "31d", NO_VERIFY, "How long a result that says yes is kept.", unit="d"
    )
    address_verify_positive_refresh_time = seconds(
        "7d", NO_VERIFY, "When such a result is tried again.", unit="d"
    )
    address_verify_relay_transport = text(
        "$relay_transport", NO_VERIFY, "As relay_transport, for probes."
    )
    address_verify_relayhost = text(
        "$relayhost", NO_VERIFY, "As relayhost, for probes."
    )
    address_verify_sender = text(
        "$double_bounce_sender", NO_VERIFY, "The sender of probes."
    )
    address_verify_sender_dependent_default_transport_maps = tables(
        "$sender_dependent_default_transport_maps",
        NO_VERIFY,
        "As sender_dependent_default_transport_maps, for probes.",
    )
    address_verify_sender_dependent_relayhost_maps = tables(
        "$sender_dependent_relayhost_maps",
        NO_VERIFY,
        "As sender_dependent_relayhost_maps, for probes.",
    )
    address_verify_sender_ttl = seconds(
        "0s",
        NO_VERIFY,
        "How long one sender of probes is used before its address changes.",
    )
    address_verify_service_name = text(
        "verify", NO_VERIFY, "The service that keeps results."
    )
    address_verify_transport_maps = tables(
        "$transport_maps", NO_VERIFY, "As transport_maps, for probes."
    )
    address_verify_virtual_transport = text(
        "$virtual_transport", NO_VERIFY, "As virtual_transport, for probes."
    )
    smtp_address_verify_target = text(
        "rcpt", PROBES, "Whether a probe ends after RCPT or after DATA."
    )
    lmtp_address_verify_target = text(
        "rcpt", PROBES, "As smtp_address_verify_target, for LMTP."
    )
    unverified_recipient_defer_code = number(
        "450", NO_VERIFY, "The code while a probe has no result."
    )
    unverified_recipient_reject_code = number(
        "450", NO_VERIFY, "The code when the result says no."
    )
    unverified_recipient_reject_reason = text(
        "", NO_VERIFY, "What is told instead of the result."
    )
    unverified_recipient_tempfail_action = text(
        "$reject_tempfail_action", NO_VERIFY, "What is done when a probe cannot say."
    )
    unverified_sender_defer_code = number(
        "450", NO_VERIFY, "The code while a probe has no result."
    )
    unverified_sender_reject_code = number(
        "450", NO_VERIFY, "The code when the result says no."
    )
    unverified_sender_reject_reason = text(
        "", NO_VERIFY, "What is told instead of the result."
    )
    unverified_sender_tempfail_action = text(
        "$reject_tempfail_action", NO_VERIFY, "What is done when a probe cannot say."
    )
