"""
Extensions of the SMTP server: clients and proxies that speak for others.
"""

from __future__ import annotations

from txmta.config.declare import Status, choice, time, words


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
    smtpd_upstream_proxy_protocol = choice(
        "",
        ("", "haproxy"),
        doc="haproxy: a proxy in front says who the client is, in versions 1 or 2 of "
        "its protocol, before anything else. Whoever else reaches the port could say "
        "so, too: let only the proxy.",
    )
    smtpd_upstream_proxy_timeout = time(
        "5s", low=1, doc="Time for the words of that proxy."
    )
    smtpd_discard_ehlo_keyword_address_maps = words(
        "",
        kind="tables",
        doc="By IP address of the client, instead of smtpd_discard_ehlo_keywords: the "
        "EHLO keywords that it is not offered.",
    )
    debug_peer_list = words(
        "",
        doc="Clients whose sessions are in the log, line by line, but for what could "
        "be a password.",
        status=Status.APPROXIMATED,
        note="Of the SMTP server only; debug_peer_level does not count.",
    )
    smtpd_command_filter = words(
        "",
        kind="tables",
        doc="Tables that replace commands of clients: the key is the whole line. They "
        "must answer at once: pcre, regexp, texthash ...",
    )
