"""
A message as the queue tools show it.

Owns: how addresses and reasons are written, in which order recipients come.
Knows nothing of: where the message was read, and the form of the listing.

Sources: Postfix C{showq/showq.c} (addresses are quoted and made printable;
recipients with a reason come first, in the order of the log in C{defer/},
where those of one delivery stand together).

Errors: none.
"""

from __future__ import annotations

import re

from txmta.address import quote
from txmta.model import QueuedMessage
from txmta.queue.listed import Listed

#: What the null sender is called.
NULL = "MAILER-DAEMON"

#: Control characters, and octets that are no UTF-8.
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")

#: In front of a reason there is its status code.
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3} ")


def listed(message: QueuedMessage) -> Listed:
    """
    @return: what is shown of a message.
    """
    envelope = message.envelope
    reasons = dict(message.reasons)
    groups: dict[str, list[str]] = {}
    for recipient in envelope.recipients:
        reason = reasons.get(recipient.n, "")
        groups.setdefault(reason, []).append(shown(recipient.address))
    undelayed = groups.pop("", [])
    recipients = [
        (address, printable(_STATUS.sub("", reason, count=1)))
        for reason, addresses in groups.items()
        for address in addresses
    ]
    recipients += [(address, "") for address in undelayed]
    return Listed(
        message.queue.name.lower(),
        envelope.queue_id,
        int(envelope.arrival),
        message.size,
        message.expire,
        shown(envelope.sender),
        recipients,
    )


def shown(address: str) -> str:
    """
    @param address: in internal form; C{""} is the null sender.
    """
    return printable(quote(address)) if address else NULL


def printable(text: str) -> str:
    """
    @return: without what would play tricks on a terminal.
    """
    return text if text.isprintable() else _UNPRINTABLE.sub("?", text)
