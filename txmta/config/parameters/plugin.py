"""
Delivery agents of other packages.
"""

from __future__ import annotations

from txmta.config.declare import words


class PluginParameters:
    """
    Ours; Postfix has no plug-ins.
    """

    plugin_directories = words(
        "",
        doc="Directories in which delivery agents of other packages may read and "
        "write what is below, as far as mail_owner may. With process_model = multi "
        "they have the queue besides, and what everybody may read in /etc and /usr.",
        note="A parameter of txmta, not of Postfix. A directory that is made after "
        "the start counts after a reload. The smtp transports are served by the same "
        "processes, and could write there, too.",
    )
