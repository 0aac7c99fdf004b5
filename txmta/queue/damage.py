"""
What the postmaster is told of a message that was damaged in the queue.

Owns: the words.
Knows nothing of: how damage is found, the store.

Errors: none.
"""

from __future__ import annotations

from txmta.address import quote
from txmta.model import Envelope
from txmta.queue.bounce import Site, safe

#: Recipients that are listed; the rest is counted.
MAX_LISTED = 50


def damage_notice(
    to: str, envelope: Envelope, reason: str, site: Site, date: bytes, message_id: str
) -> bytes:
    """
    @param envelope: of the damaged message.
    @param date: as RFC 5322 has it.
    @return: all but the trace header, in wire form.
    """
    recipients = [f"<{quote(r.address)}>" for r in envelope.recipients]
    listed = recipients[:MAX_LISTED]
    if len(recipients) > MAX_LISTED:
        listed.append(f"and {len(recipients) - MAX_LISTED} more")
    lines = [
        f"From: Mail Delivery System <{site.daemon}>",
        f"Subject: {site.mail_name}: damaged message {envelope.queue_id}",
        f"To: {quote(to)}",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        f"Message-Id: {message_id}",
        "",
        f"This is the mail system at host {site.host}.",
        "",
        f"Message {envelope.queue_id} cannot be delivered, because it is damaged in",
        "the queue. It has been moved to the corrupt queue; its sender has not been",
        "told.",
        "",
        f"Reason: {reason}",
        f"Sender: <{quote(envelope.sender)}>",
        "Recipients still to be served:",
        *(f"    {recipient}" for recipient in listed),
    ]
    text = "".join(f"{safe(line)}\r\n" for line in lines)
    return b"Date: " + date + b"\r\n" + text.encode()
