"""
Delivery agents of other packages, and table types that Postfix has not.
"""

from __future__ import annotations

from txmta.config.declare import time, words


class PluginParameters:
    """
    Ours; Postfix has none of it.
    """

    popbefore_time_limit = time(
        "30m",
        low=1,
        doc="How long a login by IMAP or POP3 counts in popbefore: tables.",
        note="A parameter of txmta, not of Postfix.",
    )

    plugin_directories = words(
        "",
        doc="Directories in which delivery agents of other packages may read and "
        "write what is below, as far as mail_owner may. With process_model = multi "
        "they have the queue besides, and what everybody may read in /etc and /usr.",
        note="A parameter of txmta, not of Postfix. A directory that is made after "
        "the start counts after a reload. The smtp transports are served by the same "
        "processes, and could write there, too.",
    )
