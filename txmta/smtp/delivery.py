"""
From an accepted envelope to cleanup: our own C{IMessageDelivery}.

Owns: what MAIL, RCPT and VRFY are asked, the envelope, the queue id, the log of
    refusals.
Knows nothing of: SMTP, sessions, what restrictions say, how content is stored.

Sources: Postfix C{smtpd/smtpd.c} (mail_open_stream, rcpt_cmd),
C{smtpd/smtpd_check.c} (log_whatsup); RFC 5321 section 4.5.1 (postmaster).

Errors: none of its own; L{TableUnavailable<txmta.errors.TableUnavailable>} becomes
451 in L{txmta.smtp.plain}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.mail.smtp import IMessageDeliveryFactory
from zope.interface import implementer

from txmta.events import ClientKnown, Note, Rejected, Warn
from txmta.interfaces import (
    ICleanup,
    ICleanupMessage,
    IEventSink,
    IQueueEntrance,
    ITable,
    ITxmtaDelivery,
    ITxmtaMessage,
)
from txmta.model import Client, Envelope, Recipient, Reply
from txmta.smtp.access.check import Actions, Check, World
from txmta.smtp.access.policy import Policy
from txmta.smtp.instances import make_instance
from txmta.smtp.known import forwarded, known
from txmta.smtp.requests import Rcpt, Sender, Verify
from txmta.smtp.session import Session
from txmta.smtp.space import Space


@dataclass(frozen=True)
class Desk:
    """
    What all deliveries share.

    @ivar now: wall time.
    @ivar origin: local_header_rewrite_clients.
    @ivar origin_tables: the tables among these.
    """

    sink: IEventSink
    cleanup: ICleanup
    store: IQueueEntrance
    world: World
    policy: Policy
    space: Space
    now: Callable[[], float]
    origin: Sequence[str] = ("permit_inet_interfaces",)
    origin_tables: Sequence[ITable] = ()


@implementer(IMessageDeliveryFactory)
class Deliveries:
    """
    Gives a L{Delivery} for each transaction.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def getMessageDelivery(self) -> Delivery:
        return Delivery(self._desk)


