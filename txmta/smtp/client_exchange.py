"""
One mail transaction, from MAIL to the reply to the final dot.

Owns: which command follows which reply, with pipelining and without, and who
    of the recipients is accepted.
Knows nothing of: the octets of replies, sockets, content.

Sources: RFC 5321 sections 3.3 and 4.1.1, RFC 2920 section 3.1 (a batch is
MAIL, all RCPT, DATA). Postfix: C{smtp_loop()} in C{src/smtp/smtp_proto.c}.

Errors: L{Broken}: the connection cannot be used after what was said.
"""

from __future__ import annotations

from txmta.smtp import client_trouble as trouble
from txmta.smtp.client_events import (
    REQUESTS,
    Accepted,
    Broken,
    Event,
    Failed,
    GoAhead,
    Refused,
    Stage,
)
from txmta.smtp.replies import ServerReply


def first_stage(command: str) -> Stage:
    """
    @return: what is awaited after the first command of a transaction; C{""} is
        MAIL.
    """
    if command == "RSET":
        return Stage.RSET
    if command.startswith("XFORWARD "):
        name = command[len("XFORWARD ") :].partition("=")[0]
        address = name in ("NAME", "ADDR", "PORT")
        return Stage.FORWARD if address else Stage.FORWARD_HELO
    return Stage.MAIL


class Exchange:
    """
    @ivar stage: what is awaited; L{Stage.IDLE} when the transaction is over.
    @ivar heard: the server has said something about it.
    @ivar must_reset: when over: the server still has our MAIL, and the next
        transaction begins with RSET.
    @ivar last: the server has said goodbye; no other transaction may follow.
    """

    __slots__ = (
        "_accepted",
        "_answered",
        "_commands",
        "_dead",
        "_forward",
        "_label",
        "_pipelining",
        "_waiting",
        "heard",
        "last",
        "must_reset",
        "stage",
    )

    def __init__(
        self, commands: list[str], waiting: list[int], label: str, pipelining: bool
    ) -> None:
        """
        @param commands: perhaps RSET, MAIL, each RCPT, DATA.
        @param waiting: the index of the recipient of each RCPT.
        @param label: C{host[address]}.
        """
        self.stage = first_stage(commands[0])
        self.heard = False
        self.must_reset = False
        self.last = False
        self._commands = commands
        self._waiting = waiting
        self._label = label
        self._pipelining = pipelining
        # Of these there are none, one or two, of either kind.
        self._forward = [c for c in commands[:3] if c.startswith("XFORWARD ")]
        self._answered = 0
        self._accepted = 0
        self._dead = False  # something was said for all recipients together

    def start(self) -> list[str]:
        """
        @return: the commands to send at once.
        """
        if self._pipelining:
            return self._commands
        self._commands.reverse()
        return [self._commands.pop()]

    @property
    def undecided(self) -> bool:
        """
        Whether there are recipients that no event was about.
        """
        if self._dead:
            return False
        return self._accepted > 0 or self._answered < len(self._waiting)

    @property
    def answers(self) -> int:
        """
        @return: how many replies are due when the content was sent.
        """
        return 1

    def reply(self, reply: ServerReply, events: list[Event]) -> str:
        """
        @return: the next command, or C{""}.
        """
        fresh, self.heard = not self.heard, True
        stage = self.stage
        if stage is Stage.RCPT:
            return self._rcpt(reply, events)
        if reply.code == 421:
            return self._goodbye(reply, events, fresh)
        if stage is Stage.MAIL:
            return self._mail(reply, events)
        if stage is Stage.DATA:
            return self._data(reply, events)
        if stage in (Stage.FORWARD, Stage.FORWARD_HELO):
            return self._forwarded(reply, events)
        if stage is Stage.DOT:
            return self._dot(reply, events)
        if stage is Stage.RSET:
            return self._rset(reply)
        if stage is Stage.CONTENT:
            # It does not want the rest, and there is no way to stop in the
            # middle but to hang up: a dot would deliver half a message.
            raise Broken(self._said(reply))
        self.stage = Stage.IDLE
        return ""

    def _rset(self, reply: ServerReply) -> str:
        if reply.code >= 300:
            # It is about the message before this one, of which nothing was
            # sent yet.
            raise Broken(self._said(reply).as_unused(), polite=True)
        self.heard = False
        self.stage = first_stage((*self._forward, "")[0])
        return self._next()

    def _forwarded(self, reply: ServerReply, events: list[Event]) -> str:
        """
        As Postfix: a server that offers XFORWARD, and refuses it, does not get
        the message.
        """
        if reply.code >= 300:
            if not self._dead:
                self._fail_all(reply, events)
            if not self._pipelining:
                self.stage = Stage.IDLE
                return ""
        self._forward.pop(0)
        self.stage = first_stage((*self._forward, "")[0])
        return self._next()

    def _mail(self, reply: ServerReply, events: list[Event]) -> str:
        if reply.code < 300:
            self.stage = Stage.RCPT
            self.must_reset = True
            return self._next()
        if not self._dead:
            self._fail_all(reply, events)
        self.stage = Stage.RCPT if self._pipelining else Stage.IDLE
        return ""

    def _rcpt(self, reply: ServerReply, events: list[Event]) -> str:
        self._recipient_answered(reply, events)
        if self._answered < len(self._waiting):
            return self._next()
        if self._accepted or self._pipelining:
            self.stage = Stage.DATA
            return self._next()
        self.stage = Stage.IDLE
        return ""

    def _recipient_answered(self, reply: ServerReply, events: list[Event]) -> None:
        index = self._waiting[self._answered]
        self._answered += 1
        if reply.code == 421:
            # As Postfix: it is about this recipient. Some servers mean it so,
            # and take the others.
            self.last = True
        if self._dead:
            return
        if reply.code < 300:
            self._accepted += 1
        else:
            events.append(Refused(index, self._said(reply)))

    def _data(self, reply: ServerReply, events: list[Event]) -> str:
        if not 300 <= reply.code < 400:
            if self._accepted and not self._dead:
                self._fail_all(reply, events)
            self.stage = Stage.IDLE
            return ""
        self.must_reset = False
        if self._accepted and not self._dead:
            self.stage = Stage.CONTENT
            events.append(GoAhead())
            return ""
        # RFC 2920 section 3.1: nobody was accepted, and yet it waits for
        # content: only a dot brings it back.
        self.stage = Stage.NOBODY
        return "."

    def _dot(self, reply: ServerReply, events: list[Event]) -> str:
        if reply.code < 300:
            self._dead = True
            events.append(Accepted(reply))
        else:
            self._fail_all(reply, events)
        self.stage = Stage.IDLE
        return ""

    def _goodbye(self, reply: ServerReply, events: list[Event], fresh: bool) -> str:
        words = self._said(reply)
        if fresh and self.stage <= Stage.MAIL:
            words = words.as_unused()
        raise Broken(words)

    def _next(self) -> str:
        return "" if self._pipelining else self._commands.pop()

    def _fail_all(self, reply: ServerReply, events: list[Event]) -> None:
        self._dead = True
        events.append(Failed(self._said(reply)))

    def _said(self, reply: ServerReply) -> trouble.Trouble:
        return trouble.said(self._label, reply, REQUESTS[self.stage])
