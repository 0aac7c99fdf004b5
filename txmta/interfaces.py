"""
Where the packages of txmta meet, and where it can be extended.

A method that may answer at once or later says C{X | Deferred[X]}: the answer
known at once is returned as it is, because a Deferred costs 2 us and most
answers are known. Test with C{isinstance(answer, Deferred)}.

All methods are called in the reactor thread unless said otherwise.
"""

# Over budget: one page holds all contracts between the packages.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.mail.smtp import IMessage, IMessageDelivery
from zope.interface import Attribute, Interface

from txmta.events import Event
from txmta.model import (
    Answer,
    Attempt,
    ClientName,
    DeliveryRequest,
    Envelope,
    Outcome,
    QueuedMessage,
    QueueName,
    Reply,
    Route,
    Submission,
    Transcript,
)
from txmta.tables import ITable as ITable
from txmta.tables import ITableType as ITableType


class IEventSink(Interface):
    """
    Takes what happens, for the mail log, metrics and traces.
    """

    def emit(event: Event) -> None:
        """
        Never raises, never blocks, costs about 2 us. Any thread may call.
        """


class IMatchList(Interface):
    """
    A list such as mydestination: names, addresses, networks,
    C{/file}, C{type:table}, C{!} negation; first match wins.
    """

    def match(item: str) -> bool | Deferred[bool]:
        """
        @param item: a domain, or an IP address without brackets.
        @raise TableUnavailable: or the Deferred fails with it.
        """


class IClientList(Interface):
    """
    A list of clients such as mynetworks, written as an L{IMatchList}.
    """

    def match_client(name: str, address: str) -> bool | Deferred[bool]:
        """
        Whether a client is in the list, by its name or its address.

        @param name: verified forward and back; C{"unknown"} matches nothing.
        @raise TableUnavailable: or the Deferred fails with it.
        """


class IAddressResolver(Interface):
    """
    Gives the class, transport and next hop of an address (trivial-rewrite).
    """

    def rewrite(address: str, local: bool) -> str:
        """
        Bring an address to standard form: source routes and their like are
        resolved, and an address without domain is completed with myorigin
        if C{local}.
        """

    def resolve(address: str, sender: str = "") -> Route | Deferred[Route]:
        """
        @param address: in standard form; never empty.
        @param sender: in internal form; C{""} is the null sender. Where mail
            goes may depend on it, what class it is does not.
        @raise TableUnavailable: or the Deferred fails with it.
        """

    def validate(
        address: str, route: Route, as_sender: bool = False
    ) -> bool | Deferred[bool]:
        """
        Whether the address is listed in the recipient tables of its class
        (local_recipient_maps, virtual_mailbox_maps ...), or is one that is
        rewritten (virtual_alias_maps, canonical_maps ...). A class whose
        tables are not set lists every address.

        @param as_sender: it is a sender: sender_canonical_maps counts too.
        @raise TableUnavailable: or the Deferred fails with it.
        """


class IResolver(Interface):
    """
    DNS, as much as mail needs.
    """

    def lookup(name: str, kind: str) -> Answer | Deferred[Answer]:
        """
        @param name: without trailing dot; A-labels.
        @param kind: C{"A"}, C{"AAAA"}, C{"MX"}, C{"PTR"}, C{"TXT"},
            C{"CNAME"}, C{"NS"}, C{"TLSA"}; CNAMEs are followed.
        @return: raises or fails with
            L{ResolverUnavailable<txmta.errors.ResolverUnavailable>}.
        """


class IClientNames(Interface):
    """
    Names the client of an SMTP session.
    """

    def name(address: str) -> ClientName | Deferred[ClientName]:
        """
        @return: from /etc/hosts first; never fails, and fires within its own
            deadline.
        """


class IPolicyServers(Interface):
    """
    Asks other programs what they think of a request (SMTPD_POLICY_README).
    """

    def ask(server: Any, request: bytes) -> Deferred[str | None]:
        """
        @param server: a L{txmta.smtp.access.policy_request.PolicyServer}.
        @return: fires with the action; with L{None} when all attempts have
            failed, which is in the log. Never fails, but when it is cancelled.
        """


class ICleanupMessage(Interface):
    """
    One message on its way into the queue.
    """

    def write(block: bytes) -> None:
        """
        @param block: content in wire form (CRLF), not dot-stuffed, cut
            anywhere. Never raises: trouble is told by C{finish}.
        """

    def finish() -> Reply | Deferred[Reply]:
        """
        The content is complete: commit it.

        @return: C{250 2.0.0 Ok: queued as ID}, only after the store has
            committed; or why not: 4xx for our own faults, 5xx for content
            that we refuse. Never fails.
        """

    def amend(envelope: Envelope) -> None:
        """
        What is to be done with the message has changed at the last moment:
        before C{finish}.
        """

    def abort() -> None:
        """
        The client went away, or the content is refused: forget it all.
        """


