"""
The queue manager: brings every message in the queue to its end.

Owns: the active queue and its bounds, when the store is asked for messages,
    start and stop.
Knows nothing of: SMTP, mailboxes, SQL; deliveries are the dispatcher's,
    endings the recorder's.

Sources: Postfix C{qmgr/qmgr.c}, C{qmgr/qmgr_active.c}, C{qmgr/qmgr_scan.c}.

Errors: none leaves here. A store that cannot answer is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txmta.events import Activated, Warn
from txmta.model import QueuedMessage, QueueName
from txmta.queue.active import ActiveMessage
from txmta.queue.backoff import SteadyTime
from txmta.queue.dispatcher import Dispatcher
from txmta.queue.parts import QueueParts
from txmta.queue.recorder import Recorder
from txmta.queue.rescue import MARGIN, rescue
from txmta.queue.router import Router

#: The most messages asked for at a time: more make a claim no cheaper (10 us
#: a message), and hold up the reactor.
PAGE = 20

#: Pages taken before others get their turn in the reactor.
PAGES = 5

#: Seconds between looks for mail whose doorbell was not heard, and between
#: records of what is final of long attempts.
TICK = 5.0

#: Seconds that deliveries in hand get to end when we stop.
DRAIN = 20.0

#: A time at which no deferred message is due: asks for new mail only.
NEVER = -1e9

ADJUSTED = (
    "bounce_queue_lifetime is larger than maximal_queue_lifetime - "
    "adjusting bounce_queue_lifetime"
)


class QueueManager(Service):
    """
    @ivar active: messages in memory, by queue id.
    @ivar dispatcher: for L{txmta.queue.succession}, before C{drain}.
    """

    log = Logger()

    def __init__(self, parts: QueueParts) -> None:
        settings = parts.settings
        self.active: dict[str, ActiveMessage] = {}
        self._parts = parts
        self._clock = parts.clock
        self._emit = parts.sink.emit
        self._steady = SteadyTime(parts.clock.seconds, parts.now)
        self._recorder = Recorder(parts, self._steady, self._finished, self._quiet)
        self.dispatcher = Dispatcher(
            parts, self._recorder.settle, self._steady.now, self._quiet
        )
        self._router = Router(parts, self.dispatcher)
        self._recipients = 0
        self._message_limit = settings.qmgr_message_active_limit
        self._recipient_limit = settings.qmgr_message_recipient_limit
        # Asking for one message at a time costs ten times as much.
        self._least_room = min(PAGE, max(self._message_limit // 4, 1))
        self._stopping = False
        self._claiming = False
        self._more = self._rang = False
        self._scan: float | None = None
        self._flushing = False
        self._timers: dict[str, IDelayedCall] = {}
        self._drained: list[Deferred[None]] = []

    def startService(self) -> None:
        """
        Take up all that is in the queue: new mail, and what is due.
        """
        super().startService()
        self._claiming = True  # nobody does before
        self._parts.ready().addCallback(self._begin).addErrback(self._bug)

    def _begin(self, _: object) -> None:
        self._claiming = False
        if self._stopping:
            return
        settings = self._parts.settings
        if settings.bounce_queue_lifetime > settings.maximal_queue_lifetime:
            self._warn(ADJUSTED)
        self._parts.store.listen(self.doorbell)
        self._run_deferred()
        self._tick()
        latest = self._steady.now() + settings.maximal_backoff_time + MARGIN
        Deferred.fromCoroutine(
            rescue(self._parts.store, self._clock, latest, lambda: self._stopping)
        ).addCallbacks(self._rescued, self._unread)

    def stopService(self) -> Deferred[None]:
        """
        @return: as C{drain}.
        """
        super().stopService()
        return self.drain()

    def drain(self, limit: float = DRAIN) -> Deferred[None]:
        """
        Start no more deliveries.

        @param limit: seconds.
        @return: fires when those in hand are over and recorded, at latest
            when the limit has passed.
        """
        self._stopping = True
        self.dispatcher.stop()
        self._recorder.tick()
        for name in ("tick", "scan", "fill"):
            self._cancel(name)
        done: Deferred[None] = Deferred()
        self._drained.append(done)
        if "drain" not in self._timers:
            self._later("drain", limit, self._end_drain)
        self._quiet()
        return done

    def doorbell(self, queue_ids: Sequence[str]) -> None:
        """
        New mail has been committed.
        """
        self._rang = self._more = True
        self._fill()

    def flush(self, queue_ids: Iterable[str] | None = None) -> Deferred[int]:
        """
        Try deferred mail now, dead destinations and deferred transports too
        (C{postqueue -f}, C{-i}).

        @param queue_ids: L{None} is all.
        @return: how many messages.
        """
        return self._parts.store.requeue(queue_ids).addCallback(self._requeued)

    def _requeued(self, count: int) -> int:
        self._flushing = True
        self.dispatcher.revive()
        # "Due now" is what the wall clock shows, which may have been set.
        self._scan = max(self._steady.now(), self._parts.now())
        self._fill()
        return count

    def _rescued(self, count: int) -> None:
        if count:
            self._warn(f"{count} deferred messages were due in a distant future")

    def _tick(self) -> None:
        self._later("tick", TICK, self._tick)
        self._recorder.tick()
        self.doorbell(())

    def _run_deferred(self) -> None:
        self._later("scan", self._parts.settings.queue_run_delay, self._run_deferred)
        self._scan = self._steady.now()
        self._fill()

    def _room(self) -> int:
        """
        @return: how many messages to ask for.
        """
        messages = len(self.active)
        room = min(self._message_limit - messages, PAGE)
        recipients = self._recipient_limit - self._recipients
        if self._recipients > messages:  # expect more of the same
            recipients = -(-recipients * messages // self._recipients)
        return min(room, recipients)

    def _fill(self) -> None:
        """
        Take messages from the store while there are more, and room.
        """
        if self._claiming:
            return  # whoever claims goes on
        for _ in range(PAGES):
            if not self._wanted():
                return
            self._claiming, self._rang = True, False
            limit = self._room()
            now = NEVER if self._scan is None else self._scan
            try:
                page = self._parts.store.claim(limit, now)
            except Exception:
                self._unclaimed(Failure())
                return
            if isinstance(page, Deferred):
                page.addCallbacks(self._claimed, self._unclaimed, (limit,))
                page.addErrback(self._bug)
                return
            self._take(page, limit)
        if self._wanted():
            self._later("fill", 0, self._fill)

    def _wanted(self) -> bool:
        wanted = self._more or self._scan is not None
        return wanted and not self._stopping and self._room() > 0

    def _claimed(self, page: Sequence[QueuedMessage], limit: int) -> None:
        self._take(page, limit)
        self._fill()

    def _unclaimed(self, failure: Failure) -> None:
        self._claiming = False
        self._unread(failure)

    def _unread(self, failure: Failure) -> None:
        self._warn(f"cannot read the queue: {failure.getErrorMessage()}")

    def _take(self, page: Sequence[QueuedMessage], limit: int) -> None:
        if self._stopping:
            return  # whoever starts next finds them
        flushing = self._flushing
        if len(page) < limit:
            self._more = self._rang
            self._scan = None
            self._flushing = False
        try:
            skew = self._steady.skew()
            for queued in page:
                self._activate(queued, skew, flushing)
        finally:
            self._claiming = False

    def _activate(self, queued: QueuedMessage, skew: float, flushing: bool) -> None:
        envelope = queued.envelope
        queue_id = envelope.queue_id
        if queue_id in self.active:
            self._warn(f"{queue_id}: claimed while active, ignored")
            return
        new = queued.queue is QueueName.INCOMING
        steady = self._steady
        message = ActiveMessage(
            queued,
            steady.arrival(queue_id, envelope.arrival, new, skew),
            steady.now(),
            flushing and not new,
        )
        count = len(envelope.recipients)
        self.active[queue_id] = message
        self._recipients += count
        self._emit(Activated("qmgr", queue_id, envelope.sender, queued.size, count))
        self._router.start(message)
        self._recorder.routed(message)

    def _finished(self, message: ActiveMessage, inserted: bool) -> None:
        del self.active[message.envelope.queue_id]
        self._recipients -= len(message.envelope.recipients)
        if inserted:
            self._more = self._rang = True
        if (self._more or self._scan is not None) and (
            not self.active or self._room() >= self._least_room
        ):
            self._fill()

    def _quiet(self) -> None:
        """
        Something came to its end: perhaps all has.
        """
        if not self._drained or self.dispatcher.hands:
            return
        self._recorder.flush()
        if not self._recorder.in_flight:
            self._end_drain()

    def _end_drain(self) -> None:
        self._cancel("drain")
        drained, self._drained = self._drained, []
        for done in drained:
            done.callback(None)

    def _later(self, name: str, delay: float, call: Callable[[], None]) -> None:
        self._cancel(name)
        self._timers[name] = self._clock.callLater(delay, call)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()

    def _warn(self, text: str) -> None:
        self._emit(Warn("qmgr", text))

    def _bug(self, failure: Failure) -> None:
        self.log.failure("bug in the queue manager", failure)
        self._warn(f"queue manager: {failure.getErrorMessage()}")
