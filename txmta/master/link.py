"""
One end of a link between two processes of the server.

The peer may be in the hands of somebody else: whatever it sends or does not
read costs us a bounded amount of memory and of time at a stretch, and ends in
one log line and the end of the link. Who then ends the peer's process is not
our business; L{lost} tells.

Owns: what a peer may say (types with their schemas), how long it may take to
read, how much may wait; gathering of what is sent in one turn of the reactor.
Knows nothing of: what records mean; processes.

Reading is never stopped because writing is: two ends that do so wait for each
other for ever. Limit what is under way at the one who asks.

Errors: none; a handler raises L{BadRecord<txmta.master.records.BadRecord>} for
what it does not take. Anything else that it raises is a bug, logged as such,
and ends the link too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast

from twisted.internet.interfaces import (
    IDelayedCall,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.master.frames import BadFrame, FrameReader, Record, encode
from txmta.master.records import BadRecord, Schema

Handlers = Mapping[str, tuple[Schema, Callable[[Record], None]]]

#: Octets that may wait for a peer to read.
MAX_WAITING = 8 << 20

#: Seconds that a peer may take to read, and to end a frame that it began.
STALL = 10.0

#: Records handled at a stretch; others of the process then get their turn.
TURN = 250

#: Octets given to the transport at once. More than its C{bufferSize}, so that
#: it says when they are sent; and not so many that a slow peer needs long.
_WRITE = 131072


@implementer(IPushProducer)
class Link(Protocol):
    """
    @ivar peer: whom it leads to, for the log: C{"smtpd 3"}.
    """

    _log = Logger()

    def __init__(
        self,
        peer: str,
        handlers: Handlers,
        clock: IReactorTime,
        *,
        lost: Callable[[str], None],
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """
        @param handlers: for each type that the peer may send, its schema and
            whom to call.
        @param lost: called once, at the end, with the reason; not after
            L{close}.
        @param warn: gets the log line of a link that was dropped because of
            what the peer did.
        """
        self.peer = peer
        self._handlers = handlers
        self._clock = clock
        self._lost = lost
        self._warn = warn or self._log_warning
        self._reader = FrameReader()
        self._records: deque[Record] = deque()
        self._gathered: list[Record] = []
        self._out = bytearray()
        self._up = False
        self._blocked = False
        self._flushing: IDelayedCall | None = None
        self._going_on: IDelayedCall | None = None
        self._stall: IDelayedCall | None = None
        self._half: IDelayedCall | None = None
        self._ended = False

    # For the owner.

    def send(self, record: Record) -> None:
        """
        Never waits and never fails; what is sent over a link that is lost is
        lost too.
        """
        if self._ended:
            return
        self._gathered.append(record)
        if self._flushing is None and self._up:
            self._flushing = self._clock.callLater(0, self._flush)

    def close(self) -> None:
        """
        What was sent goes out first. Nothing more is handled, and C{lost} is
        not called.
        """
        if self._ended:
            return
        self._finish()
        if self._up:
            self._transport().write(bytes(self._out) + encode(self._gathered))
            self._out.clear()
            self._gathered.clear()
            self._transport().unregisterProducer()
            self._transport().loseConnection()

    # For the transport.

    def connectionMade(self) -> None:
        self._up = True
        self._transport().registerProducer(self, True)
        if self._gathered:
            self._flush()

    def dataReceived(self, data: bytes) -> None:
        if self._ended:
            return
        try:
            self._records += self._reader.feed(data)
        except BadFrame as e:
            self._drop(f"sent {e}")
            return
        self._watch_half()
        if self._going_on is None:
            self._handle()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._ended:
            self._finish()
            self._lost("the other end is gone")

    def pauseProducing(self) -> None:
        self._blocked = True
        if self._stall is None:
            self._stall = self._clock.callLater(STALL, self._stalled)

    def resumeProducing(self) -> None:
        self._blocked = False
        _cancel(self._stall)
        self._stall = None
        if not self._ended:
            self._write()

    def stopProducing(self) -> None:
        """
        The connection ends; C{connectionLost} comes.
        """

    # What comes.

    def _handle(self) -> None:
        """
        Handle what came, at most L{TURN} records at a stretch.
        """
        self._going_on = None
        for _ in range(min(TURN, len(self._records))):
            record = self._records.popleft()
            if not self._handled(record) or self._ended:
                return
        if self._records:
            # Nothing is read meanwhile: what waits stays bounded.
            self._transport().pauseProducing()
            self._going_on = self._clock.callLater(0, self._go_on)
        if self._gathered:
            self._flush()

    def _go_on(self) -> None:
        self._handle()
        if not self._ended and self._going_on is None:
            self._transport().resumeProducing()

    def _handled(self, record: Record) -> bool:
        kind = cast(str, record["t"])
        entry = self._handlers.get(kind)
        if entry is None:
            self._drop(f"sent a record of a type that is not its: {kind[:40]!r}")
            return False
        schema, handler = entry
        try:
            schema.check(record)
            handler(record)
        except BadRecord as e:
            self._drop(f"sent a bad record {kind}: {e}")
            return False
        except Exception:
            self._log.failure(
                "link to {peer}: record {kind}", peer=self.peer, kind=kind
            )
            self._drop(f"sent a record {kind} that could not be handled")
            return False
        return True

    def _watch_half(self) -> None:
        """
        A frame that was begun must end.
        """
        _cancel(self._half)
        self._half = None
        if self._reader.waiting:
            self._half = self._clock.callLater(
                STALL, self._drop, f"did not end a frame for {STALL:.0f} seconds"
            )

    # What goes.

    def _flush(self) -> None:
        _cancel(self._flushing)
        self._flushing = None
        gathered, self._gathered = self._gathered, []
        self._out += encode(gathered)
        self._write()
        if len(self._out) > MAX_WAITING:
            self._drop(f"does not read: {len(self._out)} octets wait")

    def _write(self) -> None:
        while self._out and not self._blocked:
            data = bytes(self._out[:_WRITE])
            del self._out[:_WRITE]
            self._transport().write(data)

    def _stalled(self) -> None:
        self._stall = None
        self._drop(f"does not read for {STALL:.0f} seconds")

    # The end.

    def _drop(self, reason: str) -> None:
        if self._ended:
            return
        self._finish()
        self._warn(f"link to {self.peer} dropped: it {reason}")
        self._transport().abortConnection()
        self._lost(reason)

    def _finish(self) -> None:
        self._ended = True
        self._records.clear()
        for call in (self._flushing, self._going_on, self._stall, self._half):
            _cancel(call)

    def _transport(self) -> Any:
        return self.transport

    def _log_warning(self, text: str) -> None:
        self._log.warn("{text}", text=text)


def _cancel(call: IDelayedCall | None) -> None:
    if call is not None and call.active():
        call.cancel()
