"""
Extensions of the SMTP server: clients that speak for others.
"""

from __future__ import annotations

from txmta.config.declare import words


class SmtpdExtrasParameters:
    """
    Postfix: C{smtpd/smtpd.c}.
    """

    smtpd_authorized_xclient_hosts = words(
        "",
        doc="Clients that may say with XCLIENT who they are: name, address, HELO, "
        "login. Everything, access rules too, then believes them. For tests, and for "
        "proxies.",
    )
    smtpd_authorized_xforward_hosts = words(
        "",
        doc="Clients that may say with XFORWARD where a message came from, as "
        "filters do. It is for the log and for servers after us; access rules do not "
        "look at it.",
    )
