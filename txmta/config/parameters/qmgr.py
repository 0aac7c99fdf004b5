"""
The queue manager and the queue store.
"""

# Over budget: a table; what makes it long is its documentation.

from __future__ import annotations

import re

from txmta.config.declare import (
    Parameter,
    Status,
    boolean,
    count,
    string,
    time,
    words,
)


def _feedback(text: str) -> str:
    """
    Check a concurrency feedback: C{number}, C{number/concurrency} or
    C{number/sqrt_concurrency}, with a number from 0 to 1.
    """
    match = re.fullmatch(
        r"(\d+(?:\.\d*)?|\.\d+)\s*(?:/\s*(\d*(?:\.\d+)?)\s*((?:sqrt_)?concurrency)?)?",
        text.strip(),
    )
    if match is None or ("/" in text and not match[2] and not match[3]):
        raise ValueError(
            "is no feedback: write a number, number/concurrency or "
            "number/sqrt_concurrency"
        )
    value = float(match[1]) / float(match[2] or 1)
    if not 0 <= value <= 1:
        raise ValueError("is out of range: the number must be from 0 to 1")
    return text.strip()


def _service(name: str, what: str) -> Parameter[str]:
    return string(
        name,
        doc=f"The service {what}.",
        status=Status.NO_EFFECT,
        note="The queue manager does it itself.",
    )


