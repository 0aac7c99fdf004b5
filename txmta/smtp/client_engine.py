"""
The client's side of an SMTP session, octets in and octets out.

Owns: one connection: what was received and not understood yet, what is to be
    sent, and whether another message may follow.
Knows nothing of: sockets, clocks, content, other hosts, what becomes of a
    recipient that was refused.

L{ClientEngine.receive} takes what the server sends and gives events;
L{ClientEngine.take} gives what is to be sent, to be fetched after each call.
The events of one transaction: any number of L{Refused}, L{GoAhead} when the
content may go, L{Failed} or L{Accepted} for the recipients that remain, then
L{Over}; with LMTP, and for a probe, L{Delivered} or L{Refused} for each instead
of L{Accepted}.
Each recipient is in exactly one of these, whatever the server does.

Sources: RFC 5321, RFC 2920, RFC 3207, RFC 2033. Postfix: C{src/smtp/smtp_proto.c}.

Errors: none leave this module; what a server does wrong is a L{Failed}.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from txmta.errors import BadReply
from txmta.smtp import client_trouble as trouble
from txmta.smtp.client_commands import (
    Features,
    Transaction,
    UnsafeAddress,
    mail_from,
    rcpt_to,
)
from txmta.smtp.client_events import (
    DOING,
    Broken,
    ClientRules,
    Event,
    Failed,
    Over,
    Peer,
    Ready,
    Refused,
    Stage,
    StartTls,
)
from txmta.smtp.client_exchange import Exchange
from txmta.smtp.client_forwarding import xforward
from txmta.smtp.client_handshake import Handshake
from txmta.smtp.client_lmtp import LmtpExchange
from txmta.smtp.client_probe import ProbeExchange
from txmta.smtp.client_trouble import Trouble
from txmta.smtp.replies import FilteringReader, ReplyReader, ServerReply


class ClientEngine:  # Over budget: each method is one thing that can happen.
    """
    One connection to one server.

    @ivar stage: what is awaited.
    @ivar transactions: how many were begun.
    @ivar replies: how many were received; who counts them sees progress.
    @ivar out: lines that C{take} gives.
    @ivar who: we are for the server, whether or not it asked; L{None}: nobody.
    """

    def __init__(self, rules: ClientRules, peer: Peer) -> None:
        self.stage = Stage.GREETING
        self.transactions = 0
        self.replies = 0
        self._quoting = rules.quote_envelope
        self._label = peer.label
        self.who = peer.account.who if peer.account else None
        self._handshake = Handshake(rules, peer)
        self._new_exchange = LmtpExchange if rules.lmtp else Exchange
        self._exchange: Exchange | None = None
        self._reply_filter = rules.reply_filter
        self._reader = self._new_reader()
        self.out: list[str] = []
        self._must_reset = False
        self._last = False

    @property
    def offered(self) -> Features:
        """
        What the server can do; nothing before L{Ready}.
        """
        return self._handshake.offered

    def take(self) -> bytes:
        """
        @return: what is to be sent now.
        """
        if not self.out:
            return b""
        out = self.out
        self.out = []
        return ("\r\n".join(out) + "\r\n").encode("utf-8", "surrogateescape")

    def receive(self, data: bytes) -> list[Event]:
        """
        @param data: octets from the server, cut anywhere.
        """
        events: list[Event] = []
        before = self.stage
        if before is Stage.CLOSED:
            return events
        reader = self._reader
        reader.add(data)
        try:
            while (reply := reader.next()) is not None:
                self._reply(reply, events)
            if self.stage is Stage.IDLE and before is not Stage.IDLE:
                self._settle(events)
            elif self.stage is Stage.IDLE and not reader.empty:
                raise BadReply("unexpected response", b"")
        except Broken as e:
            self._fail(e.trouble, events, e.polite)
        except BadReply as e:
            doing = DOING[self.stage]
            words = trouble.garbage(self._label, e.problem, e.octets, doing)
            self._fail(words, events)
        return events

    def begin(self, transaction: Transaction) -> list[Event]:
        """
        Start a transaction; only when idle. It has ended at once if the last
        event is L{Over}.
        """
        assert self.stage is Stage.IDLE, "one transaction at a time"
        self.transactions += 1
        if (problem := self._impossible(transaction)) is not None:
            return [Failed(problem), Over(True)]
        offered, quoting = self._handshake.offered, self._quoting
        events: list[Event] = []
        commands = xforward(transaction.envelope, offered.xforward)
        commands[:0] = ["RSET"] * self._must_reset
        waiting: list[int] = []
        try:
            commands.append(mail_from(transaction, offered, quoting))
        except UnsafeAddress:
            return [Failed(trouble.BAD_SENDER), Over(True)]
        for index, recipient in enumerate(transaction.recipients):
            try:
                commands.append(rcpt_to(recipient, transaction, offered, quoting))
                waiting.append(index)
            except UnsafeAddress:
                events.append(Refused(index, trouble.BAD_RECIPIENT))
        if not waiting:
            events.append(Over(True))
            return events
        commands.append("RSET" if transaction.probe else "DATA")
        kind = ProbeExchange if transaction.probe else self._new_exchange
        exchange = kind(commands, waiting, self._label, offered.pipelining)
        self._exchange = exchange
        self._reader.strict = offered.pipelining
        self.out += exchange.start()
        self.stage = exchange.stage
        return events

    def sent(self) -> None:
        """
        The content and the final dot are on their way.
        """
        if self.stage is Stage.CONTENT and self._exchange is not None:
            self.stage = self._exchange.stage = Stage.DOT
            if self._exchange.answers == 1:
                # Nothing can be taken for the answer to something else; and
                # who has the message must not get it again.
                self._reader.strict = False

    def lost(self) -> list[Event]:
        """
        The connection is gone.
        """
        return self._broke(trouble.lost)

    def timed_out(self) -> list[Event]:
        """
        No answer in time.
        """
        return self._broke(trouble.timed_out)

    def abandon(self, problem: Trouble, polite: bool = False) -> list[Event]:
        """
        We cannot go on, for example because the content cannot be read. The
        driver must hang up without a dot.

        @param polite: QUIT can be said.
        """
        events: list[Event] = []
        self._fail(problem, events, polite)
        return events

    def quit(self) -> None:
        """
        Say goodbye; only when idle.
        """
        if self.stage is Stage.IDLE:
            self.out.append("QUIT")
            self.stage = Stage.QUIT

    def start_tls(self) -> None:
        """
        Ask for TLS; only when idle, after a first EHLO.
        """
        assert self.stage is Stage.IDLE, "not in the middle of something"
        self.out.append(self._handshake.start_tls())
        self.stage = Stage.STARTTLS

    def wrapped(self) -> None:
        """
        TLS comes before the greeting.
        """
        self.stage = self._handshake.stage = Stage.TLS

    def secured(self, verified: bool = False, greeting: bool = False) -> None:
        """
        TLS has begun: what was said in clear text counts no more.

        @param verified: the server is who it should be.
        @param greeting: it comes now.
        """
        self._reader = self._new_reader()
        self._must_reset = False
        command = self._handshake.secured(verified, greeting)
        self.out = [command] if command else []
        self.stage = self._handshake.stage

    def _new_reader(self) -> ReplyReader:
        change = self._reply_filter
        if change is None:
            return ReplyReader()
        return FilteringReader(partial(change, self._label))

    def _reply(self, reply: ServerReply, events: list[Event]) -> None:
        self.replies += 1
        exchange = self._exchange
        if exchange is not None:
            command = exchange.reply(reply, events)
            self.stage = exchange.stage
            if self.stage is Stage.IDLE:
                self._must_reset = exchange.must_reset
                self._last = exchange.last
                self._exchange = None
        elif self.stage < Stage.TLS:
            command = self._handshake.reply(reply)
            self._shaken(events)
        else:
            # Nothing was asked, or only goodbye was said.
            raise BadReply("unexpected response", reply.lines[-1][:80])
        if command or self.stage is Stage.AUTH:  # whose answers may be empty
            self.out.append(command)

    def _shaken(self, events: list[Event]) -> None:
        self.stage = self._handshake.stage
        if self.stage is Stage.TLS:
            if not self._reader.empty:
                # Said in clear text, to be believed under TLS: an attack.
                raise BadReply("response injected after STARTTLS", b"")
            events.append(StartTls())
        elif self.stage is Stage.IDLE:
            self._reader.strict = self.offered.pipelining
            events.append(Ready())

    def _settle(self, events: list[Event]) -> None:
        """
        Idle, and all that was received is looked at: is this a connection
        that a message, or one more, can be sent over?
        """
        ready = bool(events) and isinstance(events[-1], Ready)
        if ready and not self._reader.empty:
            raise BadReply("unexpected response", b"")
        if not ready:
            reader = self._reader
            clean = reader.empty and not reader.garbage and not self._last
            if not clean:
                self.stage = Stage.CLOSED
            events.append(Over(clean))

    def _impossible(self, transaction: Transaction) -> Trouble | None:
        offered = self.offered
        if 0 < offered.size_limit < transaction.size:
            return trouble.too_big(self._label, transaction.size, offered.size_limit)
        if transaction.needs_smtputf8 and not offered.smtputf8:
            return trouble.no_smtputf8(self._label)
        return None

    def _broke(self, words: Callable[[str, str], Trouble]) -> list[Event]:
        events: list[Event] = []
        if self.stage is not Stage.CLOSED:
            problem = words(self._label, DOING[self.stage])
            if self.stage is Stage.TLS:
                problem = trouble.NO_HANDSHAKE
            exchange = self._exchange
            if exchange is not None and not exchange.heard:
                problem = problem.as_unused()
            self._fail(problem, events)
        return events

    def _fail(
        self, problem: Trouble, events: list[Event], polite: bool = False
    ) -> None:
        exchange, self._exchange = self._exchange, None
        if problem.unused and self.transactions < 2:
            # A new connection that breaks is no accident of keeping it.
            problem = problem.as_tried()
        if exchange is not None:
            if exchange.undecided:
                events.append(Failed(problem))
        elif events and isinstance(events[-1], Ready):
            # In the same breath: it was not ready at all.
            events[-1] = Failed(problem)
        elif self.stage < Stage.IDLE:
            events.append(Failed(problem))
        if polite:
            self.out.append("QUIT")
        self.stage = Stage.CLOSED
        events.append(Over(False))
