"""
The headers that we add.

Owns: Received:, Message-Id:, Date:, From: and the undisclosed-recipients
    header in Postfix's form.
Knows nothing of: where they are put.

No octet from the network can end a line or a comment here.

Sources: RFC 5321 section 4.4; RFC 5322 sections 3.4.1 and 3.6; RFC 6531
section 4.3 (UTF8SMTP). Postfix: C{smtpd/smtpd.c} (data_cmd),
C{global/post_mail.c}, C{cleanup/cleanup_message.c} (header_done).
"""

from __future__ import annotations

import re
from collections.abc import Set
from functools import partial

from txmta.address import quote
from txmta.cleanup.dates import compact_date, mail_date
from txmta.config.settings import Settings
from txmta.model import Envelope, Submission

_safe = partial(re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]").sub, "?")

# In HELO also what RFC 5322 gives a meaning; Postfix's neuter() in smtpd.c.
_NOT_HELO = re.compile('[\x00-\x20\x7f-\x9f\u2028\u2029<>()\\\\";@]')

_VISIBLE = frozenset((b"to", b"cc", b"resent-to", b"resent-cc"))

_RESENT = frozenset(
    (
        *(b"resent-from", b"resent-sender", b"resent-reply-to", b"resent-to"),
        *(b"resent-cc", b"resent-bcc", b"resent-date", b"resent-message-id"),
    )
)

# A name that needs no quotes: atoms, and what is not ASCII.
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff -]*")


def received(
    envelope: Envelope, settings: Settings, submission: Submission | None = None
) -> bytes:
    """
    @return: the Received: header of a message from the network, or of one
        made here.
    """
    if not envelope.protocol:
        return received_here(envelope, settings, submission)
    client = envelope.client
    address = client.address
    if ":" in address:
        address = f"IPv6:{address}"
    helo = _NOT_HELO.sub("?", envelope.helo or client.name)
    protocol = envelope.protocol
    if protocol == "ESMTP":  # RFC 3848
        protocol += "S" if envelope.tls is not None else ""
        protocol += "A" if envelope.login is not None else ""
    if envelope.smtputf8:
        protocol = "UTF8" + protocol.removeprefix("E")
    text = (
        f"Received: from {helo} ({_safe(client.name)} [{address}])\r\n"
        f"{_encrypted(envelope, settings)}"
        f"{_authenticated(envelope, settings)}"
        f"\t{_by(settings)} with {protocol} id {envelope.queue_id}"
    )
    if len(envelope.recipients) == 1:
        text += f"\r\n\tfor <{_safe(quote(envelope.recipients[0].original))}>; "
    else:
        text += ";\r\n\t"
    return _octets(text) + mail_date(int(envelope.arrival)) + b"\r\n"


def _encrypted(envelope: Envelope, settings: Settings) -> str:
    tls = envelope.tls
    if tls is None or not settings.smtpd_tls_received_header:
        return ""
    text = f"\t(using {tls.protocol} with cipher {tls.cipher}"
    text += f" ({tls.bits}/{tls.all_bits} bits)"
    if tls.details:
        details = tls.details.replace(" client-signature", "\r\n\t client-signature")
        text += f"\r\n\t {details}"
    text += ")\r\n"
    if tls.fingerprint:
        verified = "verified OK" if tls.trusted else "not verified"
        return (
            f'{text}\t(Client CN "{comment(tls.subject)}", '
            f'Issuer "{comment(tls.issuer)}" ({verified}))\r\n'
        )
    if tls.asked:
        return f"{text}\t(Client did not present a certificate)\r\n"
    return f"{text}\t(No client certificate requested)\r\n"


def _authenticated(envelope: Envelope, settings: Settings) -> str:
    login = envelope.login
    if login is None or not settings.smtpd_sasl_authenticated_header:
        return ""
    return f"\t(Authenticated sender: {comment(login.username)})\r\n"


def comment(text: str) -> str:
    """
    @return: what others said, for a comment that it must not end; as Postfix's
        C{comment_sanitize()} does it.
    """
    out, depth = "", 0
    for c in text:
        shown = "?" if not " " <= c <= "~" or c == "\\" else c
        if shown == "(":
            depth += 1
        elif shown == ")":
            shown = ")" if depth else "?"
            depth = max(0, depth - 1)
        out += shown
    return out + ")" * depth


def prepended(envelope: Envelope) -> bytes:
    """
    @return: headers that access tables want before all others.
    """
    return b"".join(
        _octets(line.replace("\r", " ").replace("\n", " ")) + b"\r\n"
        for line in envelope.prepend
    )


def received_here(
    envelope: Envelope, settings: Settings, submission: Submission | None = None
) -> bytes:
    """
    @return: the Received: header of a message that did not come by SMTP.
    """
    user = f", from userid {submission.uid}" if submission else ""
    text = f"Received: {_by(settings, user)}\r\n\tid {envelope.queue_id}; "
    return _octets(text) + mail_date(int(envelope.arrival)) + b"\r\n"


def _by(settings: Settings, user: str = "") -> str:
    return f"by {settings.myhostname} ({settings.mail_name}{user})"


def message_id(envelope: Envelope, settings: Settings) -> bytes:
    """
    @return: C{<20261124035052.QUEUEID@myhostname>}.
    """
    right = f".{envelope.queue_id}@{settings.myhostname}>"
    return b"<" + compact_date(int(envelope.arrival)) + _octets(right)


def missing(
    seen: Set[bytes],
    envelope: Envelope,
    settings: Settings,
    submission: Submission | None = None,
) -> bytes:
    """
    @param seen: names of headers that the message has, in lower case.
    @return: the headers that it ought to have, to stand after its own.
    """
    edits = envelope.local_origin or settings.remote_header_rewrite_domain
    if not (edits or settings.always_add_missing_headers):
        return b""
    resent = is_resent(seen)
    name, key = (b"Resent-", b"resent-") if resent else (b"", b"")
    out = b""
    if key + b"message-id" not in seen:
        value = message_id(envelope, settings)
        out += name + b"Message-Id: " + value + b"\r\n"
    if key + b"date" not in seen:
        out += name + b"Date: " + mail_date(int(envelope.arrival)) + b"\r\n"
    if key + b"from" not in seen:
        full_name = submission.full_name if submission else ""
        out += name + b"From: " + _octets(_from(envelope, full_name)) + b"\r\n"
    if settings.undisclosed_recipients_header and not seen & _VISIBLE:
        out += _octets(settings.undisclosed_recipients_header) + b"\r\n"
    return out


def is_resent(seen: Set[bytes]) -> bool:
    """
    Whether the message was sent on, with headers of its own for that.

    @param seen: as for L{missing}.
    """
    return not seen.isdisjoint(_RESENT)


def _from(envelope: Envelope, full_name: str) -> str:
    address = _safe(quote(envelope.sender))
    if not address:
        return "MAILER-DAEMON"
    if not full_name:
        return address
    name = _safe(full_name)
    if _PHRASE.fullmatch(name):
        name = " ".join(name.split())
    else:
        name = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{name}"'
    return f"{name} <{address}>".lstrip()


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