class ICleanup(Interface):
    """
    Takes envelopes and content, gives a message in the queue.
    """

    def open(
        envelope: Envelope, submission: Submission | None = None
    ) -> ICleanupMessage:
        """
        @param envelope: complete; its queue id came from the store.
        @param submission: who handed it in, if it did not come by SMTP.
        """


class IContent(Interface):
    """
    The content of one queued message.
    """

    size: int = Attribute("Octets.")

    def read(offset: int, length: int) -> bytes | Deferred[bytes]:
        """
        @return: C{length} octets, fewer only at the end; fails with
            L{StoreUnavailable<txmta.errors.StoreUnavailable>}.
        """

    def close() -> None:
        """
        Give back what reading holds (a file descriptor). May be called twice.
        """


class IIncoming(Interface):
    """
    Content being stored.
    """

    def write(block: bytes) -> None:
        """
        Add octets. Never raises: trouble is told by C{commit}.
        """

    def commit(envelope: Envelope | None = None) -> Deferred[str]:
        """
        @param envelope: as cleanup leaves it, when it changed since C{open}.
        @return: fires with the queue id, after the message is on disk; fails
            with L{StoreUnavailable<txmta.errors.StoreUnavailable>}.
        """

    def abort() -> None:
        """
        Forget it. Harmless after C{commit} has fired.
        """


class IQueueEntrance(Interface):
    """
    What the queue is to whoever takes mail. Every method that gives a
    Deferred may fail with
    L{StoreUnavailable<txmta.errors.StoreUnavailable>}, and with nothing else.
    """

    def new_id() -> str:
        """
        @return: a queue id that no other process or later start will make.
        """

    def open(envelope: Envelope) -> IIncoming:
        """
        Start a new message; nothing is visible before C{commit} fires.
        """

    def refusal() -> Reply | None:
        """
        Why a new message would not be taken now (disk full, files in
        doubt), for MAIL FROM; L{None} if it would.
        """

    def free_space() -> int | None:
        """
        @return: octets that new mail may fill, as of a second ago or later;
            L{None} if nobody knows.
        """

    def listen(doorbell: Callable[[Sequence[str]], None]) -> None:
        """
        @param doorbell: called after commits with the new queue ids; a hint.
        """


class IQueueStore(IQueueEntrance):
    """
    The queue, as the queue manager has it. What it promises about failures
    holds for all of it.
    """

    def claim(
        limit: int, now: float
    ) -> Sequence[QueuedMessage] | Deferred[Sequence[QueuedMessage]]:
        """
        Give up to C{limit} messages to this queue manager: new ones in order
        of arrival, and deferred ones that are due, oldest C{due} first; half
        of each when there are more of both than fit. Claimed messages are
        not given again until C{record}, C{release} or a new process.

        @param now: wall time.
        """

    def content(queue_id: str) -> IContent | Deferred[IContent]:
        """
        @return: fails with L{MessageDamaged<txmta.errors.MessageDamaged>} if
            the checksum is wrong or the content is not there.
        """

    def record(attempt: Attempt) -> Deferred[bool]:
        """
        Write down an attempt: all of it in one transaction.

        @return: fires with C{True} if no recipient was left and the message
            is removed. The message stays claimed if some of its claimed
            recipients have no result yet; else the claim ends.
        """

    def renew() -> Deferred[None]:
        """
        Keep the claims alive; nothing to do for a store on one machine.
        """

    def lost() -> Sequence[str]:
        """
        Queue ids whose claim was lost; empty for a store on one machine.
        """

    def damaged(queue_id: str) -> Deferred[bool]:
        """
        Move a message to C{corrupt}, and end the claim, if it is not what was
        accepted: agents say that it is not, and they may be wrong, or lie.

        @return: it is there now; if not, the claim goes on. Nothing that was
            kept in memory counts.
        """

    def hold(queue_ids: Iterable[str]) -> Deferred[int]:
        """
        Put messages on hold. Messages in hand finish their attempt first.

        @return: how many there were.
        """

    def release(queue_ids: Iterable[str]) -> Deferred[int]:
        """
        From C{hold} back to deferred, due now, whatever the wall clock does.
        """

    def requeue(queue_ids: Iterable[str] | None) -> Deferred[int]:
        """
        Make deferred messages due now, whatever the wall clock does
        (C{postqueue -f}); L{None}: all.
        """

    def expire(queue_ids: Iterable[str]) -> Deferred[int]:
        """
        Make messages expire: the next attempt is their last.
        """

    def delete(queue_ids: Iterable[str]) -> Deferred[int]:
        """
        Remove messages without notice to anybody.
        """

    def find(
        queue: QueueName | None = None, after: str = "", limit: int = 100
    ) -> Deferred[Sequence[QueuedMessage]]:
        """
        One page of messages, in order of queue id.

        @param after: the last queue id of the page before.
        """

    def counts() -> Deferred[dict[QueueName, int]]:
        """
        Messages in each queue.
        """


