"""
An SMTP client connection: the only I/O of the client.

Owns: one connection, its timer, and back-pressure while content goes out.
Knows nothing of: SMTP; that is L{txmta.smtp.client_engine}. Who is connected
    to and why; that is the delivery agent.

What is written leaves at once if the socket takes it: Twisted's own write
waits for the next turn of the loop, which costs a fifth of a delivery. Only
what does not fit goes the usual way, and all that follows queues up behind
it, until it has drained.

Sources: Postfix C{src/smtp/smtp_proto.c} (time limits);
C{twisted.internet.interfaces.ISystemHandle}.

Errors: none; a connection that breaks is an event of the engine.
"""

# Over budget: one connection has many moments, and each is short.

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IHandshakeListener,
    IReactorTime,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.mime import MimeRules
from txmta.smtp import client_trouble as trouble
from txmta.smtp.client_commands import Transaction
from txmta.smtp.client_engine import ClientEngine
from txmta.smtp.client_events import Event, GoAhead, Over, Stage, StartTls, Target
from txmta.smtp.client_recording import Unrecorded
from txmta.smtp.client_tls_trouble import why
from txmta.smtp.client_upload import Body, Drain, Upload
from txmta.smtp.downgrade import Downgrade
from txmta.smtp.stuffing import Stuffer

if TYPE_CHECKING:
    from txmta.smtp.client_tls import TlsStart


@dataclass(frozen=True, slots=True)
class Limits:
    """
    @ivar seconds: for each L{Stage}, in its order; 0 for no limit.
    @ivar line_length: smtp_line_length_limit.
    @ivar await_goodbye: wait for the answer to QUIT.
    @ivar conversion: of 8-bit content for a server without 8BITMIME; L{None}
        to send it as it is.
    """

    seconds: Sequence[float]
    line_length: int = 998
    await_goodbye: bool = False
    conversion: MimeRules | None = None


#: Seconds for the end of TLS.
GOODBYE = 5

# Recorded in place of what proves who we are: that is nobody's to read.
_LOGIN = b"AUTH ...\r\n"


def _nobody(event: Event) -> None:
    """
    Hears what no one waits for any more.
    """


