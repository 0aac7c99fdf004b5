"""
Deliveries written for twisted.mail, seen as ours.

Owns: what the exceptions of a delivery mean as replies; content for an
    C{IMessage} line by line, one object for each recipient.
Knows nothing of: our own delivery (L{txmta.smtp.delivery}).

Sources: twisted.mail.interfaces, twisted.mail.smtp (what it passes to a
delivery, and when).

Errors: none leave here; what a delivery raises becomes a reply, and is logged if
it is a bug.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, cast

from twisted.cred.credentials import Anonymous
from twisted.cred.error import LoginFailed
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger
from twisted.mail.smtp import (
    IMessage,
    IMessageDelivery,
    IMessageDeliveryFactory,
    SMTPAddressError,
    SMTPServerError,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.errors import StoreUnavailable, TableUnavailable
from txmta.interfaces import ITxmtaMessage
from txmta.model import Reply

_log = Logger()

_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})\s+(.*)", re.DOTALL)

OUR_FAULT = Reply(451, "4.3.0", "Error: internal error")
_DONE = Reply(250, "2.0.0", "Ok")
_MAX_TEXT = 1000

MessageMaker = Callable[[], IMessage]


def reply_for(error: Failure) -> Reply:
    """
    @return: what to tell the client. An error that nobody meant for it is a
        fault of ours, and therefore temporary.
    """
    value = error.value
    if isinstance(value, SMTPAddressError | SMTPServerError):
        return _refusal(value.code, value.resp)
    if isinstance(value, StoreUnavailable):
        return Reply(value.code, value.status, "Error: queue file write error")
    if isinstance(value, TableUnavailable):
        return Reply(451, "4.3.0", "Temporary lookup failure")
    _log.failure("a mail delivery raised an error", failure=error)
    return OUR_FAULT


def _refusal(code: object, text: object) -> Reply:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    words = str(text).replace("\r\n", "\n").replace("\r", " ").strip()[:_MAX_TEXT]
    if not isinstance(code, int) or not 400 <= code <= 599:
        code = 451
    status = f"{code // 100}.0.0"
    match = _STATUS.fullmatch(words)
    if match is not None and match[1][0] == status[0]:
        status, words = match[1], match[2]
    return Reply(code, status, words or "Error")


def delivery_of(avatar: Any) -> IMessageDelivery:
    """
    @return: what takes the mail of whoever has logged in.
    """
    if IMessageDeliveryFactory.providedBy(avatar):
        return cast(IMessageDelivery, avatar.getMessageDelivery())
    return cast(IMessageDelivery, avatar)


def login(portal: Portal, may_log_in: bool = False) -> Deferred[IMessageDelivery]:
    """
    @param may_log_in: otherwise than now.
    @return: the delivery of somebody who has not said who he is.
    """

    def got(result: object) -> IMessageDelivery:
        _interface, avatar, _logout = cast(tuple[object, object, object], result)
        return delivery_of(avatar)

    def failed(failure: Failure) -> Failure:
        if may_log_in:
            failure.trap(LoginFailed)
            raise SMTPServerError(530, "5.7.0 Authentication required")
        return failure

    d: Deferred[object] = maybeDeferred(
        portal.login, Anonymous(), None, IMessageDeliveryFactory, IMessageDelivery
    )
    return d.addCallbacks(got, failed)


@implementer(ITxmtaMessage)
class PlainMessage:
    """
    Content for the C{IMessage} of each recipient.
    """

    def __init__(self, messages: Iterable[IMessage], header: bytes | str) -> None:
        """
        @param messages: an object that several recipients share is told once.
        @param header: a trace header, or nothing.
        """
        self._messages = list({id(m): m for m in messages}.values())
        self._rest = b""
        self._error: Failure | None = None
        if header:
            octets = header.encode() if isinstance(header, str) else header
            self._lines([octets])

    def chunkReceived(self, block: bytes) -> None:
        *lines, self._rest = (self._rest + block).split(b"\r\n")
        self._lines(lines)

    def lineReceived(self, line: bytes) -> None:
        self._lines([line])

    def _lines(self, lines: list[bytes]) -> None:
        if self._error is not None:
            return
        try:
            for message in self._messages:
                for line in lines:
                    message.lineReceived(line)
        except Exception:
            self._error = Failure()
            self.connectionLost()

    def eomReceived(self) -> Reply | Deferred[Reply]:
        if self._error is not None:
            return reply_for(self._error)
        done = [maybeDeferred(m.eomReceived) for m in self._messages]
        d = gatherResults(done, consumeErrors=True)
        return d.addCallbacks(lambda _: _DONE, self._failed)

    def _failed(self, failure: Failure) -> Reply:
        error = getattr(failure.value, "subFailure", failure)
        return reply_for(error)

    def connectionLost(self) -> None:
        messages, self._messages = self._messages, []
        for message in messages:
            try:
                message.connectionLost()
            except Exception:
                _log.failure("a message cannot be forgotten")