class IPostmaster(Interface):
    """
    Tells the postmaster of trouble in sessions (notify_classes).
    """

    classes: frozenset[str] = Attribute(
        "Of trouble in sessions that he wants to hear of: C{'policy'}, "
        "C{'protocol'}, C{'resource'}, C{'software'}, C{'bounce'}, C{'data'}."
    )
    sender: str = Attribute("Envelope sender of such mail.")

    def transcript(transcript: Transcript) -> None:
        """
        Mail a transcript. Never raises; what cannot be mailed is in the log.
        """


class IDeliveryAgent(Interface):
    """
    One way to bring a message to its next hop: local, smtp, error.

    Providers keep nothing that must outlive a request: that belongs to the
    queue manager.
    """

    name: str = Attribute("The program in log lines: C{'smtp'}, C{'local'}.")

    def deliver(
        request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> Deferred[None] | None:
        """
        Try every recipient once, and no recipient twice.

        @param report: called once per recipient, as soon as its outcome is
            final, so that a crash repeats as little as possible. A refusal
            by the next hop is an outcome, not a failure.

        @return: L{None} when done at once, or fires when nothing more will
            be reported. A failure means that the agent itself is broken: the
            queue manager defers the recipients without an outcome with 4.3.0
            and rests the transport (transport_retry_time).
        """


class IWorkElsewhere(Interface):
    """
    What delivery agents in other processes have in hand for a queue manager
    that is gone. Nobody else delivers it before they have told the outcome.
    """

    def ready() -> Deferred[None] | None:
        """
        @return: L{None} when all agents have said what they have, or fires
            when they have, or had time to. Nothing is dispatched before.
        """

    def claim(
        queue_id: str,
        n: int,
        transport: str,
        take: Callable[[Outcome | None], None],
    ) -> bool:
        """
        @param n: a recipient's number.
        @param transport: where it is to go now.
        @param take: if somebody has it: told once, now or later, the outcome,
            or L{None} when nobody has it any more.
        @return: whether somebody has it.
        """

    def busy(transport: str) -> int:
        """
        @return: how many deliveries they have in hand.
        """

    def when_less(call: Callable[[str], None]) -> None:
        """
        @param call: told the transport when they have one less.
        """


class IDeliveryAgentType(Interface):
    """
    A program that master.cf can name; add one as a Twisted plug-in in
    C{twisted/plugins}.
    """

    program: str = Attribute("The last column of master.cf, e.g. C{'smtp'}.")

    def make(context: object) -> IDeliveryAgent:
        """
        @param context: a L{txmta.delivery.context.AgentContext}.
        """


class IPluginAgentType(IDeliveryAgentType):
    """
    An agent that master.cf names with C{plugin agent=}, and not as a program.
    C{make} gets C{context.attributes}.
    """

    attributes: Sequence[Any] = Attribute(
        "What it takes; L{txmta.delivery.plugin_attributes.AgentAttribute}."
    )


class ITxmtaMessage(IMessage):
    """
    What C{validateTo} of our own deliveries gives: content comes in blocks,
    one object serves all recipients, and the reply is of its own choosing.
    """

    def chunkReceived(block: bytes) -> None:
        """
        @param block: as L{ICleanupMessage.write}.
        """

    def eomReceived() -> Reply | Deferred[Reply]:
        """
        @return: as L{ICleanupMessage.finish}.
        """


class ITxmtaDelivery(IMessageDelivery):
    """
    A delivery whose answers are replies, for one transaction.

    C{validateFrom} and C{validateTo} get a L{txmta.smtp.requests.Sender} and a
    L{txmta.smtp.requests.Rcpt}, which stand in for twisted.mail's C{Address}
    and C{User} and carry client and ESMTP parameters. Plain
    L{IMessageDelivery} providers get the same and may ignore it.

    Both may also answer with a L{Reply}, at once or as a Deferred, which
    refuses; exceptions of twisted.mail are honoured as well. C{validateTo}
    gives one callable for all recipients of the transaction; it is called
    once, at DATA, and gives an L{ITxmtaMessage}.
    """

    queue_id: str = Attribute("Of this transaction, or C{''} before one is made.")

    def verify(recipient: object) -> Reply | Deferred[Reply]:
        """
        Answer VRFY; never changes the transaction.
        """
