"""
Delivery to virtual mailboxes.
"""

from __future__ import annotations

from txmta.config.declare import Status, count, string, words


class VirtualParameters:
    """
    Postfix: C{src/virtual}.
    """

    virtual_mailbox_base = string(
        "",
        doc="What stands before every path that virtual_mailbox_maps gives; absolute.",
    )
    virtual_mailbox_limit = count(
        "51200000",
        doc="Octets that a mailbox file, or one message in a Maildir, may have; "
        "0 means no limit. A message that would make it larger bounces with 5.2.2.",
    )
    virtual_uid_maps = words(
        "",
        kind="tables",
        doc="The user whose rights deliver to a virtual mailbox, a number, by "
        "recipient.",
        status=Status.APPROXIMATED,
        note="In one process, mail for another user than its own is deferred.",
    )
    virtual_gid_maps = words(
        "",
        kind="tables",
        doc="The group whose rights deliver to a virtual mailbox, a number, by "
        "recipient.",
        status=Status.APPROXIMATED,
        note="In one process, mail for a group that it is not in is deferred.",
    )
    virtual_minimum_uid = count(
        "100", doc="The least number that virtual_uid_maps may give."
    )
    virtual_mailbox_lock = words(
        "fcntl, dotlock",
        doc="How virtual mailbox files are locked: fcntl, dotlock, flock, or several.",
        among=("fcntl", "dotlock", "flock"),
    )
    virtual_delivery_status_filter = words(
        "$default_delivery_status_filter",
        kind="tables",
        doc="Tables that replace the status and the text of deliveries by virtual.",
    )
