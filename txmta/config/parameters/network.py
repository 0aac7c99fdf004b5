"""
Who we are, which domains are ours, who is trusted.
"""

from __future__ import annotations

from txmta.config.declare import string, words


class NetworkParameters:
    """
    Postfix: C{global/mail_params.h}, basic configuration.
    """

    myhostname = string(
        lambda lookup, system: (
            system.hostname
            if "." in system.hostname
            else f"{system.hostname}.{lookup('mydomain')}"
        ),
        doc="The Internet host name of this mail system.",
    )
    mydomain = string(
        lambda lookup, system: system.hostname.partition(".")[2] or "localdomain",
        doc="The Internet domain name of this mail system.",
    )
    myorigin = string("$myhostname", doc="The domain that local mail comes from.")
    mydestination = words(
        "$myhostname, localhost.$mydomain, localhost",
        doc="The domains that are delivered by $local_transport.",
    )
    mynetworks = words("127.0.0.0/8 [::1]/128", doc="Clients that may relay.")
    mail_name = string("Postfix", doc="The mail system's name in Received: headers.")
