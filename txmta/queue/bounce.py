"""
What a delivery status notification says.

Owns: the form of RFC 3464 reports, in Postfix's order and words.
Knows nothing of: who gets one and when, the store, the clock.

The notification is made as octets; the original is put into it as it is,
never parsed or re-flowed. No text from the network can end a line of ours.

Sources: RFC 3462 (multipart/report), RFC 3464 (delivery-status), RFC 3834
(Auto-Submitted), RFC 6533 (internationalized reports). Postfix:
C{bounce/bounce_notify_util.c}.

Errors: none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from txmta.address import quote
from txmta.model import Action, Envelope, Outcome, Recipient
from txmta.queue.templates import Template

#: Columns of a line, and of the indent of the lines after it (Postfix's).
WIDTH, INDENT = 79, 4

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

#: What no RFC 822 atom, and so no name of a field, may hold.
_NOT_ATOM = re.compile(r'[ \t\r\n()<>@,;:\\".\[\]]')

_MESSAGE_ID = re.compile(
    rb"^message-id[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)

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

    @property
    def daemon(self) -> str:
        """
        @return: who speaks, and who the null sender is.
        """
        return f"MAILER-DAEMON@{self.origin}"


@dataclass(frozen=True, slots=True)
class Stamps:
    """
    What makes one notification different from every other.

    @ivar boundary: between the parts.
    @ivar date: of the notification, as RFC 5322 has it.
    @ivar arrival: of the original, as RFC 5322 has it.
    @ivar until: how long a delayed message is tried, as RFC 5322 has it.
    @ivar message_id: with its brackets.
    """

    boundary: str
    date: bytes
    arrival: bytes
    until: bytes
    message_id: str


@dataclass(frozen=True, slots=True)
class Report:
    """
    One notification.

    @ivar template: its words, and which kind it is; C{sender} is complete.
    @ivar to: who gets it.
    @ivar envelope: of the original.
    @ivar told: recipients, with what became of them.
    @ivar original: content, or its headers; L{None} if it cannot be read.
    @ivar full: C{original} is the whole content.
    @ivar copy: for the postmaster, who knows the introduction by heart.
    @ivar thread: Message-Id of the original, with its brackets, or C{""}.
    @ivar eight_bit: the original, and so the notification, may have octets
        over 127.
    """

    template: Template
    to: str
    envelope: Envelope
    told: Sequence[tuple[Recipient, Outcome]]
    original: bytes | None
    full: bool
    copy: bool = False
    thread: str = ""
    eight_bit: bool = True


def notification(report: Report, site: Site, stamps: Stamps) -> bytes:
    """
    @return: all but the trace header, in wire form.
    """
    delimiter = f"\r\n--{stamps.boundary}".encode()
    parts = [
        _header(report, stamps) + b"\r\nThis is a MIME-encapsulated message.\r\n",
        _text_part(report),
        _status_part(report, site, stamps),
    ]
    if report.original is not None:
        parts.append(_original_part(report, site))
    return (delimiter + b"\r\n").join(parts) + delimiter + b"--\r\n"


def message_id(head: bytes) -> str | None:
    """
    @param head: the headers of a message.

    @return: its Message-Id with its brackets, C{""} if there is none;
        L{None} if it is malformed. A folded one is, as in Postfix.
    """
    match = _MESSAGE_ID.search(head)
    if match is None:
        return ""
    value = match[1].rstrip(b" \t")
    if not (value.startswith(b"<") and value.endswith(b">")):
        return None
    return safe(value.decode("utf-8", "surrogateescape"))


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
    return text.replace("\r", "").replace("\n", "\r\n")


def _octets(report: Report, text: str) -> bytes:
    """
    @return: what we write ourselves: in 7-bit mail nothing else than ASCII.
    """
    if report.eight_bit:
        return text.encode("utf-8", "surrogateescape")
    return text.encode("ascii", "replace")


def _header(report: Report, stamps: Stamps) -> bytes:
    template = report.template
    subject, submitted = template.subject, "auto-replied"
    if report.copy:
        subject, submitted = template.postmaster_subject, "auto-generated"
    thread = ""
    if report.thread:
        thread = f"References: {report.thread}\r\nIn-Reply-To: {report.thread}\r\n"
    encoding = "8bit" if report.eight_bit or template.eight_bit else "7bit"
    text = (
        f"From: {safe(template.sender)}\r\n"
        f"Subject: {safe(subject)}\r\n"
        f"To: {safe(quote(report.to))}\r\n"
        f"{thread}"
        f"Auto-Submitted: {submitted}\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        f'\tboundary="{stamps.boundary}"\r\n'
        f"Content-Transfer-Encoding: {encoding}\r\n"
        f"Message-Id: {stamps.message_id}\r\n"
    )
    return b"Date: " + stamps.date + b"\r\n" + _octets(report, text)


def _part_encoding(report: Report) -> str:
    return "Content-Transfer-Encoding: 8bit\r\n" if report.eight_bit else ""


def _text_part(report: Report) -> bytes:
    template = report.template
    charset = template.charset
    if charset.lower() == "us-ascii" and report.eight_bit:
        charset = "utf-8"
    head = (
        "Content-Description: Notification\r\n"
        f"Content-Type: text/plain; charset={safe(charset)}\r\n"
        f"{_part_encoding(report)}\r\n"
    )
    words = b""
    if not report.copy:
        words = _lines(template.text).encode("utf-8", "surrogateescape")
    out = []
    if report.original is None:
        out.append("\r\n" + _lines(_UNREADABLE))
    for recipient, outcome in report.told:
        out.append("\r\n" + wrap(_complaint(recipient, outcome)))
    return head.encode() + words + _octets(report, "".join(out))


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
        kind = "message/global-delivery-status"
        kind += "\r\nContent-Transfer-Encoding: 8bit"
    sender = envelope.sender or site.daemon
    out = [
        f"Content-Description: Delivery report\r\nContent-Type: {kind}\r\n\r\n",
        f"Reporting-MTA: dns; {safe(site.host)}\r\n",
    ]
    if envelope.envid:
        out.append(f"Original-Envelope-Id: {safe(envelope.envid)}\r\n")
    prefix = f"X-{_atom(site.mail_name)}"
    out.append(f"{prefix}-Queue-ID: {envelope.queue_id}\r\n")
    kind = _address_type(sender, envelope)
    out.append(f"{prefix}-Sender: {kind}; {safe(quote(sender))}\r\n")
    out.append(f"Arrival-Date: {stamps.arrival.decode()}\r\n")
    for recipient, outcome in report.told:
        out.append("\r\n")
        out.extend(_recipient_fields(recipient, outcome, report, prefix))
        if report.template.name == "delay":
            out.append(f"Will-Retry-Until: {stamps.until.decode()}\r\n")
    return _octets(report, "".join(out))


def _recipient_fields(
    recipient: Recipient, outcome: Outcome, report: Report, prefix: str
) -> list[str]:
    address, envelope = recipient.address, report.envelope
    kind = _address_type(address, envelope)
    out = [f"Final-Recipient: {kind}; {safe(quote(address))}\r\n"]
    original = recipient.orcpt
    if not original and recipient.original:
        original = f"rfc822;{quote(recipient.original)}"
    if original:
        out.append(f"Original-Recipient: {safe(original)}\r\n")
    # Mail that is given up after a delay has failed.
    failed = report.template.name == "failure"
    action = Action.FAILED if failed else outcome.action
    out.append(f"Action: {action.value}\r\n")
    out.append(f"Status: {outcome.status}\r\n")
    if outcome.remote:
        out.append(wrap(f"Remote-MTA: dns; {outcome.remote}"))
    diagnostic = outcome.diagnostic or f"{prefix}; {outcome.reason}"
    out.append(wrap(f"Diagnostic-Code: {diagnostic}"))
    return out


def _atom(name: str) -> str:
    return _NOT_ATOM.sub("-", safe(name))


def _address_type(address: str, envelope: Envelope) -> str:
    return "utf-8" if envelope.smtputf8 and not address.isascii() else "rfc822"


def _original_part(report: Report, site: Site) -> bytes:
    utf8 = report.envelope.smtputf8
    if report.full:
        what, kind = "Message", "message/global" if utf8 else "message/rfc822"
    else:
        what = "Message Headers"
        kind = "message/global-headers" if utf8 else "text/rfc822-headers"
    if report.template.name in ("failure", "delay"):
        what = f"Undelivered {what}"
    sender = report.envelope.sender or site.daemon
    head = (
        f"Content-Description: {what}\r\n"
        f"Content-Type: {kind}\r\n"
        f"{_part_encoding(report)}\r\n"
        f"Return-Path: <{safe(quote(sender))}>\r\n"
    )
    original = report.original or b""
    end = b"" if original.endswith(b"\r\n") or not original else b"\r\n"
    return _octets(report, head) + original + end