@implementer(ITxmtaDelivery)
class Delivery:
    """
    One transaction.

    @ivar queue_id: made at the first accepted recipient.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.queue_id = ""
        self._arrival = 0.0
        self._sender: Sender | None = None
        self._from = ""
        self._local_origin = False
        self._recipients: list[Recipient] = []
        self._actions = Actions()
        self._instance = make_instance(desk.now())

    # MAIL

    def validateFrom(self, helo: object, origin: Sender) -> Any:
        desk = self._desk
        self._sender = origin
        refusal = desk.space.refusal(origin.params.size) or desk.store.refusal()
        if refusal is not None:
            return self._refuse("MAIL", refusal, None)
        if origin.address:
            self._from = desk.world.addresses.rewrite(origin.address, True)
        client = origin.session.client
        source = origin.session.forwarded.get("SOURCE")
        if source:
            self._local_origin = source == "LOCAL"
            return None
        trusted = self._trusts(client)
        if desk.origin_tables and trusted is not True:
            trusted = Deferred.fromCoroutine(self._in_tables(trusted, client))
        if trusted is True or trusted is False:
            self._local_origin = trusted
        else:
            return trusted.addCallback(self._trusted)
        return None

    def _trusts(self, client: Client) -> bool | Deferred[bool]:
        origin, world = self._desk.origin, self._desk.world
        if "permit_inet_interfaces" in origin and client.address in world.own:
            return True
        if "permit_mynetworks" in origin:
            return world.mynetworks.match_client(client.name, client.address)
        return False

    async def _in_tables(self, trusted: bool | Deferred[bool], client: Client) -> bool:
        """
        @param trusted: what is known without tables.
        """
        if isinstance(trusted, Deferred):
            trusted = await trusted
        for table in self._desk.origin_tables:
            if trusted:
                break
            found = table.lookup(client.address)
            if isinstance(found, Deferred):
                found = await found
            trusted = found is not None
        return trusted

    def _trusted(self, trusted: bool) -> None:
        self._local_origin = trusted

    # RCPT and VRFY

    def validateTo(self, user: Rcpt) -> Any:
        check = self._check(user.address, user.orig.session)
        if user.address.lower() == "postmaster":
            return self._accept(user, check)
        answer = self._desk.policy.judge(check)
        if answer is not None and isinstance(answer, Deferred):
            return answer.addCallback(lambda reply: self._judged(user, check, reply))
        return self._judged(user, check, answer)

    def _check(self, recipient: str, session: Session) -> Check:
        # Envelope addresses are completed for everybody, unlike those in
        # headers (Postfix: cleanup, MAIL_ATTR_RWR_LOCAL).
        world = self._desk.world
        address = world.addresses.rewrite(recipient, True)
        sender = self._sender
        return Check(
            world,
            session,
            recipient,
            address,
            self._from,
            sender.address if sender is not None else None,
            recipients=len(self._recipients),
            queue_id=self.queue_id,
            instance=self._instance,
            size=sender.params.size or 0 if sender is not None else 0,
            actions=self._actions,
        )

    def _note(self, check: Check) -> None:
        """
        Log what restrictions had to say.
        """
        emit = self._desk.sink.emit
        for verb, text in check.notes:
            if verb == "warning":
                emit(Warn("smtpd", text))
            elif verb == "info:":
                emit(Note("smtpd", text))
            else:
                session = check.session
                emit(
                    Rejected(
                        "smtpd",
                        self.queue_id,
                        check.stage,
                        session.client,
                        text,
                        check.said,
                        check.recipient or None,
                        session.protocol,
                        session.helo,
                        verb,
                    )
                )
        check.notes.clear()

    def _judged(self, user: Rcpt, check: Check, reply: Reply | None) -> Any:
        if check.notes:
            self._note(check)
        if reply is not None:
            return self._refuse("RCPT", reply, user.address)
        return self._accept(user, check)

    def _accept(self, user: Rcpt, check: Check) -> Callable[[], Message]:
        if not self.queue_id:
            self.queue_id = self._desk.store.new_id()
            self._arrival = self._desk.now()
            self._desk.sink.emit(
                ClientKnown(
                    "smtpd",
                    self.queue_id,
                    check.session.client,
                    known(check.session),
                )
            )
        recipients = self._recipients
        params = user.params
        recipients.append(
            Recipient(
                len(recipients),
                check.address,
                user.address,
                params.orcpt,
                params.notify,
            )
        )
        return self._open

    def verify(self, recipient: Any) -> Reply | Deferred[Reply]:
        check = self._check(recipient.address, recipient.session)
        check.stage, check.actions = "VRFY", Actions()
        answer = self._desk.policy.judge(check)
        if isinstance(answer, Deferred):
            return answer.addCallback(lambda reply: self._verified(recipient, reply))
        return self._verified(recipient, answer)

    def _verified(self, recipient: Verify, reply: Reply | None) -> Reply:
        if reply is None:
            return Reply(252, "2.0.0", recipient.text)
        session = recipient.session
        sender = self._sender.address if self._sender else None
        self._desk.sink.emit(
            Rejected(
                "smtpd",
                self.queue_id,
                "VRFY",
                session.client,
                line(reply),
                sender,
                recipient.address,
                session.protocol,
                session.helo,
            )
        )
        return reply

    def _refuse(
        self, stage: str, reply: Reply, recipient: str | None, verb: str = "reject"
    ) -> Reply:
        sender = self._sender
        assert sender is not None, "MAIL came before"
        session = sender.session
        self._desk.sink.emit(
            Rejected(
                "smtpd",
                self.queue_id,
                stage,
                session.client,
                line(reply),
                sender.address,
                recipient,
                session.protocol,
                session.helo,
                verb,
            )
        )
        return reply

    # DATA

    def receivedHeader(self, helo: object, origin: object, recipients: object) -> bytes:
        """
        Nothing: cleanup makes the header.
        """
        return b""

    def _open(self) -> Message:
        sender = self._sender
        assert sender is not None, "MAIL came before"
        session = sender.session
        params = sender.params
        return Message(
            self._desk.cleanup.open(
                Envelope(
                    queue_id=self.queue_id,
                    arrival=self._arrival,
                    sender=self._from,
                    recipients=tuple(self._recipients),
                    client=session.client,
                    helo=session.helo,
                    protocol=session.protocol,
                    body=params.body,
                    smtputf8=params.smtputf8,
                    ret=params.ret,
                    envid=params.envid,
                    local_origin=self._local_origin,
                    forwarded=forwarded(session),
                )
            )
        )


def line(reply: Reply) -> str:
    """
    @return: a reply as the log shows it.
    """
    status = f"{reply.status} " if reply.status else ""
    return f"{reply.code} {status}{reply.text}".replace("\n", " ")


@implementer(ITxmtaMessage)
class Message:
    """
    Content on its way to cleanup.
    """

    __slots__ = ("_message", "chunkReceived", "connectionLost", "eomReceived")

    def __init__(self, message: ICleanupMessage) -> None:
        self._message = message
        # The same calls under the names of twisted.mail, without a call more.
        self.chunkReceived = message.write
        self.eomReceived = message.finish
        self.connectionLost = message.abort

    def lineReceived(self, line: bytes) -> None:
        self._message.write(line + b"\r\n")
