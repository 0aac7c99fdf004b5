"""
The values that flow from an accepted connection to a delivered message.

Owns: what each field means, and its unit.
Knows nothing of: where values come from or go to; no I/O, no Twisted.

All values are immutable: a daemon that learns something makes a new one.

Addresses are C{str} in Postfix's I{internal} form: local part without quotes,
C{@}, domain, both as the client wrote them (case kept); C{""} is the null
sender. Octets that are not UTF-8 appear as surrogate escapes. The external
(quoted) form is made where an address leaves: L{txmta.address.quote}.

Times are float seconds: I{wall} since 1970, or I{monotonic} from
C{IReactorTime.seconds()}. Sizes are int octets.

Sources: RFC 5321, RFC 3461 (DSN parameters), RFC 3464 (actions); Postfix
C{global/recipient_list.h}, C{global/deliver_request.h}, C{global/dsn.h}.
"""

# Over budget: one page holds all values that cross packages.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from txmta.interfaces import IContent


class ClientName(NamedTuple):
    """
    How a client is called.

    @ivar name: verified forward and back, or C{"unknown"}; the others are as in
        L{Client}.
    """

    name: str = "unknown"
    reverse_name: str = "unknown"
    name_status: int = 0
    reverse_status: int = 0


@dataclass(frozen=True, slots=True)
class Client:
    """
    The peer of one SMTP session.

    @ivar address: IPv4 or IPv6 address, without the C{IPv6:} prefix.
    @ivar port: its TCP port.
    @ivar name: host name verified forward and back, or C{"unknown"}.
    @ivar reverse_name: what PTR says, unverified, or C{"unknown"}.
    @ivar label: C{name[address]}, as log lines show a client.
    @ivar name_status: 2 there is a name, 5 there is none, 4 nobody could say,
        6 the name that PTR says does not lead back to the address; 0 is 2 or 5.
    @ivar reverse_status: 2, 4 or 5, the same of C{reverse_name}.
    """

    address: str
    port: int
    name: str = "unknown"
    reverse_name: str = "unknown"
    label: str = ""
    name_status: int = 0
    reverse_status: int = 0

    def __post_init__(self) -> None:
        if not self.name_status:
            known = self.name != "unknown"
            object.__setattr__(self, "name_status", 2 if known else 5)
        if not self.reverse_status:
            known = self.reverse_name != "unknown"
            object.__setattr__(self, "reverse_status", 2 if known else 5)
        if not self.label:
            object.__setattr__(self, "label", f"{self.name}[{self.address}]")


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """
    What a handshake gave.

    @ivar protocol: C{"TLSv1.3"}.
    @ivar cipher: its name, as OpenSSL has it.
    @ivar bits: of the cipher that are secret, and C{all_bits}.
    @ivar subject: common name in the peer's certificate, or C{""}; C{issuer} of
        who issued that.
    @ivar fingerprint: of the peer's certificate in
        smtpd_tls_fingerprint_digest, C{"AB:CD..."}, or C{""};
        C{key_fingerprint} of its public key.
    @ivar trusted: its certificate was verified.
    @ivar sni: the server name that was asked for, or C{""}.
    @ivar resumed: there was such a session before.
    @ivar details: of TLS 1.3, for log and headers: C{"key-exchange X25519 ..."}.
    @ivar asked: the peer was asked for a certificate.
    """

    protocol: str
    cipher: str
    bits: int
    all_bits: int
    subject: str = ""
    issuer: str = ""
    fingerprint: str = ""
    key_fingerprint: str = ""
    trusted: bool = False
    sni: str = ""
    resumed: bool = False
    details: str = ""
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """
    Who logged in (RFC 4954).

    @ivar username: sasl_username.
    @ivar method: C{"PLAIN"}.
    @ivar sender: the AUTH parameter of MAIL, in xtext, as it came; or C{""}.
    """

    username: str
    method: str
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What an SMTP server says to one command.

    @ivar code: 200 to 599.
    @ivar status: RFC 3463 code such as C{"2.1.0"}, or C{""} for none.
    @ivar text: the words; C{"\\n"} separates lines of a multi-line reply.
    @ivar close: hang up after it.
    """

    code: int
    status: str
    text: str
    close: bool = False

    def encode(self) -> bytes:
        """
        @return: the reply as sent, CRLF included; the enhanced code is on
            every line (RFC 2034 section 4).
        """
        prefix = f"{self.status} " if self.status else ""
        if "\n" not in self.text:
            line = f"{self.code} {prefix}{self.text}\r\n"
            return line.encode("utf-8", "surrogateescape")
        lines = self.text.split("\n")
        out = [f"{self.code}-{prefix}{line}\r\n" for line in lines[:-1]]
        out.append(f"{self.code} {prefix}{lines[-1]}\r\n")
        return "".join(out).encode("utf-8", "surrogateescape")


class Notify(IntFlag):
    """
    When the sender wants to hear of a recipient (RFC 3461 section 4.1);
    0 is "as usual": failures and long delays.

    EXPANDED: of a virtual alias, beside the recipients that it stands for: the
    sender is told so, and nobody gets anything. It is never together with
    another but SUCCESS.
    """

    DEFAULT = 0
    NEVER = 1
    SUCCESS = 2
    FAILURE = 4
    DELAY = 8
    EXPANDED = 16


class Trace(IntFlag):
    """
    What the sender is told of each attempt, in a report of its own.

    VERIFY: what would become of it; nobody gets the message (sendmail -bv).
    RECORD: what became of it, success or not (sendmail -v).
    """

    NOTHING = 0
    VERIFY = 1
    RECORD = 2


@dataclass(frozen=True, slots=True)
class Recipient:
    """
    One recipient of a queued message.

    @ivar n: its stable number within the message, from 0.
    @ivar address: where the mail is to go, after rewriting.
    @ivar original: what RCPT said, before completion and aliases; all that a
        bounce may reveal, and C{orig_to=} in the log when different.
    @ivar orcpt: the ORCPT parameter, decoded, C{"rfc822;user@host"}; or
        C{""}.
    @ivar notify: when the sender wants to hear of it.
    """

    n: int
    address: str
    original: str
    orcpt: str = ""
    notify: int = 0


@dataclass(frozen=True, slots=True)
class Envelope:
    """
    Everything about a message that is not its content.

    @ivar queue_id: made before the commit, unique over processes.
    @ivar arrival: wall time when the first recipient was accepted.
    @ivar sender: envelope sender; C{""} is the null sender.
    @ivar recipients: in the order of their numbers.
    @ivar client: the peer, or L{LOCAL_CLIENT} for mail made here.
    @ivar helo: what it called itself in HELO or EHLO, or C{""}.
    @ivar protocol: C{"SMTP"} or C{"ESMTP"} (with C{"S"}, C{"A"} later), or
        C{""} for mail made here.
    @ivar body: the BODY parameter, C{"7BIT"}, C{"8BITMIME"} or C{""}.
    @ivar smtputf8: the client said SMTPUTF8.
    @ivar ret: the RET parameter, C{"FULL"}, C{"HDRS"} or C{""}.
    @ivar envid: the ENVID parameter, decoded, or C{""}.
    @ivar local_origin: addresses in headers are completed with myorigin and
        missing headers are added, as Postfix does for trusted clients
        (local_header_rewrite_clients) and for mail made here.
    @ivar trace: a L{Trace}.
    @ivar forwarded: what XFORWARD said of its client, by attribute in upper case;
        C{""} is what nobody knows. For the log, and for other servers.
    @ivar hold: it is to be put on hold when it is taken; of one that is in the
        queue this says nothing.
    @ivar filter: C{transport:destination} for all its recipients (FILTER in access
        tables), or C{""}.
    @ivar prepend: headers to stand before all others when it is taken.
    @ivar tls: of the session that it came in, when it is taken; of one that is in
        the queue it is L{None}.
    @ivar login: who had logged in to send it, or L{None}.
    """

    queue_id: str
    arrival: float
    sender: str
    recipients: tuple[Recipient, ...]
    client: Client
    helo: str = ""
    protocol: str = ""
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    local_origin: bool = False
    trace: int = 0
    forwarded: tuple[tuple[str, str], ...] = ()
    login: Login | None = None
    hold: bool = False
    filter: str = ""
    prepend: tuple[str, ...] = ()
    tls: TLSInfo | None = None

    @property
    def is_probe(self) -> bool:
        """
        It is only asked about: no agent may give it to anybody.
        """
        return bool(self.trace & Trace.VERIFY)


@dataclass(frozen=True, slots=True)
class Submission:
    """
    Who handed in a message with the sendmail command.

    @ivar uid: of the user.
    @ivar full_name: for the C{From:} header, if the message has none; or C{""}.
    """

    uid: int
    full_name: str = ""


#: The "client" of bounces and forwards, as Postfix logs it.
LOCAL_CLIENT = Client("127.0.0.1", 0, "localhost", "localhost", "localhost[127.0.0.1]")


class QueueName(Enum):
    """
    Where a message is; the numbers are those of the store.
    """

    INCOMING = 0
    ACTIVE = 1
    DEFERRED = 2
    HOLD = 3
    CORRUPT = 4


class RecipientState(Enum):
    """
    What is left to do for one recipient; the numbers are those of the store.
    """

    TO_DO = 0
    DEFERRED = 1
    DONE = 2
    BOUNCED = 3


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """
    A message as the queue manager reads it back.

    @ivar envelope: C{envelope.recipients} holds only those still to do.
    @ivar size: octets of content.
    @ivar queue: where it was found.
    @ivar due: wall time of the next attempt.
    @ivar reasons: for each recipient number that was deferred before, the
        last reason, C{"4.4.1 connect to ..."}.
    @ivar expire: the administrator wants this attempt to be the last one.
    @ivar warned: the sender has been told of the delay.
    """

    envelope: Envelope
    size: int
    queue: QueueName
    due: float = 0.0
    reasons: tuple[tuple[int, str], ...] = ()
    expire: bool = False
    warned: bool = False


class AddressClass(Enum):
    """
    Postfix's address classes (ADDRESS_CLASS_README).
    """

    LOCAL = "local"
    VIRTUAL_ALIAS = "virtual_alias"
    VIRTUAL_MAILBOX = "virtual_mailbox"
    RELAY = "relay"
    DEFAULT = "default"

    # Each is its own object: no call is needed to find one in a table.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Route:
    """
    Where one recipient goes.

    @ivar address_class: the class of its domain.
    @ivar transport: service name in master.cf, for example C{"smtp"}.
    @ivar nexthop: domain, C{[host]}, C{host:port}; for C{error} the text.
    @ivar recipient: the address to deliver to, perhaps rewritten.
    @ivar routed: a routing operator (C{@}, C{%}, C{!}) is left in the local
        part (C{user%elsewhere@relay.domain}): where it ends is not for us to
        vouch for, whatever the class, without allow_untrusted_routing.
    """

    address_class: AddressClass
    transport: str
    nexthop: str
    recipient: str
    routed: bool = False


class Action(Enum):
    """
    What became of one recipient (RFC 3464 section 2.3.3).

    The log's C{status=} words differ: sent, deferred, bounced.
    """

    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    DELAYED = "delayed"
    FAILED = "failed"
    #: Of a probe (L{Trace.VERIFY}); only the queue manager says so.
    DELIVERABLE = "deliverable"
    UNDELIVERABLE = "undeliverable"

    # As L{AddressClass}.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Forward:
    """
    A new message that replaces one recipient: same content, new envelope.

    Made by C{local} for aliases and .forward files that lead elsewhere; the
    queue manager inserts it in the transaction that ends the old recipient.

    @ivar sender: envelope sender of the new message.
    @ivar recipients: addresses, never empty.
    @ivar head: header lines put before the content (C{Delivered-To:}), in
        wire form.
    @ivar notify: NOTIFY of the new recipients (RFC 3461 section 5.2.7).
    @ivar orcpt: their ORCPT, as in L{Recipient}.
    @ivar original: what they are expanded from, as L{Recipient.original}; or
        C{""}, then each stands for itself.
    @ivar keep_envid: ENVID and RET of the old message are the new one's too.
    """

    sender: str
    recipients: tuple[str, ...]
    head: bytes
    notify: int = 0
    orcpt: str = ""
    original: str = ""
    keep_envid: bool = False


@dataclass(frozen=True, slots=True)
class Branch:
    """
    One of the places that the recipient of a probe leads to (aliases).

    @ivar address: for which it is.
    @ivar original: the report may say whose recipient it comes from.
    @ivar status: RFC 3463 code.
    @ivar reason: as in L{Outcome}.
    """

    address: str
    original: bool
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    The end of one delivery attempt for one recipient.

    @ivar n: the recipient's number.
    @ivar action: DELAYED means "try again later".
    @ivar status: RFC 3463 code; its class digit agrees with C{action}.
    @ivar reason: one line for log and bounce, what stands in parentheses
        after C{status=sent}; never empty, never with line ends.
    @ivar relay: C{relay=} of the log: C{host[address]:port}, C{"local"},
        C{"virtual"} or C{"none"}.
    @ivar remote: Remote-MTA of a bounce: host that decided, or C{""}.
    @ivar diagnostic: Diagnostic-Code of a bounce, C{"smtp; 550 5.1.1 no"},
        or C{""} (then C{"x-unix; reason"} is not written either).
    @ivar setup: seconds that connecting took (third of C{delays=}).
    @ivar transmission: seconds from then to the final reply (fourth).
    @ivar conn_use: which delivery over this connection; 0 is not logged, 1
        neither.
    @ivar forward: new messages that replace this recipient, or, when it
        failed or goes another way, come with its end; none are made when it is
        tried again. Their ids go into a C{reason} that ends with "forwarded".
    @ivar bounce_to: who hears of a failure in place of the sender: the owner of
        a list whose command or file it is; or C{""}.
    @ivar dsn_passed: the next hop speaks DSN, and reports success itself
        (RFC 3461 section 5.2.1).
    @ivar reroute: the recipient is to go this way instead (mailbox_transport,
        fallback_transport). It is neither logged nor recorded; all other
        fields but C{n} and C{forward} are ignored.
    @ivar branches: of a probe: they are logged and reported instead of
        C{status} and C{reason}.
    """

    n: int
    action: Action
    status: str
    reason: str
    relay: str = "none"
    remote: str = ""
    diagnostic: str = ""
    setup: float = 0.0
    transmission: float = 0.0
    conn_use: int = 0
    forward: tuple[Forward, ...] = ()
    dsn_passed: bool = False
    reroute: Route | None = None
    bounce_to: str = ""
    branches: tuple[Branch, ...] = ()


