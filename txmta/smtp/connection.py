"""
An SMTP server connection: its transport, its beginning, its end, its time.

A C{twisted.mail.smtp.ESMTP} to the outside: portals, challengers and deliveries
plug in as usual. But every octet goes through L{txmta.smtp.engine}: nothing of the
base class that reads input is ever reached.

Owns: the transport, the one timer, back-pressure, when to hang up.
Knows nothing of: SMTP, what the engine wants (L{txmta.smtp.server}).

Sources: RFC 5321 section 4.5.3.2 (time-outs); Postfix C{smtpd/smtpd.c}
(smtpd_timeout, smtpd_per_request_deadline), C{smtpd/smtpd_peer.c}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from txmta.events import Connected, Disconnected
from txmta.model import Client, ClientName, Reply
from txmta.smtp.anvil import Meter
from txmta.smtp.context import Context
from txmta.smtp.counts import shares
from txmta.smtp.engine import Engine
from txmta.smtp.exchange import Exchange
from txmta.smtp.recording import Recording
from txmta.smtp.requests import Request
from txmta.smtp.session import Session
from txmta.smtp.unhurried import Unhurried

T = TypeVar("T")

# Answers that are no Deferred for sure: that has an abstract base, which makes
# isinstance() slow to deny.
_AT_ONCE = frozenset((bool, ClientName, tuple, type(None), Reply))

_NAMELESS = ClientName()


class Admission:
    """
    What a connection asks its factory.
    """

    def admit(self, connection: Connection) -> Reply | Deferred[Reply | None] | None:
        """
        @return: why the client is not welcome.
        """
        raise NotImplementedError

    def spares(self, connection: Connection) -> bool | Deferred[bool]:
        """
        @return: whether smtpd_forbid_bare_newline_exclusions lists the client.
        """
        raise NotImplementedError

    def gone(self, connection: Connection) -> None:
        """
        The connection is lost.
        """
        raise NotImplementedError


def when(value: T | Deferred[T], then: Callable[[T], Any]) -> None:
    """
    Go on with a value that is known at once, or later.
    """
    if type(value) not in _AT_ONCE and isinstance(value, Deferred):
        value.addCallback(then)
    else:
        then(value)  # type: ignore[arg-type]  # one that is known at once


class Connection(Unhurried):
    """
    @ivar session: what is known of it.
    @ivar group: what the factory counts it with.
    @ivar turned_away: why this client gets no greeting, if it is known before.
    @ivar meter: counts what the client does, if that is limited.
    """

    factory: Admission
    turned_away: Reply | None = None
    meter: Meter | None = None
    #: What is done for the engine, by type of request.
    handlers: ClassVar[Mapping[type[Request], Callable[[Any, Any], None]]]

    def __init__(self, context: Context, client: Client) -> None:
        super().__init__()
        self._context = context
        self.session = Session(client)
        self.group = client.address
        self._engine = Engine(context.rules, self.session)
        if context.postmaster is not None and context.postmaster.classes:
            self._engine.recording = Recording(context.postmaster)
        self._timer: IDelayedCall | None = None
        # The timer waits for the client, and may be reset.
        self._ticking = False
        self._sleep: IDelayedCall | None = None
        self._deadline = 0.0
        self._pumping = False
        self._closing = False
        self._named = False
        self._lost = False
        self._pending: Deferred[Any] | None = None
        self._exchange = Exchange(self)

    @property
    def client(self) -> Client:
        """
        The peer; its name is C{"unknown"} until it is known.
        """
        return self.session.client

    def connectionMade(self) -> None:
        no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if no_delay is not None:
            no_delay(True)
        self.session.reached(self.transport.getHost())
        self.transport.registerProducer(self, True)
        if self._context.lookup:
            when(self._context.names.name(self.client.address), self._name)
        else:
            self._name(_NAMELESS)

    def dataReceived(self, data: bytes) -> None:
        engine = self._engine
        timer = self._timer
        if self._ticking and timer is not None:
            timeouts = self._context.timeouts
            if timeouts.per_request:
                self._touch(timer, len(data))
            else:
                timer.reset(timeouts.idle)
        engine.receive(data)
        if engine.busy:
            self._hold_back()
        else:
            self._pump()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        self._ticking = False
        if not self._named:
            self._name(_NAMELESS)
        for call in (self._timer, self._sleep):
            if call is not None and call.active():
                call.cancel()
        engine = self._engine
        committing = engine.committing
        if not engine.closed:
            engine.lost()
            self._pump()
        pending, self._pending = self._pending, None
        if pending is not None and not committing:
            pending.cancel()
        self.factory.gone(self)
        counts = shares(engine.counts)
        self._context.sink.emit(Disconnected("smtpd", self.client, counts))
        if engine.recording is not None:
            engine.recording.tell(self.client.label)

    # Beginning and end.

    def _name(self, names: ClientName) -> None:
        if self._named:
            return
        self._named = True
        old = self.client
        if names != _NAMELESS:
            told = (*names[:2], "", *names[2:])
            self.session.client = Client(old.address, old.port, *told)
        self._context.sink.emit(Connected("smtpd", self.client))
        self._engine.label = self.client.label
        privileges = self._context.privileges
        if privileges is not None and not self._lost:
            when(privileges.of(self.client), self._weighed)
        else:
            self._weighed(())

    def _weighed(self, may: tuple[str, ...]) -> None:
        self._engine.may = may
        if self.turned_away is not None:
            self._admit(self.turned_away)
        elif not self._lost:
            when(self.factory.admit(self), self._admit)

    def _admit(self, refusal: Reply | None) -> None:
        if self._lost:
            return
        if refusal is not None and (refusal.close or refusal.code in (421, 521)):
            self._engine.refuse(refusal)
            self._pump()
        else:
            self._engine.denied = refusal
            when(self.factory.spares(self), self._greet)

    def _greet(self, spared: bool) -> None:
        if self._lost or self._closing:
            return
        timeouts = self._context.timeouts
        self._timer = self._context.clock.callLater(timeouts.idle, self._timed_out)
        self._ticking = True
        self._deadline = self._context.clock.seconds() + timeouts.idle
        self._engine.greet(self.client.label, spared)
        self._pump()

    def drain(self) -> None:
        """
        The server stops: say 421 at once, or when the transaction is over.
        """
        self._engine.drain()
        if self.transport is None:
            return  # it is only being made
        if not self._named:
            # A name would come too late.
            self._name(_NAMELESS)
        self._pump()

    def stop(self) -> None:
        """
        The server stops, and waits no longer.
        """
        if self._engine.committing:
            return
        self._engine.stop()
        self._pump()

    def abort(self) -> None:
        """
        Hang up at once.
        """
        if not self._lost:
            self.transport.abortConnection()

    def hasten(self, context: Context) -> None:
        """
        The server is under stress.

        @param context: how much time there is from now on.
        """
        self._context = context
        self._renew()

    def _hang_up(self) -> None:
        if self._closing:
            return
        self._closing = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._ticking = False
        # A producer that is paused would keep the connection open.
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        if not getattr(self.transport, "ending", False):
            context = self._context
            self._timer = context.clock.callLater(context.timeouts.close, self.abort)

    # Time.

    def _touch(self, timer: IDelayedCall, length: int) -> None:
        """
        Octets have arrived, and while content is read they buy time.
        """
        timeouts = self._context.timeouts
        if self._exchange.reading:
            now = self._context.clock.seconds()
            more = self._deadline + length / timeouts.min_rate
            self._deadline = min(more, now + timeouts.idle)
            timer.reset(max(0, self._deadline - now))

    def _renew(self) -> None:
        """
        A request was answered: the next one has all the time.
        """
        if self._ticking and self._timer is not None:
            idle = self._context.timeouts.idle
            self._deadline = self._context.clock.seconds() + idle
            self._timer.reset(idle)

    def _timed_out(self) -> None:
        if self._unread:
            self.abort()
            return
        if self._engine.busy:
            # It is we who are slow.
            clock = self._context.clock
            self._timer = clock.callLater(self._context.timeouts.idle, self._timed_out)
            return
        self._ticking = False
        self._engine.time_out()
        self._pump()

    # The engine's side.

    def _pump(self) -> None:
        """
        Do what the engine wants, and send what it says.
        """
        if self._pumping:
            return
        engine, handlers = self._engine, self.handlers
        self._pumping = True
        try:
            while (request := engine.next()) is not None:
                handlers[type(request)](self, request)
        finally:
            self._pumping = False
        if self._lost:
            return
        out = engine.output()
        if out:
            self.transport.write(out)
            if self._context.timeouts.per_request:
                self._renew()
        if engine.closed:
            self._hang_up()
        elif engine.busy:
            self._hold_back()
        elif self._paused:
            self._read_on()
