"""
One session's mail transactions, as told to deliveries.

Owns: which delivery a transaction has, its recipients, its message.
Knows nothing of: the transport, the engine, what a delivery does.

Sources: twisted.mail.interfaces (order of calls); RFC 5321 section 3.3.

Errors: what a delivery raises goes through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.mail.smtp import ESMTP, IMessageDelivery

from txmta.interfaces import ITxmtaDelivery, ITxmtaMessage
from txmta.model import Reply
from txmta.smtp.plain import MessageMaker, PlainMessage, delivery_of, login
from txmta.smtp.requests import Rcpt, Sender, Verify, octets
from txmta.smtp.session import Session

_log = Logger()

_MAIL_OK = Reply(250, "2.1.0", "Ok")
_RCPT_OK = Reply(250, "2.1.5", "Ok")
_OPENED = Reply(354, "", "")
_NO_DELIVERY = Reply(451, "4.3.0", "Error: no mail delivery")

Answer = Reply | Deferred[Reply]


def read(answer: Any, make: Callable[[Any], Reply]) -> Answer:
    """
    @return: what a delivery's answer means, now or when it is there.
    """
    if isinstance(answer, Deferred):
        return answer.addCallback(make)
    return make(answer)


class Exchange:
    """
    @ivar ours: the delivery of this transaction answers with replies.
    @ivar sender: of this transaction, or L{None}.
    @ivar rcpt: the recipient asked for last.
    @ivar avatar: what the portal gave who logged in, or L{None}.
    @ivar may_log_in: to whom the portal gives nothing, may log in.
    """

    avatar: Any = None
    may_log_in = False

    def __init__(self, server: ESMTP) -> None:
        """
        @param server: for its C{deliveryFactory}, C{portal} and C{delivery}.
        """
        self._server = server
        self.ours = False
        self.sender: Sender | None = None
        self.rcpt: Rcpt | None = None
        self._delivery: IMessageDelivery | None = None
        self._makers: list[MessageMaker] = []
        self._rcpts: list[Rcpt] = []
        self._message: ITxmtaMessage | None = None

    @property
    def queue_id(self) -> str:
        """
        Of this transaction, or C{""}.
        """
        if self.ours and self._delivery is not None:
            return cast(ITxmtaDelivery, self._delivery).queue_id
        return ""

    @property
    def reading(self) -> bool:
        """
        Whether content is being read.
        """
        return self._message is not None

    @property
    def last_rcpt(self) -> str | None:
        """
        The recipient accepted last, as the log shows a whole message.
        """
        return self._rcpts[-1].address if self._rcpts else None

    def mail(self, sender: Sender) -> Answer:
        server = self._server
        if self.sender is not None:
            self.forget()
        self.sender = sender
        if server.deliveryFactory is not None:
            return self._mail(server.deliveryFactory.getMessageDelivery())
        if self.avatar is not None:
            return self._mail(delivery_of(self.avatar))
        if server.portal is not None:
            return read(login(server.portal, self.may_log_in), self._mail)
        if server.delivery is not None:
            return self._mail(server.delivery)
        return _NO_DELIVERY

    def _mail(self, delivery: Any) -> Answer:
        sender = self.sender
        if sender is None:
            return _NO_DELIVERY  # the client went away meanwhile
        self._delivery = delivery
        self.ours = ITxmtaDelivery.providedBy(delivery)
        helo = (octets(sender.session.helo), sender.session.client.address.encode())
        answer = delivery.validateFrom(helo, sender)
        return _MAIL_OK if answer is None else read(answer, _sender_ok)

    def rcpt_to(self, rcpt: Rcpt) -> Answer:
        self.rcpt = rcpt
        rcpt.protocol = self._server
        assert self._delivery is not None, "MAIL came before"
        answer: Any = self._delivery.validateTo(rcpt)
        # isinstance() is slow to deny, and what can be called is no Deferred.
        if not callable(answer) and isinstance(answer, Deferred):
            return answer.addCallback(lambda maker: self._rcpt(rcpt, maker))
        return self._rcpt(rcpt, answer)

    def _rcpt(self, rcpt: Rcpt, maker: Any) -> Reply:
        self.rcpt = None
        if isinstance(maker, Reply):
            return maker
        self._makers.append(maker)
        self._rcpts.append(rcpt)
        return _RCPT_OK

    def open(self) -> Answer:
        makers = self._makers
        if self.ours:
            return read(makers[0](), self._opened)
        delivery, sender = self._delivery, self.sender
        assert delivery is not None and sender is not None, "MAIL came before"
        helo = self._rcpts[0].helo
        header = delivery.receivedHeader(helo, sender, self._rcpts)
        messages = [maker() for maker in makers]
        self._message = PlainMessage(messages, header)
        return _OPENED

    def _opened(self, message: Any) -> Reply:
        if isinstance(message, Reply):
            return message
        if self._delivery is None:  # the client went away meanwhile
            message.connectionLost()
            return _NO_DELIVERY
        self._message = message
        return _OPENED

    def greeted(self, session: Session, stage: str) -> Answer:
        """
        A client has connected, or said HELO.

        @return: below 400 if he is welcome.
        """
        greeted = getattr(self._server.deliveryFactory, "greeted", None)
        if greeted is None:
            return _OPENED
        return read(greeted(session, stage), lambda refusal: refusal or _OPENED)

    def chunk(self, block: bytes) -> None:
        if self._message is not None:
            self._message.chunkReceived(block)

    def end(self) -> Answer:
        message, self._message = self._message, None
        assert message is not None, "opened"
        answer: Answer = message.eomReceived()
        self._reset()
        return answer

    def forget(self) -> None:
        """
        The transaction is over without a message.
        """
        message, self._message = self._message, None
        if message is not None:
            try:
                message.connectionLost()
            except Exception:
                _log.failure("a message cannot be forgotten")
        self._reset()

    def _reset(self) -> None:
        self._delivery = None
        self.ours = False
        self.sender = None
        self.rcpt = None
        if self._makers:
            self._makers = []
            self._rcpts = []

    def verify(self, request: Verify) -> Answer:
        """
        VRFY, inside or outside of a transaction.
        """
        delivery: Any = self._delivery
        if delivery is None and self._server.deliveryFactory is not None:
            delivery = self._server.deliveryFactory.getMessageDelivery()
        if delivery is None or not ITxmtaDelivery.providedBy(delivery):
            return Reply(252, "2.0.0", request.text)
        answer: Answer = delivery.verify(request)
        return answer


def _sender_ok(answer: Any) -> Reply:
    return answer if isinstance(answer, Reply) else _MAIL_OK
