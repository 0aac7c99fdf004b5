"""
Processes, queue directory, log.
"""

from __future__ import annotations

from txmta.config.declare import choice, string


class ProcessParameters:
    """
    Postfix: C{master}, C{postlogd}.
    """

    queue_directory = string(
        "/var/spool/txmta", doc="Where the queue is; one server per queue."
    )
    mail_owner = string("postfix", doc="The account that owns the queue.")
    syslog_name = string("postfix", doc="Put before the program in log lines.")
    maillog_file = string("", doc="The mail log; empty means syslog.")
    process_model = choice(
        "single", ("auto", "single"), doc="How roles are spread over processes."
    )
