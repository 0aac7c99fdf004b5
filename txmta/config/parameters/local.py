"""
Delivery to local mailboxes and aliases.
"""

from __future__ import annotations

from txmta.config.declare import Status, boolean, count, string, time, words


class LocalParameters:
    """
    Postfix: C{src/local}. Defaults are those of Postfix 3.11 where they do not
    depend on the system it was built for.
    """

    alias_maps = words(
        "$default_database_type:/etc/aliases",
        kind="tables",
        doc="The alias databases, searched in order for the local part of each "
        "recipient of $mydestination.",
        status=Status.APPROXIMATED,
        note="NIS (nis:mail.aliases) is not part of the default.",
    )
    alias_database = words(
        "$default_database_type:/etc/aliases",
        kind="tables",
        doc="The alias databases that newaliases rebuilds.",
        status=Status.APPROXIMATED,
        note="Of hash and btree tables newaliases checks the text, which is what is "
        "read.",
    )
    home_mailbox = string(
        "",
        doc="Path of the mailbox, relative to the user's home directory. With "
        "a slash at its end it is a Maildir.",
    )
    mail_spool_directory = string(
        "/var/mail",
        doc="Where mailboxes are that home_mailbox does not put elsewhere. With "
        "a slash at its end, each user has a Maildir in it.",
    )
    mailbox_size_limit = count(
        "51200000",
        doc="Octets that any mailbox file, and so one message in a Maildir, may "
        "have; 0 means no limit. A larger message bounces with 5.2.2.",
    )
    strict_mailbox_ownership = boolean(
        "yes", doc="Defer delivery to a mailbox that its user does not own."
    )
    prepend_delivered_header = words(
        "command, file, forward",
        doc="Where local delivery puts a Delivered-To header, which stops mail "
        "loops: command, file (mailboxes too), forward.",
    )
    expand_owner_alias = boolean(
        "no",
        doc="The envelope sender of mail to an alias that has an owner- alias is "
        "the right-hand side of that, not its name.",
    )
    owner_request_special = boolean(
        "yes",
        doc="Let owner-list be who gets bounces of alias list, and do not split "
        "owner-list and list-request at recipient_delimiter.",
    )
    reset_owner_alias = boolean(
        "no",
        doc="Forget the owner- alias of an alias in which an alias without one stands.",
    )
    frozen_delivered_to = boolean(
        "yes",
        doc="Delivered-To has the recipient that delivery began with, not what it "
        "expanded to.",
    )
    enable_original_recipient = boolean(
        "yes",
        doc="Put an X-Original-To header, with the recipient as it was before "
        "aliases, into mailboxes.",
    )
    propagate_unmatched_extensions = words(
        "canonical, virtual",
        doc="The tables for which user+ext, found as user, gets +ext added to the "
        "result: canonical, virtual, alias, forward, include, generic.",
    )
    biff = boolean(
        "yes",
        doc="Tell logged-in users of new mail through the comsat service.",
        status=Status.NO_EFFECT,
        note="Nobody runs comsat; no notice is sent.",
    )
    allow_mail_to_commands = words(
        "alias, forward",
        doc="Where a recipient may be a command: alias, forward, include.",
        among=("alias", "forward", "include"),
    )
    allow_mail_to_files = words(
        "alias, forward",
        doc="Where a recipient may be a file: alias, forward, include.",
        among=("alias", "forward", "include"),
    )
    forward_path = string(
        "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
        doc="Where a user's .forward file may be; the first that exists counts. "
        "With the macros $user, $home, $shell, $domain, $local, $recipient, "
        "$extension, $recipient_delimiter and their ${name?value} forms.",
        status=Status.APPROXIMATED,
        note="While one process runs everything, a user with such a file whose "
        "account is not the one that txmta runs as has his mail deferred.",
        expand=False,
    )
    forward_expansion_filter = string(
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        doc="Characters that may stand in the values of $name in forward_path; "
        "others become underscores.",
    )
    mailbox_command = string(
        "",
        doc="A command that puts mail into mailboxes. It has no macros, but the "
        "environment that local(8) describes.",
        expand=False,
    )
    mailbox_command_maps = words(
        "",
        kind="tables",
        doc="Commands that put mail into mailboxes, by user.",
    )
    mailbox_transport = string(
        "", doc="A transport that all local users' mail goes to."
    )
    mailbox_transport_maps = words(
        "",
        kind="tables",
        doc="Transports that local users' mail goes to, by user.",
    )
    fallback_transport = string("", doc="A transport for users that are not known.")
    fallback_transport_maps = words(
        "",
        kind="tables",
        doc="Transports for users that are not known, by user.",
    )
    luser_relay = string(
        "",
        doc="Where mail for unknown local users goes: one address, with the macros "
        "of forward_path.",
        expand=False,
    )
    require_home_directory = boolean(
        "no",
        doc="Defer mail for a user whose home directory does not exist.",
    )
    mailbox_delivery_lock = words(
        "fcntl, dotlock",
        doc="How mailbox files are locked: fcntl, dotlock, flock, or several.",
        among=("fcntl", "dotlock", "flock"),
    )
    deliver_lock_attempts = count(
        "20",
        low=1,
        doc="How often to try to lock a mailbox file before mail for it is deferred.",
    )
    deliver_lock_delay = time(
        "1s",
        low=1,
        doc="Time between attempts to lock a mailbox file.",
        status=Status.APPROXIMATED,
        note="Always this long; Postfix adds a random part.",
    )
    stale_lock_time = time(
        "500s",
        low=1,
        doc="Age at which the lock file of a mailbox file is taken away.",
    )
    local_delivery_status_filter = words(
        "$default_delivery_status_filter",
        kind="tables",
        doc="Tables that replace the status and the text of deliveries by local.",
    )
