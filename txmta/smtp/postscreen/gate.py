"""
Clients before the screen: their connections, and how they come to smtpd.

Owns: transports, timers, how many there are of a client.
Knows nothing of: tests (L{txmta.smtp.postscreen.screen}).

Sources: Postfix C{postscreen/postscreen.c}, C{postscreen_send.c}.

Errors: none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from txmta.errors import TableUnavailable
from txmta.events import Note, Warn
from txmta.interfaces import IClientList, IEventSink, ITable
from txmta.smtp.postscreen.cache import ScreenCache
from txmta.smtp.postscreen.effects import (
    Arrival,
    End,
    Keep,
    Log,
    Look,
    Pass,
    Phase,
    Say,
    Score,
    Wait,
)
from txmta.smtp.postscreen.lists import Inquiry, Lists
from txmta.smtp.postscreen.rules import ScreenRules
from txmta.smtp.postscreen.screen import Screen
from txmta.smtp.session import plain_address

_log = Logger()

#: Octets that a client may say too early.
MAX_EARLY = 65536

#: Seconds for our last words.
CLOSING = 5.0

#: An item of postscreen_access_list: a word, or a list or table to ask.
Item = str | IClientList | ITable


@dataclass(frozen=True)
class Surroundings:
    """
    What the gate needs.

    @ivar clock: monotonic; C{now} is wall time.
    @ivar access: postscreen_access_list.
    @ivar interfaces: postscreen_allowlist_interfaces.
    """

    clock: IReactorTime
    now: Callable[[], float]
    sink: IEventSink
    lists: Lists
    cache: ScreenCache
    access: Sequence[Item] = ()
    interfaces: IClientList | None = None


class Gate(Factory):
    """
    Makes a connection for each client; those that pass get one of smtpd.

    @ivar counted: told by how many connections have become more.
    """

    noisy = False

    def __init__(self, rules: ScreenRules, around: Surroundings, smtpd: Any) -> None:
        """
        @param smtpd: the factory of its sessions.
        """
        self.rules = rules
        self.around = around
        self.smtpd = smtpd
        self.connections: set[Screened] = set()
        self.together: Counter[str] = Counter()
        self.counted: Callable[[int], object] = lambda more: None

    def buildProtocol(self, addr: Any) -> Screened:
        return Screened(self, addr)

    def stop(self) -> None:
        """
        The server stops: nobody is tested any more.
        """
        for connection in list(self.connections):
            connection.stop()

    async def arrival(self, address: str, port: int, host: Any) -> Arrival:
        """
        @param host: of our end of the connection.
        """
        server = plain_address(getattr(host, "host", None) or "")
        return Arrival(
            address,
            port,
            (server, getattr(host, "port", 0)),
            await self._listed(address),
            self.together[address],
            len(self.connections),
            self.around.cache.find(address),
            await self._here(server),
        )

    async def _listed(self, address: str) -> str:
        """
        What postscreen_access_list says; a table that cannot be asked ends it.
        """
        try:
            for item in self.around.access:
                word = await _word(item, address)
                if word in ("permit", "reject"):
                    return word
                if word == "dunno" and not isinstance(item, str):
                    return word
        except TableUnavailable as e:
            self.around.sink.emit(Warn("postscreen", f"postscreen_access_list: {e}"))
        return "dunno"

    async def _here(self, server: str) -> bool:
        interfaces = self.around.interfaces
        if interfaces is None:
            return True
        try:
            match = interfaces.match_client("unknown", server)
            return await match if isinstance(match, Deferred) else match
        except TableUnavailable:
            return False


async def _word(item: Item, address: str) -> str:
    if isinstance(item, str):
        return item
    if IClientList.providedBy(item):
        match: Any = item.match_client("unknown", address)
        if isinstance(match, Deferred):
            match = await match
        return "permit" if match else ""
    found: Any = item.lookup(address)
    if isinstance(found, Deferred):
        found = await found
    return str(found or "").strip().lower()


class Screened(Protocol):
    """
    One client that is being tested.
    """

    transport: Any

    def __init__(self, gate: Gate, addr: Any) -> None:
        self._gate = gate
        self._addr = addr
        self._address = plain_address(getattr(addr, "host", "") or "127.0.0.1")
        self._screen: Screen | None = None
        self._inquiry: Inquiry | None = None
        self._timer: IDelayedCall | None = None
        self._early = b""
        self._room = MAX_EARLY
        self._gone = False

    def connectionMade(self) -> None:
        gate = self._gate
        gate.connections.add(self)
        gate.together[self._address] += 1
        gate.counted(1)
        port = getattr(self._addr, "port", 0)
        arriving = Deferred.fromCoroutine(
            gate.arrival(self._address, port, self.transport.getHost())
        )
        arriving.addCallbacks(self._arrived, self._broken)

    def _broken(self, failure: Failure) -> None:
        _log.failure("a client cannot be tested", failure)
        self.transport.abortConnection()

    def _arrived(self, arrival: Arrival) -> None:
        if self._gone:
            return
        around = self._gate.around
        self._screen = Screen(self._gate.rules, arrival)
        self._screen.begin(around.clock.seconds(), around.now())
        self._do()
        early, self._early = self._early, b""
        if early and not self._gone:
            self.dataReceived(early)

    def dataReceived(self, data: bytes) -> None:
        screen = self._screen
        if screen is None or screen.phase is Phase.EARLY:
            self._room -= len(data)
            if self._room < 0:
                self.transport.pauseProducing()
        if screen is None:
            self._early += data
        else:
            screen.heard(data, self._seconds())
            self._do()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        screen = self._screen
        if self._gone:
            return
        if screen is not None and screen.phase is not Phase.OVER:
            screen.hung_up(self._seconds())
            self._do()
        self._leave()

    def stop(self) -> None:
        """
        The server stops.
        """
        if self._screen is None:
            self.transport.abortConnection()
        else:
            self._screen.stop()
            self._do()

    def _seconds(self) -> float:
        return self._gate.around.clock.seconds()

    def _do(self) -> None:
        """
        What the screen wants.
        """
        screen, around = self._screen, self._gate.around
        assert screen is not None, "it has begun"
        if self._room < 0 and screen.phase is not Phase.EARLY:
            self._room = MAX_EARLY
            self.transport.resumeProducing()
        for effect in screen.take():
            if isinstance(effect, Log):
                around.sink.emit(Note("postscreen", effect.text))
            elif isinstance(effect, Say):
                self.transport.write(effect.octets)
            elif isinstance(effect, Wait):
                self._wait(effect.seconds)
            elif isinstance(effect, Look):
                self._look()
            elif isinstance(effect, Keep):
                around.cache.keep(self._address, effect.stamps)
            elif isinstance(effect, Pass):
                self._pass(effect.said)
            elif isinstance(effect, End):
                self._hang_up()

    def _wait(self, seconds: float) -> None:
        self._stop_timer()
        clock = self._gate.around.clock
        self._timer = clock.callLater(seconds, self._waited)

    def _waited(self) -> None:
        screen = self._screen
        if screen is None or self._gone:
            return
        if screen.phase is Phase.EARLY:
            score = self._inquiry.score() if self._inquiry else Score()
            screen.waited(score, self._seconds())
        else:
            screen.late(self._seconds())
        self._do()

    def _look(self) -> None:
        lists = self._gate.around.lists
        self._inquiry = lists.ask(self._address, self._scored)
        if not self._inquiry.open:
            # The answers were there before we knew whom we asked.
            self._scored()

    def _scored(self) -> None:
        inquiry, screen = self._inquiry, self._screen
        if inquiry is None or screen is None or self._gone:
            return
        screen.scored(inquiry.score(), self._seconds())
        self._do()

    def _pass(self, said: bytes) -> None:
        """
        The same connection, but smtpd's.
        """
        transport, gate = self.transport, self._gate
        self._leave()
        server = gate.smtpd.buildProtocol(self._addr)
        if server is None:
            transport.abortConnection()
            return
        transport.protocol = server
        said += self._early
        self._early = b""
        server.makeConnection(transport)
        if said:
            server.dataReceived(said)

    def _hang_up(self) -> None:
        self._stop_timer()
        self.transport.loseConnection()
        if self._gone:
            return
        clock = self._gate.around.clock
        self._timer = clock.callLater(CLOSING, self.transport.abortConnection)

    def _leave(self) -> None:
        self._gone = True
        self._stop_timer()
        gate = self._gate
        gate.connections.discard(self)
        gate.together[self._address] -= 1
        if gate.together[self._address] <= 0:
            del gate.together[self._address]
        gate.counted(-1)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
