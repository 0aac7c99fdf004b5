"""
Doubles of everything around the SMTP server, and a connection to talk to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from txmta.address import split
from txmta.config.settings import Settings
from txmta.errors import TableUnavailable
from txmta.events import Event, Warn
from txmta.interfaces import (
    IAddressResolver,
    ICleanup,
    ICleanupMessage,
    IClientList,
    IClientNames,
    IEventSink,
    IPostmaster,
)
from txmta.log.postfix import line
from txmta.maps.registry import TableRegistry
from txmta.model import (
    AddressClass,
    ClientName,
    Envelope,
    Reply,
    Route,
    Submission,
)
from txmta.smtp.server import SMTPServer
from txmta.smtp.service import Services, server_factory

STRANGER = "192.0.2.1"
FRIEND = "127.0.0.1"

#: Settings of the golden sessions; they agree with the interop tests.
HOST = "mx.example.org"


@implementer(IEventSink)
class Sink:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def warn(self, text: str) -> None:
        self.emit(Warn("smtpd", text))

    @property
    def lines(self) -> list[str]:
        return [line(event) for event in self.events]


@implementer(IClientList)
class Listed:
    """
    @ivar later: answers come as a Deferred, kept in C{waiting}.
    """

    def __init__(self, items: Collection[str] = (), broken: bool = False) -> None:
        self.items = items
        self.broken = broken
        self.later = False
        self.waiting: list[Deferred[bool]] = []

    def match_client(self, name: str, address: str) -> bool | Deferred[bool]:
        if self.broken:
            raise TableUnavailable("hash:/broken", "no such file")
        if self.later:
            answer: Deferred[bool] = Deferred()
            self.waiting.append(answer)
            return answer
        return name in self.items or address in self.items


@implementer(IAddressResolver)
class Addresses:
    """
    C{example.org} is ours, with C{user}, C{other}, C{a.b} and C{postmaster};
    there is one domain of each other class.
    """

    classes = {
        "example.org": AddressClass.LOCAL,
        HOST: AddressClass.LOCAL,
        "[127.0.0.1]": AddressClass.LOCAL,
        "relay.example": AddressClass.RELAY,
        "virt.example": AddressClass.VIRTUAL_MAILBOX,
        "valias.example": AddressClass.VIRTUAL_ALIAS,
    }
    users = {"user", "other", "postmaster", "a.b", "v", "r", "a", ""}

    def __init__(self) -> None:
        self.broken = False
        self.later: list[Deferred[Route]] | None = None

    def rewrite(self, address: str, local: bool) -> str:
        return address if "@" in address or not local else f"{address}@{HOST}"

    def resolve(self, address: str, sender: str = "") -> Route | Deferred[Route]:
        if self.broken:
            raise TableUnavailable("hash:/transport", "no such file")
        if self.later is not None:
            answer: Deferred[Route] = Deferred()
            self.later.append(answer)
            return answer
        return self.route(address)

    def route(self, address: str) -> Route:
        routed = False
        local, domain = split(address)
        name = domain.lower().rstrip(".")
        if self.classes.get(name) is AddressClass.LOCAL and (
            "%" in local or "@" in local
        ):
            address, routed = local.replace("%", "@"), True
            name = split(address)[1].lower()
        found = self.classes.get(name, AddressClass.DEFAULT)
        routed = routed and found is not AddressClass.LOCAL
        return Route(found, "smtp", name, address, routed)

    def validate(
        self, address: str, route: Route, as_sender: bool = False
    ) -> bool | Deferred[bool]:
        if route.address_class is AddressClass.DEFAULT:
            return True
        return split(address)[0].lower() in self.users


@implementer(ICleanupMessage)
class Taken:
    """
    A message that cleanup got.
    """

    def __init__(self, envelope: Envelope, cleanup: Cleanup) -> None:
        self.envelope = envelope
        self.blocks: list[bytes] = []
        self.finished = False
        self.aborted = False
        self._cleanup = cleanup

    @property
    def content(self) -> bytes:
        return b"".join(self.blocks)

    def write(self, block: bytes) -> None:
        self.blocks.append(block)

    def finish(self) -> Reply | Deferred[Reply]:
        self.finished = True
        answer = self._cleanup.answer
        if answer is not None:
            return answer()
        return Reply(250, "2.0.0", f"Ok: queued as {self.envelope.queue_id}")

    def amend(self, envelope: Envelope) -> None:
        self.envelope = envelope

    def abort(self) -> None:
        assert not (self.aborted or self.finished), "told once"
        self.aborted = True


@implementer(ICleanup)
class Cleanup:
    def __init__(self) -> None:
        self.messages: list[Taken] = []
        self.answer: Callable[[], Reply | Deferred[Reply]] | None = None

    def open(self, envelope: Envelope, submission: Submission | None = None) -> Taken:
        taken = Taken(envelope, self)
        self.messages.append(taken)
        return taken

    @property
    def queued(self) -> list[Taken]:
        return [m for m in self.messages if m.finished]


class Store:
    """
    As much of a queue store as the SMTP server uses.
    """

    def __init__(self) -> None:
        self.full: Reply | None = None
        self.free: int | None = 1 << 40
        self.ids = 0

    def new_id(self) -> str:
        self.ids += 1
        return f"ID{self.ids}"

    def refusal(self) -> Reply | None:
        return self.full

    def free_space(self) -> int | None:
        return self.free


@implementer(IClientNames)
class Names:
    def __init__(self) -> None:
        self.later: Deferred[ClientName] | None = None

    def name(self, address: str) -> ClientName | Deferred[ClientName]:
        if self.later is not None:
            return self.later
        return (
            ClientName("localhost", "localhost") if address == FRIEND else ClientName()
        )


class Transport(StringTransport):
    """
    @ivar aborted: C{abortConnection} was called.
    @ivar ending: what L{DirectServer<txmta.smtp.transport.DirectServer>} says.
    """

    ending = False

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass


@dataclass
class World:
    """
    An SMTP server without a network.
    """

    settings: Settings
    clock: Clock = field(default_factory=Clock)
    sink: Sink = field(default_factory=Sink)
    cleanup: Cleanup = field(default_factory=Cleanup)
    store: Store = field(default_factory=Store)
    addresses: Addresses = field(default_factory=Addresses)
    names: Names = field(default_factory=Names)
    lists: dict[str, Listed] = field(default_factory=dict)
    postmaster: IPostmaster | None = None

    def __post_init__(self) -> None:
        friends = Listed((FRIEND,))
        for name in (
            "mynetworks",
            "smtpd_client_event_limit_exceptions",
            "smtpd_forbid_bare_newline_exclusions",
            "smtpd_authorized_xclient_hosts",
            "smtpd_authorized_xforward_hosts",
            "debug_peer_list",
        ):
            self.lists.setdefault(name, friends)
        self.factory = server_factory(self.settings, self.services())

    def services(self) -> Services:
        store: Any = self.store
        return Services(
            self.clock,
            lambda: 1_700_000_000.0,
            self.sink,
            self.cleanup,
            store,
            self.addresses,
            self.names,
            self.lists.__getitem__,
            {FRIEND},
            self.postmaster,
            TableRegistry(self.clock.seconds, self.sink.lines.append).table,
        )

    def connect(self, address: str = STRANGER) -> Talk:
        server = self.factory.buildProtocol(IPv4Address("TCP", address, 4711))
        transport = Transport()
        server.makeConnection(transport)
        return Talk(server, transport)


@dataclass
class Talk:
    """
    One connection.
    """

    server: SMTPServer
    transport: Transport

    def say(self, octets: bytes) -> bytes:
        """
        @return: what the server says to it.
        """
        self.server.dataReceived(octets)
        return self.heard()

    def heard(self) -> bytes:
        out: bytes = self.transport.value()
        self.transport.clear()
        return out

    def hang_up(self) -> None:
        from twisted.internet.error import ConnectionDone
        from twisted.python.failure import Failure

        self.server.connectionLost(Failure(ConnectionDone()))


def world(**values: str) -> World:
    values.setdefault("myhostname", HOST)
    values.setdefault("smtpd_error_sleep_time", "0")
    values.setdefault("queue_directory", "/nonexistent")
    return World(Settings.of(**values))
