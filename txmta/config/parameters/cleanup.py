"""
Cleanup: headers, missing headers, limits.
"""

from __future__ import annotations

from txmta.config.declare import Status, boolean, count, string, words

_FILTERS = "Content checks are not built yet; without them mail passes unchecked."


class CleanupParameters:
    """
    Postfix: C{src/cleanup}.
    """

    always_add_missing_headers = boolean(
        "no",
        doc="Add missing Message-Id:, Date: and From: headers to mail from every"
        " client, not only to mail made here or by local_header_rewrite_clients.",
    )
    undisclosed_recipients_header = string(
        "",
        doc="The header that mail without To:, Cc: or their Resent- forms gets,"
        " where missing headers are added at all; empty for none.",
    )
    message_drop_headers = words(
        "bcc, content-length, resent-bcc, return-path",
        doc="Names of headers that are removed from every message, without colon,"
        " in any case.",
    )
    hopcount_limit = count(
        "50",
        low=1,
        doc="Received: headers, our own among them, at which a message is taken"
        " for one that loops, and is refused.",
    )
    header_size_limit = count(
        "102400",
        low=1,
        doc="Octets of one header, continuation lines included; what is beyond is"
        " cut off.",
        status=Status.APPROXIMATED,
        note="The cut is at exactly this length; Postfix completes the physical"
        " line that crosses it.",
    )
    header_address_token_limit = count(
        "10240",
        low=1,
        doc="Words, signs and comments of one address header that are looked at"
        " for addresses without domain.",
        status=Status.APPROXIMATED,
        note="What is beyond is left as it is; Postfix cuts it off.",
    )
    duplicate_filter_limit = count(
        "1000",
        doc="Recipients of one message that are remembered in order to drop later"
        " ones that are the same; 0 remembers all.",
    )
    cleanup_replace_stray_cr_lf = boolean(
        "yes",
        doc="Turn each CR that is not followed by LF, and each LF that does not"
        " follow CR, into a space.",
    )
    remote_header_rewrite_domain = string(
        "",
        doc="The domain that completes addresses without domain in the headers of"
        " remote mail; empty leaves those headers alone.",
    )
    header_checks = words(
        "",
        kind="tables",
        doc="Tables that decide on each header.",
        status=Status.NOT_YET,
        note=_FILTERS,
    )
    mime_header_checks = words(
        "$header_checks",
        kind="tables",
        doc="Tables that decide on each header of a MIME part.",
        status=Status.NOT_YET,
        note=_FILTERS,
    )
    nested_header_checks = words(
        "$header_checks",
        kind="tables",
        doc="Tables that decide on each header of an attached message.",
        status=Status.NOT_YET,
        note=_FILTERS,
    )
    body_checks = words(
        "",
        kind="tables",
        doc="Tables that decide on each line of the body.",
        status=Status.NOT_YET,
        note=_FILTERS,
    )
    body_checks_size_limit = count(
        "51200",
        doc="Octets of each body segment that body_checks sees.",
        status=Status.NO_EFFECT,
        note="There are no body_checks yet.",
    )
    line_length_limit = count(
        "2048",
        low=512,
        doc="The longest piece of a line that Postfix handles at once.",
        status=Status.NO_EFFECT,
        note="Content is handled in blocks, whatever the length of its lines.",
    )
    mime_nesting_limit = count(
        "100",
        low=1,
        doc="Levels of multipart that are looked into.",
        status=Status.NO_EFFECT,
        note="Nothing looks into MIME parts without content checks.",
    )
    mime_boundary_length_limit = count(
        "2048",
        low=1,
        doc="Octets of a MIME boundary that count.",
        status=Status.NO_EFFECT,
        note="Nothing looks into MIME parts without content checks.",
    )
    internal_mail_filter_classes = words(
        "",
        doc="Mail made here that goes through content checks: bounce, notify.",
        status=Status.NO_EFFECT,
        note="There are no content checks yet.",
    )
    message_strip_characters = string(
        "",
        expand=False,
        doc="Characters that are removed from content.",
        status=Status.NOT_YET,
    )
    message_reject_characters = string(
        "",
        expand=False,
        doc="Characters for which a message is refused.",
        status=Status.NOT_YET,
    )
    always_bcc = string(
        "", doc="An address that gets a copy of all mail.", status=Status.NOT_YET
    )
    sender_bcc_maps = words(
        "", kind="tables", doc="A copy, by sender.", status=Status.NOT_YET
    )
    recipient_bcc_maps = words(
        "", kind="tables", doc="A copy, by recipient.", status=Status.NOT_YET
    )