@implementer(IHandshakeListener)
class ClientConnection(Protocol):  # Over budget: see above.
    """
    One connection, for one transaction after another.

    @ivar relay: C{host[address]:port}, for C{relay=} in the log.
    @ivar opened: when the handshake was done, on the clock.
    @ivar listener: gets the engine's events but L{GoAhead}; whoever has the
        connection in hand sets it.
    @ivar failure: why the content could not be read, if so.
    @ivar recording: keeps what is said, if somebody may want to know.
    @ivar tls: how TLS is done here, if at all.
    @ivar tls_begun: it was tried.
    """

    def __init__(
        self,
        engine: ClientEngine,
        target: Target,
        clock: IReactorTime,
        limits: Limits,
        listener: Callable[[Event], None],
    ) -> None:
        self.engine = engine
        self.target = target
        self.relay = target.relay
        self.listener = listener
        self.opened = 0.0
        self.failure: Failure | None = None
        self.recording = Unrecorded()
        self.tls: TlsStart | None = None
        self.tls_begun = False
        self._clock = clock
        self._limits = limits
        self._body: Body | None = None
        self._conversion: MimeRules | None = None
        self._upload: Upload | None = None
        self._socket: socket.socket | None = None
        self._queued = False  # the transport has octets that have not left
        self._timer: IDelayedCall | None = None
        self._fires = 0.0  # when the timer does
        self._deadline: float | None = None

    # What the agent calls.

    def begin(self, transaction: Transaction, body: Body) -> None:
        """
        Start a transaction; its events may come before this returns.
        """
        self._body = body
        seven_bit = transaction.body != "8BITMIME" or self.engine.offered.eight_bit
        self._conversion = None if seven_bit else self._limits.conversion
        self.recording.begin(transaction.envelope.sender)
        events = self.engine.begin(transaction)
        self._arm()
        self._handle(events)

    def quit(self) -> None:
        """
        Say goodbye and hang up.
        """
        self.listener = _nobody
        self.engine.quit()
        self._flush()
        if self._limits.await_goodbye and self.engine.stage is Stage.QUIT:
            self._arm()
        else:
            self._hang_up()

    # What Twisted calls.

    def connectionMade(self) -> None:
        transport = self._tcp
        if self.target.port:
            transport.setTcpNoDelay(True)
        if ISystemHandle.providedBy(transport):
            handle = cast(ISystemHandle, transport).getHandle()
            if isinstance(handle, socket.socket):
                self._socket = handle
        if self.tls is not None and self.tls.wrapper:
            self.engine.wrapped()
            self._start_tls()
        self._arm()

    def dataReceived(self, data: bytes) -> None:
        engine = self.engine
        self.recording.heard(data)
        heard = engine.replies
        events = engine.receive(data)
        # Only a whole reply buys more time, so that a server cannot hold us
        # with an octet now and then.
        if engine.replies != heard:
            self._arm()
        self._handle(events)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._socket = None
        if self.tls is not None and self.engine.stage is Stage.TLS:
            self.tls.broke(*why(reason))
        if self._upload and (octets := self._upload.last_words()):
            self.dataReceived(octets)
        self._stop_timer()
        self._stop_upload()
        self._handle(self.engine.lost())
        self._stop_timer()  # of a goodbye that nobody hears
        self.recording.tell()

    def handshakeCompleted(self) -> None:
        """
        See L{IHandshakeListener}.
        """
        assert self.tls is not None, "TLS was begun"
        problem = self.tls.completed(self._handle_of_tls)
        if problem is not None:
            self._handle(self.engine.abandon(problem, polite=True))
            return
        self.engine.secured(self.tls.verified, self.tls.wrapper)
        self._arm()
        self._handle([])

    # What the upload calls.

    def moved(self) -> None:
        """
        The server has taken a block.
        """
        self._arm()

    def uploaded(self) -> None:
        """
        The server has taken everything.
        """
        self._stop_upload()
        self.engine.sent()
        self._arm()

    def upload_failed(self, failure: Failure) -> None:
        """
        The content cannot be read.
        """
        self.failure = failure
        words = f"local data error while talking to {self.target.label}"
        self._handle(self.engine.abandon(trouble.Trouble("4.3.0", words)))

    @property
    def shareable(self) -> bool:
        """
        Whether other messages may follow, as far as TLS is concerned.
        """
        return not self.tls_begun or (self.tls is not None and self.tls.policy.reuse)

    # Inside.

    @property
    def _tcp(self) -> ITCPTransport:
        return cast(ITCPTransport, self.transport)

    @property
    def _consumer(self) -> IConsumer:
        return cast(IConsumer, self.transport)

    @property
    def _handle_of_tls(self) -> Any:
        return cast(ISystemHandle, self.transport).getHandle()

    def _start_tls(self) -> None:
        # From now on all goes through the transport.
        self._socket, self.tls_begun = None, True
        cast(ITLSTransport, self.transport).startTLS(cast(Any, self.tls))

    def _handle(self, events: list[Event]) -> None:
        if self.engine.out:
            self._flush()
        for event in events:
            if type(event) is GoAhead:
                # Only if nothing came in the same breath that ended it.
                if self.engine.stage is Stage.CONTENT:
                    self._send_content()
                continue
            if type(event) is StartTls:
                self._start_tls()
                self._arm()
                continue
            if type(event) is Over:
                if self.tls_begun and self.tls is not None and event.reusable:
                    self.tls.remember(self._handle_of_tls)
                self._body = None
                self._deadline = None
                if not event.reusable:
                    self._hang_up()
            self.listener(event)

    def _flush(self) -> None:
        if octets := self.engine.take():
            self.recording.said(_LOGIN if self.engine.stage is Stage.AUTH else octets)
            self._send(octets)

    def _send(self, octets: bytes) -> None:
        if self._socket is None or self._queued:
            self._tcp.write(octets)
            return
        try:
            count = self._socket.send(octets)
        except OSError:
            # Full, or broken; the transport finds out which.
            count = 0
        if count < len(octets):
            self._queued = True
            self._tcp.write(octets[count:])
            if self._upload is None:
                self._consumer.registerProducer(Drain(self._drained), False)

    def _drained(self) -> None:
        self._consumer.unregisterProducer()
        self._queued = False
        if self.engine.stage is Stage.CONTENT:
            self.engine.sent()
            self._arm()

    def _send_content(self) -> None:
        body = self._body
        assert body is not None, "content is asked for in a transaction only"
        if self._queued:
            # It answers what it cannot have read yet.
            label = self.target.label
            words = trouble.garbage(label, "premature response", b"", "sending DATA")
            self._handle(self.engine.abandon(words))
            return
        plain = Stuffer(self._limits.line_length)
        conversion = self._conversion
        stuffer = plain if conversion is None else Downgrade(conversion, plain)
        if body.whole is None:
            self._queued = True
            twin = self._socket and self._socket.dup()
            self._upload = Upload(body, stuffer, self._tcp.write, self, twin)
            self._consumer.registerProducer(self._upload, False)
            return
        octets = stuffer.feed(body.whole) + stuffer.finish()
        body.broken |= stuffer.broken
        self._send(octets)
        if not self._queued:
            self.engine.sent()
        self._arm()

    def _stop_upload(self) -> None:
        if self._upload is not None:
            self._upload.stopProducing()
            self._upload = None
            self._consumer.unregisterProducer()
            self._queued = False

    def _hang_up(self) -> None:
        self._stop_timer()
        if self._queued or self._upload is not None:
            # A peer that does not read would keep us waiting for ever; and
            # after half a message, no dot may follow.
            self._stop_upload()
            self._tcp.abortConnection()
        else:
            self._tcp.loseConnection()
            if self.tls_begun:
                # Which waits for the peer to say goodbye, too.
                self._timer = self._clock.callLater(GOODBYE, self._cut)

    def _cut(self) -> None:
        self._timer = None
        self._tcp.abortConnection()

    def _arm(self) -> None:
        """
        Give the stage its time. The timer itself is moved as rarely as
        possible: it looks at the deadline when it fires.
        """
        seconds = self._limits.seconds[self.engine.stage]
        if not seconds:
            self._deadline = None
            return
        deadline = self._deadline = self._clock.seconds() + seconds
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._fired)
        elif self._fires > deadline:
            self._timer.reset(seconds)
        else:
            return
        self._fires = deadline

    def _fired(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        left = self._deadline - self._clock.seconds()
        if left > 0:
            self._timer = self._clock.callLater(left, self._fired)
            self._fires = self._deadline
            return
        self._queued = True  # whatever is there is not wanted
        self._handle(self.engine.timed_out())

    def _stop_timer(self) -> None:
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
