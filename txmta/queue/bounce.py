"""
What a non-delivery notification says.

Owns: the form of RFC 3464 reports, in Postfix's words.
Knows nothing of: who gets one and when, the store, the clock.

The notification is made as octets; the original is put into it as it is,
never parsed or re-flowed. No text from the network can end a line of ours.

Sources: RFC 3462 (multipart/report), RFC 3464 (delivery-status), RFC 3834
(Auto-Submitted), RFC 6533 (internationalized reports). Postfix:
C{bounce/bounce_notify_util.c}, C{bounce/bounce_template.c}.

Errors: none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from txmta.address import quote
from txmta.model import Envelope, Outcome, Recipient

#: Columns of a line, and of the indent of the lines after it (Postfix's).
WIDTH, INDENT = 79, 4

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_INTRODUCTION = """\
This is the mail system at host {host}.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.

                   The mail system
"""

_UNREADABLE = """\
The message itself could not be read from the queue, and is not attached.
"""


@dataclass(frozen=True, slots=True)
class Site:
    """
    Who reports.

    @ivar host: myhostname.
    @ivar origin: myorigin, the domain of MAILER-DAEMON.
    @ivar mail_name: names the fields that are not in the standard.
    """

    host: str
    origin: str
    mail_name: str


@dataclass(frozen=True, slots=True)
class Stamps:
    """
    What makes one notification different from every other.

    @ivar boundary: between the parts.
    @ivar date: of the notification, as RFC 5322 has it.
    @ivar arrival: of the original, as RFC 5322 has it.
    @ivar message_id: with its brackets.
    """

    boundary: str
    date: bytes
    arrival: bytes
    message_id: str


@dataclass(frozen=True, slots=True)
class Report:
    """
    One notification.

    @ivar to: who gets it.
    @ivar envelope: of the original.
    @ivar failed: recipients, with the reason.
    @ivar original: content, or its headers; L{None} if it cannot be read.
    @ivar full: C{original} is the whole content.
    @ivar copy: for the postmaster, who knows the introduction by heart.
    """

    to: str
    envelope: Envelope
    failed: Sequence[tuple[Recipient, Outcome]]
    original: bytes | None
    full: bool
    copy: bool = False


def notification(report: Report, site: Site, stamps: Stamps) -> bytes:
    """
    @return: all but the trace header, in wire form.
    """
    delimiter = f"\r\n--{stamps.boundary}".encode()
    parts = [
        _header(report, site, stamps) + b"\r\nThis is a MIME-encapsulated message.\r\n",
        _text_part(report, site),
        _status_part(report, site, stamps),
    ]
    if report.original is not None:
        parts.append(_original_part(report, site))
    return (delimiter + b"\r\n").join(parts) + delimiter + b"--\r\n"


def safe(text: str) -> str:
    """
    @return: the text without anything that is no printable character.
    """
    return _CONTROL.sub("?", text)


def wrap(text: str) -> str:
    """
    @return: the text in lines of at most L{WIDTH} columns where words allow,
        those after the first indented; ends with CRLF.
    """
    lines = []
    indent, width = "", WIDTH
    rest = safe(text)
    while len(rest) > width:
        end = rest.rfind(" ", 1, width + 1)
        if end < 0:
            end = rest.find(" ", width)
        if end < 0:
            break
        lines.append(indent + rest[:end])
        rest = rest[end:].lstrip(" ")
        indent, width = " " * INDENT, WIDTH - INDENT
    lines.append(indent + rest)
    return "\r\n".join(lines) + "\r\n"


def _lines(text: str) -> str:
    return text.replace("\n", "\r\n")


def _header(report: Report, site: Site, stamps: Stamps) -> bytes:
    daemon = safe(f"MAILER-DAEMON@{site.origin}")
    subject = "Undelivered Mail Returned to Sender"
    submitted = "auto-replied"
    if report.copy:
        subject, submitted = "Postmaster Copy: Undelivered Mail", "auto-generated"
    text = (
        f"From: Mail Delivery System <{daemon}>\r\n"
        f"Subject: {subject}\r\n"
        f"To: {safe(quote(report.to))}\r\n"
        f"Auto-Submitted: {submitted}\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        f'\tboundary="{stamps.boundary}"\r\n'
        "Content-Transfer-Encoding: 8bit\r\n"
        f"Message-Id: {stamps.message_id}\r\n"
    )
    return b"Date: " + stamps.date + b"\r\n" + text.encode()


def _text_part(report: Report, site: Site) -> bytes:
    out = [
        "Content-Description: Notification\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n"
    ]
    if not report.copy:
        out.append(_lines(_INTRODUCTION.format(host=safe(site.host))))
    if report.original is None:
        out.append("\r\n" + _lines(_UNREADABLE))
    for recipient, outcome in report.failed:
        out.append("\r\n" + wrap(_complaint(recipient, outcome)))
    return "".join(out).encode()


def _complaint(recipient: Recipient, outcome: Outcome) -> str:
    address, original = quote(recipient.address), quote(recipient.original)
    expanded = ""
    if original and original.lower() != address.lower():
        expanded = f" (expanded from <{original}>)"
    return f"<{address}>{expanded}: {outcome.reason}"


def _status_part(report: Report, site: Site, stamps: Stamps) -> bytes:
    envelope = report.envelope
    kind = "message/delivery-status"
    if envelope.smtputf8:
        kind = "message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit"
    sender = envelope.sender or f"MAILER-DAEMON@{site.origin}"
    out = [
        f"Content-Description: Delivery report\r\nContent-Type: {kind}\r\n\r\n",
        f"Reporting-MTA: dns; {safe(site.host)}\r\n",
    ]
    if envelope.envid:
        out.append(f"Original-Envelope-Id: {safe(envelope.envid)}\r\n")
    prefix = f"X-{safe(site.mail_name)}"
    out.append(f"{prefix}-Queue-ID: {envelope.queue_id}\r\n")
    kind = _address_type(sender, envelope)
    out.append(f"{prefix}-Sender: {kind}; {safe(quote(sender))}\r\n")
    out.append(f"Arrival-Date: {stamps.arrival.decode()}\r\n")
    for recipient, outcome in report.failed:
        out.append("\r\n")
        out.extend(_recipient_fields(recipient, outcome, envelope, site))
    return "".join(out).encode()


def _recipient_fields(
    recipient: Recipient, outcome: Outcome, envelope: Envelope, site: Site
) -> list[str]:
    address = recipient.address
    kind = _address_type(address, envelope)
    out = [f"Final-Recipient: {kind}; {safe(quote(address))}\r\n"]
    original = recipient.orcpt
    if not original and recipient.original:
        original = f"rfc822;{quote(recipient.original)}"
    if original:
        out.append(f"Original-Recipient: {safe(original)}\r\n")
    out.append("Action: failed\r\n")
    out.append(f"Status: {outcome.status}\r\n")
    if outcome.remote:
        out.append(f"Remote-MTA: dns; {safe(outcome.remote)}\r\n")
    diagnostic = outcome.diagnostic or f"X-{site.mail_name}; {outcome.reason}"
    out.append(wrap(f"Diagnostic-Code: {diagnostic}"))
    return out


def _address_type(address: str, envelope: Envelope) -> str:
    return "utf-8" if envelope.smtputf8 and not address.isascii() else "rfc822"


def _original_part(report: Report, site: Site) -> bytes:
    utf8 = report.envelope.smtputf8
    if report.full:
        what, kind = "Message", "message/global" if utf8 else "message/rfc822"
    else:
        what = "Message Headers"
        kind = "message/global-headers" if utf8 else "text/rfc822-headers"
    sender = report.envelope.sender or f"MAILER-DAEMON@{site.origin}"
    head = (
        f"Content-Description: Undelivered {what}\r\n"
        f"Content-Type: {kind}\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n"
        f"Return-Path: <{safe(quote(sender))}>\r\n"
    )
    original = report.original or b""
    end = b"" if original.endswith(b"\r\n") or not original else b"\r\n"
    return head.encode() + original + end
