"""
What is different in a transaction that only asks for recipients: after the last
RCPT comes RSET, and never DATA.

Owns: what the answer to RCPT means then.
Knows nothing of: all that is as with any mail.

Sources: Postfix C{smtp_loop()} in C{src/smtp/smtp_proto.c}, for requests with
C{DEL_REQ_FLAG_MTA_VRFY} or C{DEL_REQ_FLAG_USR_VRFY}.

Errors: L{Broken}, as in L{Exchange}.
"""

from __future__ import annotations

from txmta.smtp.client_events import Broken, Delivered, Event, Stage
from txmta.smtp.client_exchange import Exchange
from txmta.smtp.replies import ServerReply


class ProbeExchange(Exchange):
    """
    One transaction without content; each recipient's word is given as soon as it
    is there.
    """

    __slots__ = ()

    @property
    def undecided(self) -> bool:
        return not self._dead and self._answered < len(self._waiting)

    def reply(self, reply: ServerReply, events: list[Event]) -> str:
        if self.stage is Stage.RSET and self._answered:
            # The end. Whatever was said of recipients stays said.
            if reply.code >= 300:
                raise Broken(self._said(reply), polite=reply.code != 421)
            self.must_reset = False
            self.stage = Stage.IDLE
            return ""
        return super().reply(reply, events)

    def _recipient_answered(self, reply: ServerReply, events: list[Event]) -> None:
        index = self._waiting[self._answered]
        super()._recipient_answered(reply, events)
        if reply.code < 300 and not self._dead:
            events.append(Delivered(index, reply))

    def _rcpt(self, reply: ServerReply, events: list[Event]) -> str:
        self._recipient_answered(reply, events)
        if self._answered == len(self._waiting):
            self.stage = Stage.RSET
        return self._next()
