"""
Who we are, which addresses we have, who is trusted.
"""

from __future__ import annotations

from txmta.config.addresses import STYLES, families, networks, own_interfaces
from txmta.config.declare import (
    Lookup,
    Parameter,
    SelfReference,
    Status,
    System,
    choice,
    string,
    to_words,
    words,
)
from txmta.config.expansion import level

#: What a missing compatibility_level means: the newest, safest defaults.
NEWEST_LEVEL = "3.11"


def _host(text: str) -> str:
    if not text or any(c.isspace() or c in ',;:/@<>()[]"\\' for c in text):
        raise ValueError("is not a host name: write one name, such as mail.example.com")
    if any(not label or "-" in (label[0], label[-1]) for label in text.split(".")):
        raise ValueError("has a misplaced dot or hyphen: write mail.example.com")
    return text


def _level(text: str) -> str:
    level(text)
    return text


def _hostname(lookup: Lookup, system: System) -> str:
    if "." in system.hostname:
        return system.hostname
    return f"{system.hostname}.{lookup('mydomain')}"


def _domain(lookup: Lookup, system: System) -> str:
    try:
        return lookup("myhostname").partition(".")[2] or "localdomain"
    except SelfReference:  # myhostname is computed from this
        return "localdomain"


def _networks(lookup: Lookup, system: System) -> str:
    """
    Addresses that this machine does not have are told by
    L{txmta.config.check}, in better words; here they trust nobody.
    """
    try:
        own = own_interfaces(
            to_words(lookup("inet_interfaces")),
            to_words(lookup("inet_protocols")),
            system,
        )
    except ValueError:
        return ""
    return networks(own, lookup("mynetworks_style"))


def _families(text: str) -> tuple[str, ...]:
    found = families(to_words(text.lower()))
    if not found:
        raise ValueError("is empty: write all, ipv4 or ipv6")
    return found


class NetworkParameters:
    """
    Postfix: C{global/mail_params.h}, basic configuration.
    """

    compatibility_level = string(
        NEWEST_LEVEL,
        check=_level,
        doc="Which version's defaults this main.cf was written for.",
        status=Status.APPROXIMATED,
        note="Postfix takes a missing level for 0, with all the old defaults. Here it "
        "means the newest, safest defaults, and the log says so once.",
    )
    myhostname = string(
        _hostname,
        check=_host,
        doc="The Internet name of this mail system. Default: the machine's name, "
        "completed by $mydomain if it has no dot.",
    )
    mydomain = string(
        _domain,
        check=_host,
        doc="The Internet domain of this mail system. Default: $myhostname less its "
        "first label, or localdomain.",
    )
    myorigin = string(
        "$myhostname",
        check=_host,
        doc="The domain that completes addresses without one. /file stands for the "
        "first line of that file, as Debian has it.",
    )
    mydestination = words(
        "$myhostname, localhost.$mydomain, localhost",
        doc="The domains that are delivered by $local_transport: names, /file, "
        "type:table.",
    )
    inet_interfaces = words(
        "all",
        doc="The addresses to listen on and that mail for user@[address] may name: "
        "all, loopback-only, or addresses and names of /etc/hosts.",
        status=Status.APPROXIMATED,
        note="Names are looked up in /etc/hosts only, never in DNS.",
    )
    inet_protocols = Parameter(
        "all",
        _families,
        kind="list",
        doc="all, ipv4, ipv6: the protocols to listen with and to send with.",
    )
    proxy_interfaces = words(
        "",
        doc="The addresses by which a proxy or address translator is reached that "
        "forwards mail to this machine.",
    )
    mynetworks = words(
        _networks,
        doc="Clients that may relay: networks such as 192.0.2.0/24 and "
        "[2001:db8::]/32, names of hosts and domains (of clients whose name is "
        "verified), !exceptions, /file, type:table. Default: from mynetworks_style "
        "and the addresses of inet_interfaces.",
        status=Status.APPROXIMATED,
        note="A client without a verified name is called unknown; in Postfix the "
        "pattern unknown matches it, here no name does.",
    )
    mynetworks_style = choice(
        "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
        STYLES,
        doc="What the default of mynetworks trusts: host (this machine), subnet (its "
        "networks), class (the class A, B or C networks of its addresses).",
    )
    default_database_type = choice(
        "hash",
        ("hash", "btree", "cdb", "lmdb", "texthash", "inline", "static"),
        doc="The table type of the defaults, such as that of alias_maps, and of the "
        "tables that postmap and postalias are given without a type.",
        status=Status.APPROXIMATED,
        note="Tables of type hash and btree are read from their text source.",
    )
    mail_name = string(
        "Postfix", doc="The mail system's name in the banner and in Received: headers."
    )
