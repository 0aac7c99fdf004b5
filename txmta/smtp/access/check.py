"""
One question to the restrictions, and what can be the answer.

Owns: these values.
Knows nothing of: which restrictions there are.

Sources: Postfix C{smtpd/smtpd_check.c} (SMTPD_CHECK_OK, _DUNNO, _REJECT).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from twisted.internet.defer import Deferred

from txmta.interfaces import (
    IAddressResolver,
    IClientList,
    IPolicyServers,
    IResolver,
)
from txmta.model import Reply, Route
from txmta.smtp.session import Session

#: What replies call the parts of a session.
CLIENT = "Client host"
HELO = "Helo command"
SENDER = "Sender address"
RECIPIENT = "Recipient address"


class Verdict(Enum):
    """
    What a restriction says, if it does not refuse with a L{Reply}.
    """

    NEXT = "no opinion"
    PERMIT = "permitted by this list"


@dataclass(frozen=True, slots=True)
class Trouble(Reply):
    """
    A refusal for our own fault: no warn_if_reject makes a warning of it.
    """


@dataclass(frozen=True)
class Codes:
    """
    The reply codes that main.cf chooses.
    """

    reject: int = 554
    defer: int = 450
    relay: int = 554
    local: int = 550
    relay_recipient: int = 550
    virtual_mailbox: int = 550
    virtual_alias: int = 550
    show_table: bool = True


class RateCounts(Protocol):
    """
    Counts over all processes, which a restart does not forget.
    """

    def count(self, key: str, period: float, more: int) -> int:
        """
        @param key: rule and value.
        @param period: seconds of a window, which begins with the first event.
        @return: how many there are in it now.
        """

    def tell(self, text: str) -> None:
        """
        Let the postmaster know.
        """


@dataclass(frozen=True)
class World:
    """
    What restrictions may look at besides the question.

    @ivar mynetworks: clients that may relay.
    @ivar own: IP addresses that are ours.
    @ivar later: fires after so many seconds.
    @ivar policy_servers: L{None}: none can be asked.
    @ivar rates: for check_rate_limit; L{None}: nothing is counted.
    @ivar resolver: L{None}: the DNS cannot be asked.
    @ivar families: types of records with addresses, as inet_protocols says.
    @ivar logged: names of what permits and is logged, in lower case.
    """

    addresses: IAddressResolver
    mynetworks: IClientList
    own: Container[str]
    codes: Codes = Codes()
    later: Callable[[float], Deferred[None]] | None = None
    policy_servers: IPolicyServers | None = None
    rates: RateCounts | None = None
    resolver: IResolver | None = None
    families: Sequence[str] = ("A", "AAAA")
    logged: Sequence[str] = ()


@dataclass(slots=True)
class Actions:
    """
    What access tables want done with a message.

    @ivar filter: C{transport:destination}, or C{""}.
    @ivar redirect: an address that gets it instead of its recipients.
    @ivar bcc: addresses that get it, too.
    @ivar prepend: headers.
    """

    hold: bool = False
    discard: bool = False
    filter: str = ""
    redirect: str = ""
    bcc: list[str] = field(default_factory=list)
    prepend: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        words = self.filter or self.redirect or self.bcc or self.prepend
        return bool(self.hold or self.discard or words)


class Tracer(Protocol):
    """
    Watches restrictions being asked.
    """

    def enter(self, name: str) -> None:
        """
        @param name: of a list or class, or the value of a table that is a list.
        """

    def tried(self, name: str, argument: str, answer: Answer) -> None:
        """
        A restriction has answered.
        """

    def asked(self, table: str, key: str, value: str | None) -> None:
        """
        An access table has answered.
        """


@dataclass(slots=True)
class Check:
    """
    May this client do this?

    @ivar recipient: in internal form, as the client wrote it: replies show it.
    @ivar address: the same in standard form; C{""} where there is none.
    @ivar sender: in standard form, C{""} for the null sender; where mail goes
        may depend on it.
    @ivar said: the sender as the client wrote it; L{None} before MAIL.
    @ivar stage: C{"CONNECT"}, C{"HELO"}, C{"EHLO"}, C{"MAIL"}, C{"RCPT"},
        C{"DATA"}, C{"BDAT"}, C{"END-OF-MESSAGE"}, C{"ETRN"} or C{"VRFY"}.
    @ivar recipients: that were accepted so far.
    @ivar etrn: the argument of ETRN, or C{""}.
    @ivar queue_id: of the transaction, or C{""}.
    @ivar instance: tells transactions apart that have no queue id yet; C{""}
        before RCPT.
    @ivar size: octets of the message; before its end, as MAIL said.
    @ivar subject: what the list under way is about, as replies name it; C{about}
        what that is, C{default} what is asked of a table that stands alone.
    @ivar warn: a refusal now would only be a warning.
    @ivar route: where it goes, once somebody asked.
    @ivar origin: the same of the sender.
    @ivar listed: the recipient tables were asked, and know it.
    @ivar listed_sender: the same of the sender.
    @ivar notes: for the log: what, and the words.
    @ivar if_permit: what defer_if_permit will say instead of yes.
    @ivar if_reject: what defer_if_reject will say instead of 5xx.
    """

    world: World
    session: Session
    recipient: str
    address: str
    sender: str = ""
    said: str | None = None
    stage: str = "RCPT"
    recipients: int = 0
    etrn: str = ""
    queue_id: str = ""
    instance: str = ""
    size: int = 0
    actions: Actions = field(default_factory=Actions)
    subject: str = RECIPIENT
    about: str = ""
    default: str = "check_recipient_access"
    warn: bool = False
    route: Route | None = None
    origin: Route | None = None
    listed: bool = False
    listed_sender: bool = False
    notes: list[tuple[str, str]] = field(default_factory=list)
    if_permit: Reply | None = None
    if_reject: Reply | None = None
    tracer: Tracer | None = None

    def reply(self, code: int, status: str, text: str) -> Reply:
        """
        A refusal of the recipient.

        @param status: its class follows the code.
        """
        return Reply(code, f"{code // 100}{status[1:]}", f"<{self.recipient}>: {text}")

    def refuse(
        self, code: int, status: str, text: str, about: str = "", subject: str = ""
    ) -> Reply:
        """
        A refusal of what the list is about, or of something else.

        @param status: its class follows the code.
        """
        if not subject:
            about, subject = self.about, self.subject
        status = f"{code // 100}{status[1:]}"
        return Reply(code, status, f"<{about}>: {subject} rejected: {text}")

    def unavailable(self, about: str | None = None) -> Trouble:
        """
        A table cannot be asked.
        """
        about = self.about if about is None else about
        return Trouble(451, "4.3.0", f"<{about}>: Temporary lookup failure")

    def note(self, verb: str, text: str) -> None:
        """
        @param verb: as the log has it; C{"warning"} is one that is not about
            the client.
        """
        self.notes.append((verb, text))

    def resolve(self) -> Route | Deferred[Route]:
        """
        @return: L{route}, asked for at most once.
        """
        if self.route is not None:
            return self.route
        route = self.world.addresses.resolve(self.address, self.sender)
        # isinstance() is slow to deny.
        if type(route) is not Route and isinstance(route, Deferred):
            return route.addCallback(self._resolved)
        self.route = route
        return route

    def _resolved(self, route: Route) -> Route:
        self.route = route
        return route

    def resolve_sender(self) -> Route | Deferred[Route]:
        """
        @return: L{origin}, asked for at most once.
        """
        if self.origin is not None:
            return self.origin
        route = self.world.addresses.resolve(self.sender, self.sender)
        if type(route) is not Route and isinstance(route, Deferred):
            return route.addCallback(self._sender_resolved)
        self.origin = route
        return route

    def _sender_resolved(self, route: Route) -> Route:
        self.origin = route
        return route


@dataclass(frozen=True, slots=True)
class Step:
    """
    One restriction of a list.

    @ivar name: as main.cf has it, in lower case.
    @ivar warn: warn_if_reject stands before it.
    """

    name: str
    argument: str
    ask: Restriction
    warn: bool = False


@dataclass(frozen=True, slots=True)
class Into:
    """
    Ask a list within the list.

    @ivar name: of the list, for tracers.
    @ivar about: what the list is about, with C{subject}; C{""}: as before.
    @ivar instead: what is said where it permits; L{None}: that.
    """

    name: str
    steps: tuple[Step, ...]
    about: str = ""
    subject: str = ""
    instead: Callable[[Check], Answer] | None = None


Answer = Verdict | Reply | Into
Restriction = Callable[[Check], Answer | Deferred[Answer]]
