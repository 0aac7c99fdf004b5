"""
The words of Postfix's mail log, letter for letter.

Owns: how each L{txmta.events.Event} reads as a line, and that a line is one
    printable line whatever a client put into it.
Knows nothing of: time stamps, files, syslog.

Sources: Postfix C{global/log_adhoc.c} (delays), C{smtpd/smtpd.c} (connect,
disconnect, reject), C{qmgr/qmgr_active.c}, C{util/format_tv.c} (digits).

Errors: none; an event of an unknown type is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from txmta import events
from txmta.address import quote
from txmta.model import Action

#: Characters of one line; more is cut. As Postfix's syslog lines.
MAX_LINE = 2000

_STATUS = {
    Action.DELIVERED: "sent",
    Action.RELAYED: "sent",
    Action.EXPANDED: "sent",
    Action.DELAYED: "deferred",
    Action.FAILED: "bounced",
    Action.DELIVERABLE: "deliverable",
    Action.UNDELIVERABLE: "undeliverable",
}


def safe(text: str) -> str:
    """
    @return: the text in one printable line: control characters, line and
        paragraph separators and octets that are not UTF-8 become C{?}.
    """
    if len(text) > MAX_LINE:
        text = text[:MAX_LINE]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)


#: The common case, delays under 0.095 s, by hundredths.
_SHORT = ("0", *(f"0.{n:02d}" for n in range(1, 10)))


def delay(seconds: float) -> str:
    """
    @return: two significant digits, and none finer than 0.01 s
        (delay_logging_resolution_limit).
    """
    if seconds < 0.095:
        return _SHORT[int(seconds * 100 + 0.5)] if seconds > 0 else "0"
    if seconds >= 9.95:
        return str(int(seconds + 0.5))
    digits = 2 if seconds < 0.995 else 1
    return f"{seconds:.{digits}f}".rstrip("0").rstrip(".")


class _Deliveries:
    """
    Lines of deliveries. Recipients of one request mostly end alike, in all
    but their address: the last ending is kept, and compared, which is done
    field by field and mostly by identity.
    """

    __slots__ = ("_ending", "_told")

    def __init__(self) -> None:
        self._told: tuple[object, ...] = ()
        self._ending = ""

    def line(self, event: events.Delivery) -> str:
        request, recipient, outcome = event.request, event.recipient, event.outcome
        address = recipient.address
        original = (
            f"orig_to=<{quote(recipient.original)}>, "
            if recipient.original and recipient.original != address
            else ""
        )
        told = (
            request.before_queue_manager,
            request.in_queue_manager,
            outcome.setup,
            outcome.transmission,
            outcome.relay,
            outcome.conn_use,
            outcome.status,
            outcome.action,
            outcome.reason,
            event.word,
        )
        if told != self._told:
            self._told, self._ending = told, _ending(event)
        return (
            f"{request.envelope.queue_id}: to=<{quote(address)}>, {original}"
            f"{self._ending}"
        )


def _ending(event: events.Delivery) -> str:
    request, outcome = event.request, event.outcome
    a, b = request.before_queue_manager, request.in_queue_manager
    c, d = outcome.setup, outcome.transmission
    use = f"conn_use={outcome.conn_use}, " if outcome.conn_use > 1 else ""
    return (
        f"relay={outcome.relay}, {use}delay={delay(a + b + c + d)}, "
        f"delays={delay(a)}/{delay(b)}/{delay(c)}/{delay(d)}, "
        f"dsn={outcome.status}, status={event.word or _STATUS[outcome.action]} "
        f"({outcome.reason})"
    )


def disconnected(event: events.Disconnected) -> str:
    accepted = total = 0
    words = []
    for verb, (good, all_) in event.counts.items():
        accepted += good
        total += all_
        words.append(f"{verb}={_share(good, all_)}")
    words.append(f"commands={_share(accepted, total) if total else '0/0'}")
    return f"disconnect from {event.client.label} {' '.join(words)}"


def _share(good: int, all_: int) -> str:
    return str(good) if good == all_ else f"{good}/{all_}"


def rejected(event: events.Rejected) -> str:
    words = [
        f"{event.queue_id or 'NOQUEUE'}: {event.verb}: {event.stage} from "
        f"{event.client.label}: {event.reply};"
    ]
    if event.sender is not None:
        words.append(f"from=<{quote(event.sender)}>")
    if event.recipient is not None:
        words.append(f"to=<{quote(event.recipient)}>")
    if event.protocol:
        words.append(f"proto={event.protocol}")
    if event.helo:
        words.append(f"helo=<{event.helo}>")
    if event.login:
        words.append(f"sasl_username=<{event.login}>")
    return " ".join(words)


def activated(event: events.Activated) -> str:
    return (
        f"{event.queue_id}: from=<{quote(event.sender)}>, size={event.size}, "
        f"nrcpt={event.recipients} (queue active)"
    )


def expired(event: events.Expired) -> str:
    sender = quote(event.sender)
    return f"{event.queue_id}: from=<{sender}>, status=expired, returned to sender"


_LINES: dict[type[events.Event], Callable[[Any], str]] = {
    events.Note: lambda e: str(e.text),
    events.Warn: lambda e: f"warning: {e.text}",
    events.Fatal: lambda e: f"fatal: {e.text}",
    events.Connected: lambda e: f"connect from {e.client.label}",
    events.Disconnected: disconnected,
    events.SessionTrouble: lambda e: (
        f"{e.trouble} after {e.after} from {e.client.label}"
    ),
    events.Rejected: rejected,
    events.ClientKnown: lambda e: f"{e.queue_id}: client={e.client.label}{e.more}",
    events.MessageId: lambda e: f"{e.queue_id}: message-id={e.message_id}",
    events.Activated: activated,
    events.Delivery: _Deliveries().line,
    events.Expired: expired,
    events.Notified: lambda e: f"{e.queue_id}: {e.kind} notification: {e.notice_id}",
    events.Removed: lambda e: f"{e.queue_id}: removed",
}


def line(event: events.Event) -> str:
    """
    @return: what follows C{postfix/smtpd[123]: }, printable, at most
        L{MAX_LINE} characters.
    """
    return safe(_LINES.get(type(event), repr)(event))
