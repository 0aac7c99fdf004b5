"""
A queue manager whose world is all doubles: store, clocks, resolver, agents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer

from txmta.config.settings import Settings
from txmta.events import Event
from txmta.interfaces import (
    IAddressResolver,
    IDeliveryAgent,
    IEventSink,
    IWorkElsewhere,
)
from txmta.log.postfix import line
from txmta.model import (
    LOCAL_CLIENT,
    Action,
    AddressClass,
    DeliveryRequest,
    Envelope,
    Outcome,
    QueueName,
    Recipient,
    Route,
)
from txmta.queue.manager import QueueManager
from txmta.queue.parts import QueueParts
from txmta.queue.store.memory import MemoryStore, Row

#: Wall time at the start of each test: 2026-11-24 03:50:52 UTC.
START = 1795492252.0

HOST = "mail.example.com"

Report = Callable[[Outcome], None]
E = TypeVar("E", bound=Event)


@implementer(IEventSink)
class Sink:
    """
    Keeps what happens.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def lines(self) -> list[str]:
        """
        @return: as the mail log has them, with the program in front.
        """
        return [f"{event.program}: {line(event)}" for event in self.events]

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


@implementer(IAddressResolver)
class Resolver:
    """
    Everything goes by smtp to its domain, but for what a test puts into
    C{routes}: a route, an error, or a Deferred of one, by address or domain.
    """

    def __init__(self) -> None:
        self.routes: dict[str, object] = {}

    def rewrite(self, address: str, local: bool) -> str:
        return address if "@" in address else f"{address}@{HOST}"

    def resolve(self, address: str, sender: str = "") -> Route | Deferred[Route]:
        domain = address.rpartition("@")[2]
        found = self.routes.get(address, self.routes.get(domain))
        if isinstance(found, Exception):
            raise found
        if found is None:
            return Route(AddressClass.DEFAULT, "smtp", domain, address)
        if isinstance(found, str):
            return Route(AddressClass.LOCAL, found, HOST, address)
        return cast("Route | Deferred[Route]", found)

    def validate(self, address: str, route: Route, as_sender: bool = False) -> bool:
        return True


class Hand:
    """
    A delivery that a test has in hand.
    """

    def __init__(self, request: DeliveryRequest, report: Report) -> None:
        self.request = request
        self.report = report
        self.ended: Deferred[None] = Deferred()

    @property
    def addresses(self) -> list[str]:
        return [r.address for r in self.request.recipients]

    def end(self, outcome: Callable[[Recipient], Outcome] | None = None) -> None:
        for recipient in self.request.recipients:
            self.report((outcome or sent)(recipient))
        self.ended.callback(None)


@implementer(IDeliveryAgent)
class Agent:
    """
    Delivers when the test says so, or at once if C{answer} is set.

    @ivar hands: all deliveries ever, in order.
    """

    name = "smtp"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.answer: Callable[[Recipient], Outcome] | None = None
        self.hands: list[Hand] = []
        self.times: list[float] = []

    def deliver(
        self, request: DeliveryRequest, report: Report
    ) -> Deferred[None] | None:
        hand = Hand(request, report)
        self.hands.append(hand)
        self.times.append(self._clock.seconds())
        if self.answer is None:
            return hand.ended
        hand.end(self.answer)
        return None

    @property
    def attempts(self) -> list[str]:
        return [address for hand in self.hands for address in hand.addresses]


def sent(recipient: Recipient) -> Outcome:
    return Outcome(
        recipient.n, Action.RELAYED, "2.0.0", "250 2.0.0 Ok", "x[1.2.3.4]:25"
    )


def no_user(recipient: Recipient) -> Outcome:
    said = "550 5.1.1 no such user"
    return Outcome(
        recipient.n,
        Action.FAILED,
        "5.1.1",
        f"host x[1.2.3.4] said: {said} (in reply to RCPT TO command)",
        "x[1.2.3.4]:25",
        "x",
        f"smtp; {said}",
    )


