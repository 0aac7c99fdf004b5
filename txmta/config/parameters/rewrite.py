"""
Addresses: standard form, address classes, transports, known recipients.
"""

from __future__ import annotations

from txmta.config.declare import boolean, string, words


def _delimiters(text: str) -> str:
    # Postfix takes any text. White space or "@" could never split a local
    # part, and a letter would split most of them.
    if any(c.isalnum() or c.isspace() or c in '@"' for c in text):
        raise ValueError(
            "has a letter, digit, space, quote or '@': "
            "write separators only, for example +-"
        )
    return text


def _bare(text: str) -> str:
    return text.strip()


class StandardFormParameters:
    """
    Postfix: C{src/trivial-rewrite/rewrite.c}.
    """

    append_at_myorigin = boolean(
        "yes",
        doc="Complete an address without domain with @$myorigin. An address of "
        "a remote client gets @$remote_header_rewrite_domain instead.",
    )
    append_dot_mydomain = boolean(
        "${{$compatibility_level} <level {1} ? {yes} : {no}}",
        doc="Complete a domain without dot with .$mydomain.",
    )
    swap_bangpath = boolean(
        "yes", doc="Understand site!user, where no @ is, as user@site."
    )
    allow_percent_hack = boolean(
        "yes", doc="Understand user%domain, where no @ is, as user@domain."
    )
    resolve_dequoted_address = boolean(
        "yes",
        doc="Look for routing operators inside quoted local parts too: "
        '"user@elsewhere"@here is mail for elsewhere, and is refused as such.',
    )
    resolve_null_domain = boolean(
        "no", doc="Take the empty domain in user@ for this machine."
    )
    resolve_numeric_domain = boolean(
        "no", doc="Take user@192.0.2.1 for user@[192.0.2.1]."
    )
    allow_min_user = boolean(
        "no",
        doc="Allow addresses that start with '-', which a command that gets "
        "them as arguments could take for options.",
    )
    empty_address_recipient = string(
        "MAILER-DAEMON", check=_bare, doc="Who gets mail for the null sender."
    )
    recipient_delimiter = string(
        "",
        check=_delimiters,
        doc="Characters that separate a user name from its extension. The "
        "first that occurs in a local part splits it.",
    )


class RoutingParameters:
    """
    Postfix: C{src/trivial-rewrite/resolve.c}, C{transport.c}.
    """

    relay_domains = words(
        "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
        doc="The domains, and their subdomains, that are relayed with "
        "$relay_transport for anybody.",
    )
    virtual_mailbox_domains = words(
        "$virtual_mailbox_maps",
        doc="The domains that are delivered with $virtual_transport.",
    )
    parent_domain_matches_subdomains = words(
        "debug_peer_list, fast_flush_domains, mynetworks, "
        "permit_mx_backup_networks, qmqpd_authorized_clients, relay_domains, "
        "smtpd_access_maps",
        doc="The lists in which example.com stands for its subdomains too. In "
        "others these are written .example.com.",
    )
    relayhost = string(
        "",
        check=_bare,
        doc="The next hop of mail for the relay and default classes: a domain "
        "(its MX hosts), or [host] for the host itself, either with :port.",
    )
    local_transport = string(
        "local:$myhostname",
        check=_bare,
        doc="Delivers mail for mydestination: transport or transport:nexthop.",
    )
    virtual_transport = string(
        "virtual",
        check=_bare,
        doc="Delivers mail for virtual_mailbox_domains.",
    )
    relay_transport = string(
        "relay", check=_bare, doc="Delivers mail for relay_domains."
    )
    default_transport = string(
        "smtp", check=_bare, doc="Delivers mail for all other domains."
    )
    virtual_alias_domains = words(
        "$virtual_alias_maps",
        doc="Domains all of whose addresses are aliases in virtual_alias_maps; "
        "others do not exist.",
    )
    transport_maps = words(
        "",
        kind="tables",
        doc="Transport and next hop by recipient address or domain; comes before "
        "what the class of the address says.",
    )
    relocated_maps = words(
        "",
        kind="tables",
        doc="New addresses of users who have moved: mail for them bounces, and "
        "says so.",
    )
    relocated_prefix_enable = boolean(
        "yes",
        doc='Put "5.1.6 User has moved to" before what relocated_maps gives.',
    )
    sender_dependent_relayhost_maps = words(
        "",
        kind="tables",
        doc="What comes before relayhost, by sender address or domain. DUNNO: "
        "relayhost.",
    )
    empty_address_relayhost_maps_lookup_key = string(
        "<>", doc="What sender_dependent_relayhost_maps is asked for the null sender."
    )
    sender_dependent_default_transport_maps = words(
        "",
        kind="tables",
        doc="What comes before default_transport, by sender address or domain. "
        "DUNNO: default_transport.",
    )
    empty_address_default_transport_maps_lookup_key = string(
        "<>",
        doc="What sender_dependent_default_transport_maps is asked for the null "
        "sender.",
    )


class KnownRecipientsParameters:
    """
    Postfix: C{smtpd/smtpd_check.c} (check_rcpt_maps).
    """

    local_recipient_maps = words(
        "proxy:unix:passwd.byname $alias_maps",
        kind="tables",
        doc="All users and aliases of mydestination. Empty: every local part "
        "is taken, and bounced later if nobody has it.",
    )
    relay_recipient_maps = words(
        "",
        kind="tables",
        doc="All addresses of relay_domains. Empty: every address is taken.",
    )
    virtual_mailbox_maps = words(
        "",
        kind="tables",
        doc="All mailboxes of virtual_mailbox_domains: address to path below "
        "virtual_mailbox_base.",
    )
    show_user_unknown_table_name = boolean(
        "yes", doc="Tell in which table a recipient was not found."
    )


class RewriteParameters(
    StandardFormParameters, RoutingParameters, KnownRecipientsParameters
):
    """
    Postfix: C{src/trivial-rewrite}.
    """
