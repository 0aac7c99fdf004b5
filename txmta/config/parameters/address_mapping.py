"""
Cleanup: which addresses become others, and who gets copies.
"""

from __future__ import annotations

from txmta.config.declare import count, string, words

_CLASSES = (
    *("envelope_sender", "envelope_recipient"),
    *("header_sender", "header_recipient"),
)


def _bare(text: str) -> str:
    return text.strip()


class CanonicalParameters:
    """
    Postfix: C{cleanup/cleanup_map11.c}, C{cleanup/cleanup_masquerade.c}.
    """

    canonical_maps = words(
        "",
        kind="tables",
        doc="Table of addresses to be replaced, in envelopes and headers; see "
        "canonical_classes.",
    )
    canonical_classes = words(
        "envelope_sender, envelope_recipient, header_sender, header_recipient",
        among=_CLASSES,
        doc="Which addresses canonical_maps is for: envelope_sender, "
        "envelope_recipient, header_sender, header_recipient.",
    )
    sender_canonical_maps = words(
        "",
        kind="tables",
        doc="As canonical_maps, for senders, and before it.",
    )
    sender_canonical_classes = words(
        "envelope_sender, header_sender",
        among=("envelope_sender", "header_sender"),
        doc="Which addresses sender_canonical_maps is for: envelope_sender, "
        "header_sender.",
    )
    recipient_canonical_maps = words(
        "",
        kind="tables",
        doc="As canonical_maps, for recipients, and before it.",
    )
    recipient_canonical_classes = words(
        "envelope_recipient, header_recipient",
        among=("envelope_recipient", "header_recipient"),
        doc="Which addresses recipient_canonical_maps is for: envelope_recipient, "
        "header_recipient.",
    )
    masquerade_domains = words(
        "",
        doc="Domains whose subdomains are cut off addresses. The first that is the "
        "domain of the address, or a parent of it, decides; with ! before it nothing "
        "is cut off.",
    )
    masquerade_exceptions = words(
        "",
        doc="User names whose addresses stay as they are.",
    )
    masquerade_classes = words(
        "envelope_sender, header_sender, header_recipient",
        among=_CLASSES,
        doc="Which addresses masquerade_domains is for: envelope_sender, "
        "envelope_recipient, header_sender, header_recipient.",
    )


class CopyParameters:
    """
    Postfix: C{cleanup/cleanup_addr.c}.
    """

    always_bcc = string(
        "",
        check=_bare,
        doc="An address that gets a copy of all mail that comes in; not of mail made "
        "here, such as bounces.",
    )
    sender_bcc_maps = words(
        "",
        kind="tables",
        doc="Who gets a copy, by sender, after canonical_maps and masquerading.",
    )
    recipient_bcc_maps = words(
        "",
        kind="tables",
        doc="Who gets a copy, by recipient, after canonical_maps and masquerading.",
    )


class VirtualAliasParameters:
    """
    Postfix: C{cleanup/cleanup_map1n.c}.
    """

    virtual_maps = words(
        "",
        kind="tables",
        doc="The old name of virtual_alias_maps.",
    )
    virtual_alias_maps = words(
        "$virtual_maps",
        kind="tables",
        doc="Aliases for addresses of any domain, searched for all recipients.",
    )
    virtual_alias_expansion_limit = count(
        "1000",
        low=1,
        doc="Addresses that virtual aliases may expand one recipient to; with more "
        "the message is not accepted (4.6.0).",
    )
    virtual_alias_recursion_limit = count(
        "1000",
        low=1,
        doc="Virtual aliases inside virtual aliases; with more the message is not "
        "accepted (4.6.0).",
    )
    virtual_alias_address_length_limit = count(
        "1000",
        low=1,
        doc="Octets of an address that comes out of virtual aliases; with a longer "
        "one the message is not accepted (4.6.0).",
    )


class MappingParameters(CanonicalParameters, CopyParameters, VirtualAliasParameters):
    """
    Postfix: C{src/cleanup}.
    """

    receive_override_options = words(
        "",
        among=(
            *("no_unknown_recipient_checks", "no_address_mappings"),
            *("no_header_body_checks", "no_milters"),
        ),
        doc="What is left out for mail of this service: no_address_mappings, "
        "no_unknown_recipient_checks, no_header_body_checks, no_milters.",
    )