def busy(recipient: Recipient) -> Outcome:
    said = "450 4.2.0 mailbox busy"
    reason = f"host x[1.2.3.4] said: {said} (in reply to RCPT TO command)"
    return Outcome(
        recipient.n, Action.DELAYED, "4.2.0", reason, diagnostic=f"smtp; {said}"
    )


def refused(recipient: Recipient) -> Outcome:
    reason = "connect to x[1.2.3.4]:25: Connection refused"
    return Outcome(recipient.n, Action.DELAYED, "4.4.1", reason)


class World:
    """
    @ivar clock: monotonic.
    @ivar wall: what the wall clock shows, less the monotonic clock.
    @ivar agents: in place of C{agent} and C{local}, for the next manager.
    @ivar elsewhere: for the next manager.
    """

    def __init__(self, **settings: str) -> None:
        self.clock = Clock()
        self.clock.advance(100)
        self.wall = START - 100
        self.store = MemoryStore(self.now)
        self.sink = Sink()
        self.resolver = Resolver()
        self.agent = Agent(self.clock)
        self.local = Agent(self.clock)
        self.local.name = "local"
        self.settings = settings
        self.processes: dict[str, int] = {}
        self.agents: Mapping[str, IDeliveryAgent] = {}
        self.elsewhere: IWorkElsewhere | None = None
        self.manager = self.make_manager()

    def now(self) -> float:
        return self.wall + self.clock.seconds()

    def make_manager(self, **settings: str) -> QueueManager:
        agents: Mapping[str, IDeliveryAgent] = self.agents or {
            "smtp": cast(IDeliveryAgent, self.agent),
            "local": cast(IDeliveryAgent, self.local),
        }
        self.parts = QueueParts(
            self.store,
            cast(IAddressResolver, self.resolver),
            agents,
            self.processes,
            Settings.of(myhostname=HOST, **{**self.settings, **settings}),
            cast(IReactorTime, self.clock),
            self.now,
            cast(IEventSink, self.sink),
            lambda second: b"Tue, 24 Nov 2026 03:50:52 +0000 (UTC)",
            lambda e: f"Received: by {HOST}\r\n\tid {e.queue_id}\r\n".encode(),
            lambda value: value.replace("<MAILER-DAEMON>", f"<MAILER-DAEMON@{HOST}>"),
            self.elsewhere,
        )
        return QueueManager(self.parts)

    def start(self) -> None:
        self.manager.startService()

    def kill(self) -> None:
        """
        As kill -9: nothing happens any more, and claims are gone.
        """
        for call in list(self.clock.getDelayedCalls()):
            call.cancel()
        for row in self.store.rows.values():
            row.claimed = None
        self.store._doorbells.clear()

    def restart(self, **settings: str) -> None:
        """
        Kill the manager, and start another over the same store.
        """
        self.kill()
        self.manager = self.make_manager(**settings)
        self.start()

    def put(
        self,
        *addresses: str,
        sender: str = "sender@example.com",
        content: bytes = b"Subject: hi\r\n\r\nhello\r\n",
        recipients: Sequence[Recipient] | None = None,
        **fields: Any,
    ) -> str:
        """
        Commit a message.
        """
        queue_id = self.store.new_id()
        if recipients is None:
            recipients = [Recipient(n, a, a) for n, a in enumerate(addresses)]
        envelope = Envelope(
            queue_id, self.now(), sender, tuple(recipients), LOCAL_CLIENT, **fields
        )
        return self.store.insert(envelope, content)

    def row(self, queue_id: str) -> Row:
        return self.store.rows[queue_id]

    def queue(self, queue_id: str) -> QueueName | None:
        row = self.store.rows.get(queue_id)
        return row.queue if row else None

    def others(self, *queue_ids: str) -> list[Row]:
        """
        @return: messages in the queue but these.
        """
        return [r for i, r in sorted(self.store.rows.items()) if i not in queue_ids]

    def run(self, seconds: float, step: float = 1.0) -> None:
        """
        Let time pass on both clocks.
        """
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(min(step, end - self.clock.seconds()))