def _nothing() -> None:
    """
    Nobody wants to know.
    """


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """
    What the queue manager hands to a delivery agent.

    @ivar transport: service name, for example C{"smtp"}.
    @ivar nexthop: as in L{Route}.
    @ivar envelope: of the message; its recipients are all that are still to
        do; only those of this request if the agent is in another process.
    @ivar recipients: those of this request; all share C{nexthop}; never
        empty.
    @ivar size: octets of content.
    @ivar open_content: gives the content; fails with
        L{StoreUnavailable<txmta.errors.StoreUnavailable>} or
        L{MessageDamaged<txmta.errors.MessageDamaged>}, which the agent
        passes on as its own failure.
    @ivar before_queue_manager: seconds (first of C{delays=}).
    @ivar in_queue_manager: seconds (second of C{delays=}).
    @ivar joins: an agent calls it, once, when nothing is left of this
        delivery but to wait until it is written together with others: it no
        longer counts for <transport>_destination_concurrency_limit.
    """

    transport: str
    nexthop: str
    envelope: Envelope
    recipients: tuple[Recipient, ...]
    size: int
    open_content: Callable[[], IContent | Deferred[IContent]]
    before_queue_manager: float = 0.0
    in_queue_manager: float = 0.0
    joins: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class NewMessage:
    """
    A message that the queue manager itself inserts: a bounce or a forward.

    @ivar envelope: complete, with a queue id of its own.
    @ivar content: octets in wire form; for a forward only what comes before
        the shared content.
    @ivar shares: queue id of the message whose content follows, or C{""}.
    """

    envelope: Envelope
    content: bytes
    shares: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """
    What the store writes down about one recipient.

    @ivar n: the recipient's number.
    @ivar state: DEFERRED stays in the queue; DONE and BOUNCED do not.
    @ivar reason: last reason of a deferral, with its status code in front.
    @ivar warned: with a reason: the sender has been told of the delay. Once
        that is written down for some recipient of a message, the message is
        C{warned} when it is read back.
    """

    n: int
    state: RecipientState
    reason: str = ""
    warned: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    All that one delivery attempt of one message changes, in one transaction.

    @ivar queue_id: the message.
    @ivar results: of the recipients tried.
    @ivar due: wall time of the next attempt, L{None} to leave it; ignored
        when no recipient is left, for then the message is removed.
    @ivar inserts: bounces and forwards, committed together with C{results}.
    """

    queue_id: str
    results: tuple[Result, ...]
    due: float | None = None
    inserts: tuple[NewMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """
    What was said in an SMTP session in which something went wrong.

    @ivar role: C{"server"} or C{"client"}: which end of it we are.
    @ivar peer: C{name[address]}, for a client C{name[address]:port}.
    @ivar classes: of trouble, as in notify_classes; never empty.
    @ivar lines: whether it is ours, and what it says, without line ends.
    @ivar reason: why the session ended before its time, or C{""}.
    """

    role: str
    peer: str
    classes: frozenset[str]
    lines: tuple[tuple[bool, str], ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Mx:
    """
    One mail exchanger: lower preference first (RFC 5321 section 5.1).

    @ivar host: without trailing dot; C{""} is a null MX (RFC 7505).
    """

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What DNS says about one name and type.

    @ivar records: MX: L{Mx}; A and AAAA: addresses; PTR and CNAME: names
        without trailing dot; TXT: text. Empty: there is none.
    @ivar exists: C{False} when the name itself does not exist (NXDOMAIN).
    @ivar authentic: the AD bit, from a server that we trust with it.
    @ivar ttl: seconds for which it may be kept.
    """

    records: tuple[Mx, ...] | tuple[str, ...]
    exists: bool = True
    authentic: bool = False
    ttl: float = 0.0
