"""
What happens to mail, as values; L{txmta.log} turns them into lines.

One event is one line of Postfix's mail log. The words of a line are decided
in L{txmta.log.postfix} and nowhere else.

@note: not frozen, for speed (0.4 instead of 1.3 us); nobody changes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from txmta.model import Client, DeliveryRequest, Outcome, Recipient


@dataclass(slots=True)
class Event:
    """
    @ivar program: the daemon as the log names it: C{"smtpd"}, C{"qmgr"},
        C{"cleanup"}, C{"smtp"}; syslog_name is put before it. With that of a
        single service already before it: C{"postfix/submission/smtpd"}.
    """

    program: str


@dataclass(slots=True)
class Note(Event):
    """
    Anything else worth a line.

    @ivar text: the line, after program and process id.
    """

    text: str


@dataclass(slots=True)
class Warn(Event):
    """
    C{warning: text}: something an administrator should look at.
    """

    text: str


@dataclass(slots=True)
class Fatal(Event):
    """
    C{fatal: text}: why a program cannot go on.
    """

    text: str


@dataclass(slots=True)
class Connected(Event):
    """
    C{connect from name[address]}
    """

    client: Client


@dataclass(slots=True)
class Disconnected(Event):
    """
    C{disconnect from name[address] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4}

    @ivar counts: verb in lower case to (accepted, all), in the order of
        Postfix's table of commands.
    """

    client: Client
    counts: Mapping[str, tuple[int, int]]


@dataclass(slots=True)
class SessionTrouble(Event):
    """
    C{lost connection after DATA from name[address]}

    @ivar trouble: C{"lost connection"}, C{"timeout"}, C{"too many errors"},
        C{"improper command pipelining"}.
    @ivar after: the last command, as Postfix names the stage.
    """

    trouble: str
    after: str
    client: Client


@dataclass(slots=True)
class Rejected(Event):
    """
    C{NOQUEUE: reject: RCPT from name[address]: 554 5.7.1 ...; from=<..> ...}

    @ivar queue_id: or C{""} for NOQUEUE.
    @ivar stage: C{"RCPT"}, C{"MAIL"}, C{"CONNECT"} ...
    @ivar reply: code, status and text, in one line.
    @ivar sender: L{None} before MAIL.
    @ivar recipient: L{None} but for RCPT.
    @ivar verb: C{"reject"}, C{"hold"}, C{"discard"}, C{"warn"} ...
    @ivar login: sasl_username, or C{""}.
    """

    queue_id: str
    stage: str
    client: Client
    reply: str
    sender: str | None
    recipient: str | None
    protocol: str
    helo: str
    verb: str = "reject"
    login: str = ""


@dataclass(slots=True)
class ClientKnown(Event):
    """
    C{ID: client=name[address]}

    @ivar more: what else is known, C{", sasl_method=..."}, or C{""}.
    """

    queue_id: str
    client: Client
    more: str = ""


@dataclass(slots=True)
class MessageId(Event):
    """
    C{ID: message-id=<...>}

    @ivar message_id: the header's value as it stands, with its brackets.
    """

    queue_id: str
    message_id: str


@dataclass(slots=True)
class Activated(Event):
    """
    C{ID: from=<sender>, size=1234, nrcpt=1 (queue active)}
    """

    queue_id: str
    sender: str
    size: int
    recipients: int


@dataclass(slots=True)
class Delivery(Event):
    """
    C{ID: to=<...>, relay=..., delay=..., delays=..., dsn=..., status=sent (..)}

    @ivar request: for the queue id and the first two delays.
    @ivar recipient: with C{orig_to} when it differs.
    @ivar word: for C{status=}, if it is not that of the outcome
        (C{SOFTBOUNCE}).
    """

    request: DeliveryRequest
    recipient: Recipient
    outcome: Outcome
    word: str = ""


@dataclass(slots=True)
class Expired(Event):
    """
    C{ID: from=<sender>, status=expired, returned to sender}
    """

    queue_id: str
    sender: str


@dataclass(slots=True)
class Notified(Event):
    """
    C{ID: sender non-delivery notification: ID2}

    @ivar kind: C{"sender non-delivery"}, C{"postmaster non-delivery"},
        C{"sender delay"}, C{"sender delivery status"} ...
    @ivar notice_id: queue id of the new message.
    """

    queue_id: str
    kind: str
    notice_id: str


@dataclass(slots=True)
class Removed(Event):
    """
    C{ID: removed}
    """

    queue_id: str
