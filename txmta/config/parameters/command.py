"""
Running commands: for pipe(8), and for the users of local(8).
"""

from __future__ import annotations

from txmta.config.declare import Status, string, time, words

_FILTER = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class CommandParameters:
    """
    Postfix: C{src/pipe}, C{global/pipe_command.c}.
    """

    command_time_limit = time(
        "1000s",
        low=1,
        doc="How long a command may take for each step: to read some more of the "
        "message, to end when it has read all. It is then killed, with all its "
        "offspring, and the mail bounces with 5.3.0. <transport>_time_limit is the "
        "same for one transport of pipe.",
        status=Status.APPROXIMATED,
        note="A command has ended when its process has; what it left in the "
        "background is not waited for.",
    )
    local_command_shell = string(
        "",
        doc="The shell, with arguments, that runs the commands of users. Without "
        "it, /bin/sh runs those that have characters with a meaning for a shell, "
        "and the others are run without a shell.",
    )
    command_execution_directory = string(
        "",
        doc="Where the commands of users are run; the queue directory if empty. "
        "With the macros of forward_path.",
        expand=False,
    )
    command_expansion_filter = string(
        _FILTER,
        doc="Characters that may stand in the $name expansions of mailbox_command "
        "and in the environment of commands; others become underscores.",
    )
    execution_directory_expansion_filter = string(
        _FILTER,
        doc="Characters that may stand in the $name expansions of "
        "command_execution_directory; others become underscores.",
    )
    import_environment = words(
        "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C "
        "POSTLOG_SERVICE POSTLOG_HOSTNAME",
        doc="What may be exported of the environment that the server was started "
        "with; name=value sets it.",
        status=Status.APPROXIMATED,
        note="Only for the environment of commands; the server itself keeps its own.",
    )
    export_environment = words(
        "TZ MAIL_CONFIG LANG",
        doc="What commands find in their environment, besides PATH and what tells "
        "them of the message; name=value sets it.",
    )
    pipe_delivery_status_filter = words(
        "$default_delivery_status_filter",
        kind="tables",
        doc="Tables that replace the status and the text of deliveries by pipe.",
    )
