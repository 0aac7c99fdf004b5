"""
One end of a link between two processes of the server, on the reactor.

The peer may be in the hands of somebody else: whatever it sends or does not
read costs us a bounded amount of memory, and of time at a stretch, and ends in
one log line and the end of the link. Who then ends the peer's process is not
our business; C{lost} tells.

Owns: how long the peer may take to read and to end a frame, how much may wait
for it; that what is sent in one turn of the reactor goes in one write.
Knows nothing of: what records mean; processes; what the peer may say
(L{txmta.master.intake}).

Reading is never stopped because writing is: two ends that do so wait for each
other for ever. Limit what is under way at the one who asks.

Errors: none; a handler raises L{BadRecord<txmta.master.records.BadRecord>} for
what it does not take. Anything else that it raises is a bug, logged as such,
and ends the link too.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import (
    IDelayedCall,
    IFileDescriptorReceiver,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.master.descriptors import close_all
from txmta.master.frames import BadFrame, Record
from txmta.master.intake import Intake, Received, release
from txmta.master.outlet import Outlet
from txmta.master.records import BadRecord, Schema

#: For each type that the peer may send: its fields, and whom to call.
Handlers = Mapping[str, tuple[Schema, Callable[[Record], None]]]

#: Octets that may wait for the peer to read.
MAX_WAITING = 8 << 20

#: Seconds for which the peer may read nothing.
STALL = 10.0

#: Seconds from the first octet of a frame that did not come whole to its last.
#: Longer than L{STALL}: a busy peer may be in the middle of one.
HALF = 30.0

#: Records handled at a stretch; others of the process then get their turn.
TURN = 250


@implementer(IPushProducer, IFileDescriptorReceiver)
class Link(Protocol):
    """
    Descriptors need the transport of L{txmta.master.link_transport}.

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
        carriers: Collection[str] = (),
        ahead: Callable[[Sequence[Received]], None] | None = None,
    ) -> None:
        # Over budget: the last three have good defaults.
        """
        @param lost: called once, at the end, with the reason, never from
            within L{send}; not after L{close}.
        @param warn: gets the log line of a link that was dropped because of
            what the peer did; else twistd's log does.
        @param carriers: types of which each comes with one descriptor, which
            the handler has to take.
        @param ahead: told of what has come together before any of it is
            handled; it judges nothing.
        """
        self.peer = peer
        self._handlers = handlers
        self._clock = clock
        self._lost = lost
        self._warn = warn or self._log_warning
        self._ahead = ahead
        schemas = {kind: schema for kind, (schema, _) in handlers.items()}
        self._intake = Intake(schemas, carriers)
        self._came: deque[Received] = deque()
        self._early: list[int] = []
        self._current: int | None = None
        self._outlet = Outlet()
        self._blocked = self._ended = False
        self._flushing: IDelayedCall | None = None
        self._going_on: IDelayedCall | None = None
        self._stall: IDelayedCall | None = None
        self._half: IDelayedCall | None = None

    # For the owner.

    def send(self, record: Record, descriptor: int | None = None) -> None:
        """
        Never waits; what is sent over a link that is lost is lost too.

        @param descriptor: goes along, and is closed then, or at the end.
        @raise ValueError: it is longer than 1 MiB, or is not JSON.
        """
        if self._ended:
            if descriptor is not None:
                os.close(descriptor)
            return
        self._outlet.put(record, descriptor)
        if self._flushing is None and self.connected:
            self._flushing = self._clock.callLater(0, self._flush)

    def take_descriptor(self) -> int:
        """
        For the handler of a carrier.

        @return: the descriptor that came with the record; it is the caller's.
        """
        descriptor, self._current = self._current, None
        if descriptor is None:
            raise BadRecord("without its descriptor")
        return descriptor

    def close(self) -> None:
        """
        What was sent goes out first, if the peer reads it in time. Nothing
        more is handled, and C{lost} is not called.
        """
        if self._ended:
            return
        self._finish()
        if self.connected:
            self._flush()

    # For the transport.

    @property
    def descriptors_wanted(self) -> int:
        """
        How many descriptors may come in one reading.
        """
        return self._intake.wanted

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.registerProducer(self, True)
        self._flush()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        if self._ended or self._intake.wanted <= len(self._early):
            os.close(descriptor)
            self.descriptors_refused()
            return
        self._early.append(descriptor)

    def descriptors_refused(self) -> None:
        """
        Some came that are not wanted, or for which there is no room; they are
        closed already.
        """
        self._drop("sent descriptors that nobody asked for")

    def dataReceived(self, data: bytes) -> None:
        early, self._early = self._early, []
        if self._ended:
            close_all(early)
            return
        try:
            got = self._intake.feed(data, early)
        except BadFrame as e:
            self._drop(f"sent {e}")
            return
        except BadRecord as e:
            self._drop(f"sent a bad record {e}")
            return
        self._watch_half(bool(got))
        self._came += got
        if self._ahead is not None:
            self._ahead(got)
        if self._going_on is None:
            self._handle()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # What it said before it went counts.
        while self._came and not self._ended:
            self._handled(*self._came.popleft())
        ended = self._ended
        self._finish()
        _cancel(self._stall)
        self._outlet.close()
        if not ended:
            self._lost("the other end is gone")

    def pauseProducing(self) -> None:
        self._blocked = True
        if self._stall is None:
            self._stall = self._clock.callLater(STALL, self._stalled)

    def resumeProducing(self) -> None:
        self._blocked = False
        _cancel(self._stall)
        self._stall = None
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
        transport: Any = self.transport
        for _ in range(min(TURN, len(self._came))):
            self._handled(*self._came.popleft())
            if self._ended:
                return
        if self._came:
            if self._going_on is None:
                # What waits must not become more.
                transport.pauseProducing()
            self._going_on = self._clock.callLater(0, self._handle)
        elif self._going_on is not None:
            self._going_on = None
            transport.resumeProducing()
        if self._outlet:
            self._flush()

    def _handled(self, record: Record, descriptor: int | None) -> None:
        kind = str(record["t"])
        self._current = descriptor
        try:
            self._handlers[kind][1](record)
        except BadRecord as e:
            self._drop(f"sent a bad record {kind}: {e}")
        except Exception:
            self._log.failure("link to {p}: record {k}", p=self.peer, k=kind)
            self._drop(f"sent a record {kind} that could not be handled")
        finally:
            if self._current is not None:
                os.close(self._current)
                self._current = None

    def _watch_half(self, whole: bool) -> None:
        """
        A frame that was begun must end.

        @param whole: one did.
        """
        if self._half is not None and (whole or not self._intake.waiting):
            _cancel(self._half)
            self._half = None
        if self._half is None and self._intake.waiting:
            reason = f"did not end a frame for {HALF:.0f} seconds"
            self._half = self._clock.callLater(HALF, self._drop, reason)

    # What goes.

    def _flush(self) -> None:
        _cancel(self._flushing)
        self._flushing = None
        self._outlet.gather()
        self._write()
        if self._outlet.waiting > MAX_WAITING:
            self._drop(f"does not read: {self._outlet.waiting} octets wait")

    def _write(self) -> None:
        while not self._blocked and self._outlet.write(self.transport):
            pass
        if self._ended and not self._blocked:
            transport: Any = self.transport
            transport.unregisterProducer()
            transport.loseConnection()

    def _stalled(self) -> None:
        self._stall = None
        if self._ended:
            transport: Any = self.transport
            transport.abortConnection()
        self._drop(f"does not read for {STALL:.0f} seconds")

    # The end.

    def _drop(self, reason: str) -> None:
        if self._ended:
            return
        self._finish()
        self._warn(f"link to {self.peer} dropped: it {reason}")
        transport: Any = self.transport
        transport.abortConnection()
        self._lost(reason)

    def _finish(self) -> None:
        self._ended = True
        for call in (self._flushing, self._going_on, self._half):
            _cancel(call)
        release(self._came)
        close_all(self._early)
        self._came.clear()
        self._early.clear()
        self._intake.close()

    def _log_warning(self, text: str) -> None:
        self._log.warn("{text}", text=text)


def _cancel(call: IDelayedCall | None) -> None:
    if call is not None and call.active():
        call.cancel()
