"""
The words in which the client engine and its driver talk.

Owns: the stages of a session, and the events that the engine gives.
Knows nothing of: how one stage leads to another.

Sources: Postfix C{xfer_states} and C{xfer_request} in
C{src/smtp/smtp_proto.c}, for the words in log lines.

Errors: L{Broken}, inside the engine only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from txmta.smtp.client_trouble import Trouble
from txmta.smtp.replies import ServerReply

if TYPE_CHECKING:
    from txmta.smtp.client_login import Account


class Stage(IntEnum):
    """
    The reply that is awaited, or why none is.
    """

    GREETING = 0
    EHLO = 1
    HELO = 2
    LHLO = 3
    STARTTLS = 4
    AUTH = 5
    TLS = 6  # the driver shakes hands; nothing is expected in clear text
    IDLE = 7
    RSET = 8
    FORWARD = 9  # XFORWARD NAME=... ADDR=...
    FORWARD_HELO = 10  # XFORWARD PROTO=... HELO=...
    MAIL = 11
    RCPT = 12
    DATA = 13
    CONTENT = 14  # we send; nothing is expected
    DOT = 15
    NOBODY = 16  # of the lone dot that ends a message for nobody
    QUIT = 17
    CLOSED = 18


#: What was being done, for "lost connection with ... while ...".
DOING = (
    "receiving the initial server greeting",
    "performing the EHLO handshake",
    "performing the HELO handshake",
    "performing the LHLO handshake",
    "receiving the STARTTLS response",
    "performing the EHLO handshake",  # as Postfix calls it while logging in, too
    "performing the TLS handshake",
    "waiting for work",
    "sending RSET probe",
    "sending XFORWARD name/address",
    "sending XFORWARD protocol/helo_name",
    "sending MAIL FROM",
    "sending RCPT TO",
    "sending DATA command",
    "sending message body",
    "sending end of data -- message may be sent more than once",
    "sending end of data",
    "sending QUIT",
    "hanging up",
)

#: What a reply answers, for "(in reply to ...)".
REQUESTS = {
    Stage.STARTTLS: "STARTTLS command",
    Stage.RSET: "RSET probe",
    Stage.FORWARD: "XFORWARD name/address command",
    Stage.FORWARD_HELO: "XFORWARD helo/protocol command",
    Stage.MAIL: "MAIL FROM command",
    Stage.RCPT: "RCPT TO command",
    Stage.DATA: "DATA command",
    Stage.CONTENT: "end of DATA command",
    Stage.DOT: "end of DATA command",
    Stage.NOBODY: "end of DATA command",
}


@dataclass(frozen=True, slots=True)
class ClientRules:
    """
    What the configuration says.

    @ivar helo_name: smtp_helo_name.
    @ivar always_ehlo: also where the greeting does not say ESMTP.
    @ivar soften_5xx_greeting: smtp_skip_5xx_greeting.
    @ivar ignore: EHLO keywords in upper case.
    @ivar myhostname: a server that calls itself so is ourselves; C{""} where
        loops are not looked for.
    @ivar lmtp: speak LMTP: LHLO, and a reply for each recipient after the dot.
    @ivar reply_filter: smtp_reply_filter; gets C{host[address]} and a line of a
        reply, gives the line to be understood.
    """

    helo_name: str
    always_ehlo: bool = True
    never_ehlo: bool = False
    soften_5xx_greeting: bool = True
    quote_envelope: bool = True
    ignore: Collection[str] = ()
    myhostname: str = ""
    lmtp: bool = False
    reply_filter: Callable[[str, bytes], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """
    One address of one host, or one socket of this one.

    @ivar host: its name, or the address again where no name was given.
    @ivar address: IP address; or a path, as it was written.
    @ivar port: 0 for a path.
    @ivar best: among the most preferred for the destination.
    """

    host: str
    address: str
    port: int
    preference: int = 0
    best: bool = True

    @property
    def label(self) -> str:
        """
        C{host[address]}, for reasons.
        """
        return f"{self.host}[{self.address}]"

    @property
    def relay(self) -> str:
        """
        C{host[address]:port}, C{host[path]}, for C{relay=} in the log.
        """
        return f"{self.label}:{self.port}" if self.port else self.label


@dataclass(frozen=True, slots=True)
class Peer:
    """
    Who is at the other end.

    @ivar label: C{host[address]}.
    @ivar nexthop: what the mail is routed to, for the words of a loop.
    @ivar best: among the most preferred hosts of C{nexthop}.
    @ivar account: who we are there, if anybody.
    @ivar tls: ask for TLS where it is offered; C{tls_required}: say nothing
        without it.
    """

    label: str
    nexthop: str = ""
    best: bool = True
    account: Account | None = None
    tls: bool = False
    tls_required: bool = False


@dataclass(slots=True)
class Event:
    """
    Something that the driver of a session must know.
    """


@dataclass(slots=True)
class Ready(Event):
    """
    The handshake is done.
    """


@dataclass(slots=True)
class StartTls(Event):
    """
    Begin TLS now, then call C{secured()}.
    """


@dataclass(slots=True)
class Refused(Event):
    """
    One recipient will not be delivered here.

    @ivar index: in the transaction's recipients.
    """

    index: int
    trouble: Trouble


@dataclass(slots=True)
class GoAhead(Event):
    """
    Send the content and the final dot, then call C{sent()}.
    """


@dataclass(slots=True)
class Accepted(Event):
    """
    The server has taken responsibility for all recipients not refused.
    """

    reply: ServerReply


@dataclass(slots=True)
class Delivered(Event):
    """
    LMTP: the server has taken responsibility for one recipient.

    @ivar index: in the transaction's recipients.
    """

    index: int
    reply: ServerReply


@dataclass(slots=True)
class Failed(Event):
    """
    All recipients that no event was about will not be delivered here; or,
    before L{Ready}, the handshake failed.
    """

    trouble: Trouble


@dataclass(slots=True)
class Over(Event):
    """
    The transaction, if there is one, has ended; always the last event.

    @ivar reusable: another one may follow. If not: hang up.
    """

    reusable: bool


class Broken(Exception):
    """
    The connection is of no more use.

    @ivar polite: QUIT can still be said.
    """

    def __init__(self, trouble: Trouble, polite: bool = False) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble
        self.polite = polite
