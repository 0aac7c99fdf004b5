"""
One message over one connection.

Owns: telling events of a transaction from one another, and their times.
Knows nothing of: what else is tried when recipients are left.

Sources: Postfix C{smtp_xfer()} in C{src/smtp/smtp_proto.c}.

Errors: none here; L{ClientConnection.failure} says if the content could not
be read.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txmta.delivery.smtp_recipients import RecipientsLeft, Where
from txmta.model import Recipient
from txmta.smtp.client import ClientConnection
from txmta.smtp.client_commands import Transaction
from txmta.smtp.client_events import (
    Accepted,
    Delivered,
    Event,
    Failed,
    Over,
    Refused,
)
from txmta.smtp.client_upload import Body


class Session:
    """
    @ivar over: fires with whether the connection can be used again.
    @ivar unused: the connection was dead before anything was tried.
    """

    def __init__(
        self,
        connection: ClientConnection,
        recipients: RecipientsLeft,
        clock: IReactorTime,
        started: float,
    ) -> None:
        """
        @param started: when the delivery began, on the clock.
        """
        self.over: Deferred[bool] = Deferred()
        self.unused = False
        self._connection = connection
        self._recipients = recipients
        self._clock = clock
        self._tried = tuple(recipients.left)
        self._decided: set[int] = set()
        self._begun = clock.seconds()
        self._setup = self._begun - started

    def begin(self, transaction: Transaction, body: Body) -> None:
        """
        @param transaction: for the recipients that are left.
        """
        self._connection.listener = self._event
        self._connection.begin(transaction, body)

    def _event(self, event: Event) -> None:
        if isinstance(event, Accepted):
            self._recipients.sent(self._others(), event.reply, self._where())
        elif isinstance(event, Refused):
            self._decided.add(event.index)
            recipient = self._tried[event.index]
            self._recipients.trouble((recipient,), event.trouble, self._where())
        elif isinstance(event, Failed):
            if event.trouble.unused:
                self.unused = True
            else:
                where = self._where()
                self._recipients.trouble(self._others(), event.trouble, where)
        elif isinstance(event, Over):
            self.over.callback(event.reusable)
        elif isinstance(event, Delivered):
            self._decided.add(event.index)
            recipient = self._tried[event.index]
            self._recipients.sent((recipient,), event.reply, self._where())

    def _others(self) -> list[Recipient]:
        if not self._decided:
            return list(self._tried)
        decided = self._decided
        return [r for i, r in enumerate(self._tried) if i not in decided]

    def _where(self) -> Where:
        connection = self._connection
        return Where(
            connection.relay,
            connection.target.host,
            connection.engine.transactions,
            self._setup,
            self._clock.seconds() - self._begun,
            connection.engine.offered.dsn,
        )
