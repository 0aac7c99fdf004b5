"""
What is different in a transaction with LMTP: after the final dot, the server
answers for each recipient that it accepted, in order.

Owns: which recipient a reply to the dot is about.
Knows nothing of: all that is as with SMTP.

Sources: RFC 2033 section 4.2. Postfix: C{smtp_loop()} in
C{src/smtp/smtp_proto.c}, C{SMTP_STATE_DOT}.

Errors: L{Broken}, as in L{Exchange}.
"""

from __future__ import annotations

from txmta.smtp.client_events import Broken, Delivered, Event, Refused, Stage
from txmta.smtp.client_exchange import Exchange
from txmta.smtp.replies import ServerReply


class LmtpExchange(Exchange):
    """
    One transaction; each recipient's word is given as soon as it is there.
    """

    __slots__ = ("_farewell", "_survivors")

    def __init__(
        self, commands: list[str], waiting: list[int], label: str, pipelining: bool
    ) -> None:
        super().__init__(commands, waiting, label, pipelining)
        self._survivors: list[int] = []  # the next one to be answered is last
        self._farewell: Broken | None = None

    @property
    def answers(self) -> int:
        return len(self._survivors)

    def _recipient_answered(self, reply: ServerReply, events: list[Event]) -> None:
        if reply.code < 300:
            self._survivors.append(self._waiting[self._answered])
        super()._recipient_answered(reply, events)

    def _data(self, reply: ServerReply, events: list[Event]) -> str:
        self._survivors.reverse()
        return super()._data(reply, events)

    def _dot(self, reply: ServerReply, events: list[Event]) -> str:
        index = self._survivors.pop()
        if reply.code < 300:
            events.append(Delivered(index, reply))
        else:
            events.append(Refused(index, self._said(reply)))
        if not self._survivors:
            self._dead = True
            if self._farewell is not None:
                raise self._farewell
            self.stage = Stage.IDLE
        return ""

    def _goodbye(self, reply: ServerReply, events: list[Event], fresh: bool) -> str:
        if self.stage is not Stage.DOT:
            return super()._goodbye(reply, events, fresh)
        # As Postfix: it is about one recipient. The word on the others may
        # come yet, and one that has mail must not get it again.
        self._farewell = Broken(self._said(reply))
        return self._dot(reply, events)