class QmgrParameters:
    """
    Postfix: C{src/qmgr}, C{src/bounce}, and what other daemons do to queue
    files.
    """

    queue_run_delay = time(
        "300s",
        low=1,
        doc="Time between scans of the deferred queue for mail that is due.",
    )
    minimal_backoff_time = time(
        "300s",
        low=1,
        doc="The least time between two attempts to deliver a deferred message, and "
        "for how long a destination that does not answer is left alone.",
    )
    maximal_backoff_time = time(
        "4000s",
        low=1,
        doc="The most time between two attempts to deliver a deferred message.",
    )
    maximal_queue_lifetime = time(
        "5d",
        unit="d",
        high=100 * 86400,
        doc="How old a message may be when an attempt fails for the time being; an "
        "older one is returned to its sender. 0 means one attempt.",
        status=Status.APPROXIMATED,
        note="A message that our own trouble keeps from being tried (tables, "
        "defer_transports, a broken agent) is returned only after this server has "
        "been up, and failing, for that long itself.",
    )
    bounce_queue_lifetime = time(
        "5d",
        unit="d",
        high=100 * 86400,
        doc="As maximal_queue_lifetime, for mail with the null sender (bounces).",
    )
    delay_warning_time = time(
        "0h",
        unit="h",
        doc="When the sender is told that a message is still in the queue; 0 is never. "
        "He is told once, after the first attempt that fails then; not for mail with "
        "the null sender.",
    )
    confirm_delay_cleared = boolean(
        "no",
        doc="Tell a sender who was told of a delay also when the mail is delivered.",
    )
    qmgr_message_active_limit = count(
        "20000", low=1, doc="The most messages in the active queue."
    )
    qmgr_message_recipient_limit = count(
        "20000",
        low=1,
        doc="The most recipients in memory, of all messages in the active queue.",
        status=Status.APPROXIMATED,
        note="All recipients of a message are read together, so the last message "
        "read may exceed the limit.",
    )
    qmgr_message_recipient_minimum = count(
        "10",
        low=1,
        doc="Recipients of a message that are read at least.",
        status=Status.NO_EFFECT,
        note="All recipients of a message are read together.",
    )
    initial_destination_concurrency = count(
        "5",
        low=1,
        doc="How many deliveries to a destination are started before anything is "
        "known about it. <transport>_initial_destination_concurrency overrides.",
    )
    default_destination_concurrency_limit = count(
        "20",
        doc="The most deliveries at a time to one destination; 0 is no limit. "
        "<transport>_destination_concurrency_limit overrides.",
    )
    default_destination_concurrency_positive_feedback = string(
        "1",
        check=_feedback,
        doc="How much a delivery that reached the destination adds to its "
        "concurrency: a number, number/concurrency or number/sqrt_concurrency. "
        "<transport>_destination_concurrency_positive_feedback overrides.",
    )
    default_destination_concurrency_negative_feedback = string(
        "1",
        check=_feedback,
        doc="How much a delivery that did not reach the destination takes from its "
        "concurrency. <transport>_destination_concurrency_negative_feedback "
        "overrides.",
    )
    default_destination_concurrency_failed_cohort_limit = count(
        "1",
        doc="After how many failures, each divided by the concurrency then, a "
        "destination is left alone for minimal_backoff_time; 0 is never. "
        "<transport>_destination_concurrency_failed_cohort_limit overrides.",
    )
    default_destination_recipient_limit = count(
        "50",
        doc="The most recipients in one delivery; 0 is no limit. With 1, each "
        "recipient is a destination of its own. "
        "<transport>_destination_recipient_limit overrides.",
    )
    default_destination_rate_delay = time(
        "0s",
        doc="Time between the end of a delivery to a destination and the next one, "
        "one delivery at a time. <transport>_destination_rate_delay overrides.",
    )
    default_transport_rate_delay = time(
        "0s",
        doc="Time between deliveries through a transport, whatever the destination. "
        "<transport>_transport_rate_delay overrides.",
    )
    local_destination_concurrency_limit = count(
        "2", doc="The most deliveries at a time to one local recipient."
    )
    local_destination_recipient_limit = count(
        "1", doc="The most recipients in one delivery by local."
    )
    lmtp_destination_concurrency_limit = count(
        "$default_destination_concurrency_limit",
        doc="The most deliveries at a time to one destination by lmtp.",
    )
    lmtp_destination_recipient_limit = count(
        "$default_destination_recipient_limit",
        doc="The most recipients in one delivery by lmtp.",
    )
    relay_destination_concurrency_limit = count(
        "$default_destination_concurrency_limit",
        doc="The most deliveries at a time to one destination by relay.",
    )
    relay_destination_recipient_limit = count(
        "$default_destination_recipient_limit",
        doc="The most recipients in one delivery by relay.",
    )
    smtp_destination_concurrency_limit = count(
        "$default_destination_concurrency_limit",
        doc="The most deliveries at a time to one destination by smtp.",
    )
    smtp_destination_recipient_limit = count(
        "$default_destination_recipient_limit",
        doc="The most recipients in one delivery by smtp.",
    )
    virtual_destination_concurrency_limit = count(
        "$default_destination_concurrency_limit",
        doc="The most deliveries at a time to one destination by virtual.",
    )
    virtual_destination_recipient_limit = count(
        "$default_destination_recipient_limit",
        doc="The most recipients in one delivery by virtual.",
    )
    default_delivery_slot_cost = count(
        "5",
        doc="How often a small message may overtake a large one.",
        status=Status.APPROXIMATED,
        note="Messages to the same destination take turns, one delivery each, so a "
        "small message never waits for a large one. The default_delivery_slot_* and "
        "default_minimum_delivery_slots are not looked at.",
    )
    default_delivery_slot_discount = count(
        "50",
        high=100,
        doc="Part of the slots, in percent, that need not be there to overtake.",
        status=Status.APPROXIMATED,
        note="See default_delivery_slot_cost.",
    )
    default_delivery_slot_loan = count(
        "3",
        doc="Slots that need not be there to overtake.",
        status=Status.APPROXIMATED,
        note="See default_delivery_slot_cost.",
    )
    default_minimum_delivery_slots = count(
        "3",
        doc="Deliveries below which a message is never overtaken.",
        status=Status.APPROXIMATED,
        note="See default_delivery_slot_cost.",
    )
    default_recipient_limit = count(
        "20000",
        doc="Recipients in memory for one transport.",
        status=Status.NO_EFFECT,
        note="qmgr_message_recipient_limit bounds all recipients together.",
    )
    default_extra_recipient_limit = count(
        "1000",
        doc="Recipients in memory for messages that overtake.",
        status=Status.NO_EFFECT,
        note="qmgr_message_recipient_limit bounds all recipients together.",
    )
    default_recipient_refill_limit = count(
        "100",
        doc="Recipients read at a time.",
        status=Status.NO_EFFECT,
        note="All recipients of a message are read together.",
    )
    default_recipient_refill_delay = time(
        "5s",
        doc="Time between reading recipients.",
        status=Status.NO_EFFECT,
        note="All recipients of a message are read together.",
    )
    defer_transports = words(
        "",
        doc="Transports that deliver only when the queue is flushed.",
    )
    transport_retry_time = time(
        "60s",
        low=1,
        doc="For how long a transport that is broken or missing is left alone.",
    )
    soft_bounce = boolean(
        "no",
        doc="Treat every permanent failure as a temporary one: nothing is returned "
        "or refused for good. For a new server that may be misconfigured.",
    )
    bounce_size_limit = count(
        "50000",
        low=1,
        doc="The most octets of a message that are sent back in a bounce; of a "
        "larger one only the headers.",
    )
    double_bounce_sender = string(
        "double-bounce",
        doc="The sender of mail to the postmaster about mail that can neither be "
        "delivered nor returned; mail to and from it is dropped when it fails.",
    )
    notice_recipient_2bounce = string(
        "postmaster",
        name="2bounce_notice_recipient",
        doc="Who hears of mail that can neither be delivered nor returned.",
    )
    bounce_notice_recipient = string(
        "postmaster",
        doc="Who gets the headers of undelivered mail, and transcripts of SMTP "
        "sessions with unknown recipients, with the class bounce in notify_classes.",
    )
    delay_notice_recipient = string(
        "postmaster",
        doc="Who gets the headers of delayed mail, with the class delay in "
        "notify_classes.",
    )
    bounce_template_file = string(
        "",
        doc="A file with other words for the notices that senders get, as in "
        "bounce(5). A template that cannot be used is a warning, and the built-in "
        "one counts; a file that cannot be read, or an undefined $name in it, "
        "refuses the start.",
    )
    enable_threaded_bounces = boolean(
        "no",
        doc="Give notices References: and In-Reply-To: with the Message-Id of the "
        "original, so that mail programs show them together.",
    )
    backwards_bounce_logfile_compatibility = boolean(
        "yes",
        doc="Write bounce logs that old versions can read.",
        status=Status.NO_EFFECT,
        note="There are no bounce logs: what notices say is recorded with the queue.",
    )
    error_notice_recipient = string(
        "postmaster",
        doc="Who hears of a damaged message in the queue, and gets transcripts of SMTP "
        "sessions (notify_classes).",
    )
    notify_classes = words(
        "resource, software",
        doc="What the postmaster hears of: bounce (headers of returned mail), 2bounce "
        "(mail that cannot be returned), delay (headers of delayed mail); and of SMTP "
        "sessions, as a transcript, in which something was wrong: policy (refused by "
        "our rules), protocol (syntax), bounce (unknown recipients), resource, "
        "software (our own trouble).",
        status=Status.APPROXIMATED,
        note="Which class a session belongs to is read from the codes of its replies; "
        "-o notify_classes in master.cf does not count; refused content is policy, "
        "not data.",
    )
    bounce_service_name = _service("bounce", "that returns mail")
    defer_service_name = _service("defer", "that notes delays")
    trace_service_name = _service("trace", "that notes deliveries")
    queue_service_name = _service("qmgr", "that is told of new mail")
    destination_concurrency_feedback_debug = boolean(
        "no",
        doc="Log each change of the concurrency of a destination.",
        status=Status.NO_EFFECT,
        note="It is not logged.",
    )
    in_flow_delay = time(
        "1s",
        high=10,
        doc="Pause of the receiving side when mail arrives faster than it leaves.",
        status=Status.NO_EFFECT,
        note="Receiving and delivering share one loop, which shares itself out.",
    )
    hash_queue_names = words(
        "deferred, defer",
        doc="Queues with subdirectories.",
        status=Status.NO_EFFECT,
        note="The queue is a database, not a directory of files.",
    )
    hash_queue_depth = count(
        "1",
        low=1,
        doc="Levels of subdirectories.",
        status=Status.NO_EFFECT,
        note="The queue is a database, not a directory of files.",
    )
    qmgr_clog_warn_time = time(
        "300s",
        doc="How often to warn that a destination fills the active queue.",
        status=Status.NO_EFFECT,
        note="There is no such warning.",
    )
    qmgr_fudge_factor = count(
        "100",
        doc="Obsolete: how fast a mailing list is delivered, in percent.",
        status=Status.OBSOLETE,
    )
    qmgr_daemon_timeout = time(
        "1000s",
        low=1,
        doc="When a stuck queue manager process is killed.",
        status=Status.NO_EFFECT,
        note="There is no process of its own to be killed.",
    )
    qmgr_ipc_timeout = time(
        "60s",
        low=1,
        doc="Time to talk to a delivery process.",
        status=Status.NO_EFFECT,
        note="Each agent has its own time-outs.",
    )
    default_delivery_status_filter = words(
        "",
        kind="tables",
        doc="Tables that replace the status and the text of deliveries (4.4.1 connect "
        "to ...), for all agents; a success stays one.",
    )
