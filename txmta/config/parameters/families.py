"""
Names that stand for a parameter of each transport.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import number, seconds, text, warn

PATTERN = warn(
    "Write the name of a transport of master.cf instead of the word transport."
)


class Families:
    """
    Postfix: C{src/qmgr}; see L{FAMILIES<txmta.config.settings.FAMILIES>}.
    """

    transport_delivery_slot_cost = number(
        "$default_delivery_slot_cost",
        PATTERN,
        "<transport>_delivery_slot_cost; without it, default_delivery_slot_cost "
        "counts.",
    )
    transport_delivery_slot_discount = number(
        "$default_delivery_slot_discount",
        PATTERN,
        "<transport>_delivery_slot_discount; without it, "
        "default_delivery_slot_discount counts.",
    )
    transport_delivery_slot_loan = number(
        "$default_delivery_slot_loan",
        PATTERN,
        "<transport>_delivery_slot_loan; without it, default_delivery_slot_loan "
        "counts.",
    )
    transport_destination_concurrency_failed_cohort_limit = number(
        "$default_destination_concurrency_failed_cohort_limit",
        PATTERN,
        "<transport>_destination_concurrency_failed_cohort_limit; without it, "
        "default_destination_concurrency_failed_cohort_limit counts.",
    )
    transport_destination_concurrency_limit = number(
        "$default_destination_concurrency_limit",
        PATTERN,
        "<transport>_destination_concurrency_limit; without it, "
        "default_destination_concurrency_limit counts.",
    )
    transport_destination_concurrency_negative_feedback = text(
        "$default_destination_concurrency_negative_feedback",
        PATTERN,
        "<transport>_destination_concurrency_negative_feedback; without it, "
        "default_destination_concurrency_negative_feedback counts.",
    )
    transport_destination_concurrency_positive_feedback = text(
        "$default_destination_concurrency_positive_feedback",
        PATTERN,
        "<transport>_destination_concurrency_positive_feedback; without it, "
        "default_destination_concurrency_positive_feedback counts.",
    )
    transport_destination_rate_delay = seconds(
        "$default_destination_rate_delay",
        PATTERN,
        "<transport>_destination_rate_delay; without it, "
        "default_destination_rate_delay counts.",
    )
    transport_destination_recipient_limit = number(
        "$default_destination_recipient_limit",
        PATTERN,
        "<transport>_destination_recipient_limit; without it, "
        "default_destination_recipient_limit counts.",
    )
    transport_extra_recipient_limit = number(
        "$default_extra_recipient_limit",
        PATTERN,
        "<transport>_extra_recipient_limit; without it, default_extra_recipient_limit"
        " counts.",
    )
    transport_initial_destination_concurrency = number(
        "$initial_destination_concurrency",
        PATTERN,
        "<transport>_initial_destination_concurrency; without it, "
        "initial_destination_concurrency counts.",
    )
    transport_minimum_delivery_slots = number(
        "$default_minimum_delivery_slots",
        PATTERN,
        "<transport>_minimum_delivery_slots; without it, "
        "default_minimum_delivery_slots counts.",
    )
    transport_recipient_limit = number(
        "$default_recipient_limit",
        PATTERN,
        "<transport>_recipient_limit; without it, default_recipient_limit counts.",
    )
    transport_recipient_refill_delay = seconds(
        "$default_recipient_refill_delay",
        PATTERN,
        "<transport>_recipient_refill_delay; without it, "
        "default_recipient_refill_delay counts.",
    )
    transport_recipient_refill_limit = number(
        "$default_recipient_refill_limit",
        PATTERN,
        "<transport>_recipient_refill_limit; without it, "
        "default_recipient_refill_limit counts.",
    )
    transport_time_limit = seconds(
        "$command_time_limit",
        PATTERN,
        "<transport>_time_limit; without it, command_time_limit counts.",
    )
    transport_transport_rate_delay = seconds(
        "$default_transport_rate_delay",
        PATTERN,
        "<transport>_transport_rate_delay; without it, default_transport_rate_delay "
        "counts.",
    )
