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
        " cut off, and with it the last line if less than a tenth of this is left"
        " of it.",
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
        doc="Longer lines of .forward and :include: files are cut into several.",
        status=Status.APPROXIMATED,
        note="Message content is handled in blocks, however long its lines are.",
    )
    mime_nesting_limit = count(
        "100",
        low=1,
        doc="Levels of multipart that are looked into, where mail is converted"
        " (disable_mime_output_conversion).",
    )
    mime_boundary_length_limit = count(
        "2048",
        low=1,
        doc="Octets of a MIME boundary that count.",
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
        doc="Characters that are removed from content, with the escapes \\a \\b"
        " \\f \\n \\r \\t \\v \\nnn \\\\.",
        status=Status.APPROXIMATED,
        note="CR and LF cannot be named; the Received: header that we add stays.",
    )
    message_reject_characters = string(
        "",
        expand=False,
        doc="Characters for which a message is refused, with the escapes of"
        " message_strip_characters.",
        status=Status.APPROXIMATED,
        note="CR and LF cannot be named.",
    )
    disable_mime_input_processing = boolean(
        "no",
        doc="Do not look into MIME parts of mail that comes in.",
        status=Status.NO_EFFECT,
        note="Nothing looks into them without content checks. Postfix changes"
        " headers of parts that are too long or have white space before the colon;"
        " here parts are never changed.",
    )
    detect_8bit_encoding_header = boolean(
        "yes",
        doc="Find out which mail needs 8BITMIME, whatever its client said.",
        status=Status.APPROXIMATED,
        note="Octets that are not ASCII count, wherever they are; in Postfix it is"
        " Content-Transfer-Encoding: 8bit or binary.",
    )
    smtputf8_autodetect_classes = words(
        "sendmail, verify",
        doc="Where mail comes from of which we find out if it needs SMTPUTF8, by"
        " octets beyond ASCII in an address or a header: sendmail, smtpd, qmqpd,"
        " forward, bounce, notify, verify, all. Other mail needs it if its client"
        " said so.",
        among=(
            *("sendmail", "smtpd", "qmqpd", "forward"),
            *("bounce", "notify", "verify", "all"),
        ),
        status=Status.APPROXIMATED,
        note="Mail made here is of no class: it needs SMTPUTF8 if the mail that it is"
        " about does.",
    )
