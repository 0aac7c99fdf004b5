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
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.errors import TableUnavailable
from txmta.events import ClientKnown, Rejected
from txmta.interfaces import (
    ICleanup,
    IEventSink,
    IQueueEntrance,
    ITable,
    ITxmtaDelivery,
    ITxmtaMessage,
)
from txmta.model import Envelope, Recipient, Reply
from txmta.smtp.access.check import Actions, Check, World
from txmta.smtp.access.judgement import line
from txmta.smtp.access.policy import Policy
from txmta.smtp.actions import with_actions
from txmta.smtp.instances import make_instance
from txmta.smtp.judging import asked
from txmta.smtp.known import forwarded, known
from txmta.smtp.origin import trusted
from txmta.smtp.requests import Rcpt, Sender
from txmta.smtp.session import Session
from txmta.smtp.space import Space
from txmta.smtp.taking import AskedMessage, Dropped, Last, Message


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

    def greeted(
        self, session: Session, stage: str, etrn: str = ""
    ) -> Reply | Deferred[Reply | None] | None:
        """
        A client has connected, or said HELO, or ETRN.

        @param etrn: what it wants then.
        @return: why it is refused.
        """
        desk = self._desk
        if not desk.policy.asks(stage):
            return None
        helo = stage in ("HELO", "EHLO")
        if_permit = session.postponed_at("CONNECT" if helo else "HELO")
        check = Check(desk.world, session, "", "", stage=stage, etrn=etrn)
        check.if_permit = if_permit

        def then(refusal: Reply | None) -> Reply | None:
            if stage != "ETRN":
                session.postponed["HELO" if helo else stage] = check.if_permit
            return refusal

        return asked(desk.policy, desk.sink, check, then)


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
        self._postponed: Reply | None = None
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
        if not desk.policy.at_mail:
            self._postponed = origin.session.postponed_at("HELO")
            return self._weigh(origin)
        check = self._check("", origin.session)
        check.stage, check.if_permit = "MAIL", origin.session.postponed_at("HELO")

        def then(refusal: Reply | None) -> Any:
            self._postponed = check.if_permit
            return refusal or self._weigh(origin)

        return asked(desk.policy, desk.sink, check, then)

    def _weigh(self, origin: Sender) -> Any:
        """
        Find out whether headers are completed.
        """
        desk = self._desk
        source = origin.session.forwarded.get("SOURCE")
        if source:
            self._local_origin = source == "LOCAL"
            return None
        try:
            found = trusted(desk.origin, desk.origin_tables, desk.world, origin.session)
        except TableUnavailable:
            return self._unknown(Failure())
        if found is True or found is False:
            self._local_origin = found
        else:
            return found.addCallbacks(self._trusted, self._unknown)
        return None

    def _unknown(self, failure: Failure) -> Reply:
        failure.trap(TableUnavailable)
        reply = Reply(451, "4.3.0", "Temporary lookup error")
        return self._refuse("MAIL", reply, None)

    def _trusted(self, trusted: bool) -> None:
        self._local_origin = trusted

    # RCPT and VRFY

    def validateTo(self, user: Rcpt) -> Any:
        check = self._check(user.address, user.orig.session)
        if user.address.lower() == "postmaster":
            return self._accept(user, check)
        return asked(
            self._desk.policy,
            self._desk.sink,
            check,
            lambda reply: reply or self._accept(user, check),
        )

    def _check(self, recipient: str, session: Session) -> Check:
        # Envelope addresses are completed for everybody, unlike those in
        # headers (Postfix: cleanup, MAIL_ATTR_RWR_LOCAL).
        world = self._desk.world
        address = world.addresses.rewrite(recipient, True) if recipient else ""
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
            if_permit=self._postponed,
        )

    def _accept(self, user: Rcpt, check: Check) -> Callable[[], Any]:
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
        return asked(
            self._desk.policy,
            self._desk.sink,
            check,
            lambda reply: reply or Reply(252, "2.0.0", recipient.text),
        )

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

    def _open(self) -> Reply | ITxmtaMessage | Deferred[Reply | ITxmtaMessage]:
        if not self._desk.policy.at_data:
            return self._opened(None)
        check = self._whole("DATA")
        return asked(self._desk.policy, self._desk.sink, check, self._opened)

    def _opened(self, refusal: Reply | None) -> Reply | ITxmtaMessage:
        if refusal is not None:
            return refusal
        if self._actions.discard:
            return Dropped(self.queue_id)
        message = self._desk.cleanup.open(with_actions(self._envelope(), self._actions))
        if not self._desk.policy.at_end:
            return Message(message)
        return AskedMessage(message, self._last)

    def _whole(self, stage: str) -> Check:
        """
        @return: a question about the whole message.
        """
        sender, recipients = self._sender, self._recipients
        assert sender is not None, "MAIL came before"
        only = recipients[0] if len(recipients) == 1 else None
        check = self._check(only.original if only else "", sender.session)
        check.stage = stage
        return check

    def _last(self, size: int) -> Last | Deferred[Last]:
        check = self._whole("END-OF-MESSAGE")
        check.size = size
        return asked(self._desk.policy, self._desk.sink, check, self._asked_last)

    def _asked_last(self, refusal: Reply | None) -> Last:
        if refusal is not None:
            return refusal
        if self._actions.discard:
            return Reply(250, "2.0.0", f"Ok: queued as {self.queue_id}")
        if self._actions:
            return with_actions(self._envelope(), self._actions)
        return None

    def _envelope(self) -> Envelope:
        sender = self._sender
        assert sender is not None, "MAIL came before"
        session = sender.session
        params = sender.params
        return Envelope(
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
            tls=session.tls,
            forwarded=forwarded(session),
            login=session.login,
        )
