"""
A network in memory: name servers and mail servers that do as they are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import ECONNREFUSED
from typing import Any

from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.delivery.doubles import NOW, Content, Sink
from tests.smtp.client.test_connection import Wire
from txmta.config.declare import Interface, System
from txmta.config.settings import Definition, Settings
from txmta.delivery.context import AgentContext
from txmta.delivery.smtp import SmtpAgent, lmtp_agent
from txmta.errors import ResolverUnavailable
from txmta.events import Note
from txmta.interfaces import IResolver
from txmta.model import (
    LOCAL_CLIENT,
    Answer,
    DeliveryRequest,
    Envelope,
    Mx,
    Outcome,
    Recipient,
)
from txmta.smtp.client import ClientConnection

#: Our own addresses.
OWN = ("192.0.2.99", "2001:db8::99")

SYSTEM = System("me.example.org", [Interface(a, f"{a}/32") for a in OWN])

#: What a friendly server says to each command.
FRIENDLY: Mapping[str, bytes | None] = {
    "": b"220 mail ESMTP\r\n",
    "EHLO": b"250-mail\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    "HELO": b"250 mail\r\n",
    "LHLO": b"250-mail\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    "MAIL": b"250 2.1.0 ok\r\n",
    "RCPT": b"250 2.1.5 ok\r\n",
    "DATA": b"354 go\r\n",
    ".": b"250 2.0.0 Ok: queued as X\r\n",
    "RSET": b"250 2.0.0 ok\r\n",
    "QUIT": b"221 2.0.0 bye\r\n",
}


def server(**replies: bytes | None) -> dict[str, bytes | None]:
    """
    A friendly server, but for some replies. C{greeting}, C{dot} and
    C{rcpt_a} stand for those to nothing, to the dot, and to the recipient
    whose address starts with C{a}. L{None} hangs up, C{b""} is silence.
    """
    special = {"greeting": "", "dot": "."}
    return {**FRIENDLY, **{special.get(k, k.upper()): v for k, v in replies.items()}}


#: A host at which nothing listens.
REFUSES = None


@implementer(IResolver)
class Names:
    """
    A name server. Names that it does not know do not exist; a name whose
    answer is an error cannot be asked for just now.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[Any] | str] = {}
        self.later = False
        self.asked: list[tuple[str, str]] = []

    def host(self, name: str, *addresses: str) -> None:
        for kind, mark in (("A", "."), ("AAAA", ":")):
            self.records[name, kind] = [a for a in addresses if mark in a]

    def mx(self, name: str, *exchangers: tuple[int, str]) -> None:
        self.records[name, "MX"] = [Mx(*mx) for mx in exchangers]

    def lookup(self, name: str, kind: str) -> Answer | Deferred[Answer]:
        self.asked.append((name, kind))
        records = self.records.get((name, kind))
        if isinstance(records, str):
            error = ResolverUnavailable(name, kind, records)
            if self.later:
                return fail(error)
            raise error
        exists = any(name == known for known, _ in self.records)
        answer = Answer(tuple(records or ()), exists)
        if not self.later:
            return answer
        return execute(lambda: answer)


class Network:
    """
    An agent, and all hosts that it can reach.
    """

    lmtp = False

    def __init__(self, **settings: str) -> None:
        self.reactor = MemoryReactorClock()
        self.names = Names()
        self.sink = Sink()
        #: Replies by address; a host that is not here does not answer.
        self.servers: dict[str, Mapping[str, bytes | None] | None] = {}
        self.dialled: list[tuple[str, int]] = []
        self.lines: dict[str, list[str]] = {}
        self.outcomes: list[Outcome] = []
        self.content: list[bytes] = []
        self.connections: list[tuple[ClientConnection, Wire, str]] = []
        self.shuffled: list[int] = []
        self._seen = 0
        self._seen_sockets = 0
        self._receiving: set[ClientConnection] = set()
        definitions = {
            name: Definition(text, name)
            for name, text in {"inet_interfaces": "all", **settings}.items()
        }
        context = AgentContext(
            "smtp",
            Settings(definitions, SYSTEM),
            self.reactor,
            self.reactor,
            lambda: NOW,
            self.names,
            self.sink,
            _no_table,
            execute,
        )
        make = lmtp_agent if self.lmtp else SmtpAgent
        self.agent = make(context, lambda hosts: self.shuffled.append(len(hosts)))

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.sink.events if isinstance(event, Note)]

    def deliver(
        self,
        nexthop: str,
        *addresses: str,
        content: bytes | Content = b"Subject: x\r\n\r\nbody\r\n",
        **envelope: Any,
    ) -> Deferred[None]:
        """
        Hand a message to the agent, and let the network do its part.
        """
        holder = content if isinstance(content, Content) else Content(content)
        recipients = tuple(
            Recipient(n, a, a) for n, a in enumerate(addresses or ("a@example.com",))
        )
        values = {"sender": "me@example.org", **envelope}
        message = Envelope(
            "QID", NOW, values.pop("sender"), recipients, LOCAL_CLIENT, **values
        )
        request = DeliveryRequest(
            "smtp", nexthop, message, recipients, holder.size, lambda: holder
        )
        done = self.agent.deliver(request, self.outcomes.append)
        self.run()
        return done

    def run(self) -> None:
        """
        Until nobody has anything to say.
        """
        busy = True
        while busy:
            busy = False
            while self._seen < len(self.reactor.tcpClients):
                self._accept(self.reactor.tcpClients[self._seen])
                self._seen += 1
                busy = True
            while self._seen_sockets < len(self.reactor.unixClients):
                path, factory = self.reactor.unixClients[self._seen_sockets][:2]
                self._accept((path, 0, factory))
                self._seen_sockets += 1
                busy = True
            for connection, wire, address in list(self.connections):
                busy = self._serve(connection, wire, address) or busy

    def _accept(self, attempt: Any) -> None:
        address, port, factory = attempt[:3]
        self.dialled.append((address, port))
        if address not in self.servers:
            return
        replies = self.servers[address]
        if replies is None:
            error = ConnectionRefusedError(ECONNREFUSED, "x")
            factory.clientConnectionFailed(None, Failure(error))
            return
        connection = factory.buildProtocol(None)
        wire = Wire()
        connection.makeConnection(wire)
        self.connections.append((connection, wire, address))
        self.lines.setdefault(address, [])
        self._say(connection, wire, address, replies[""])

    def _serve(self, connection: ClientConnection, wire: Wire, address: str) -> bool:
        octets = _everything(wire)
        busy = bool(octets)
        while octets and (connection, wire, address) in self.connections:
            octets = self._answer(connection, wire, address, octets)
        gone = wire.disconnecting and not wire.value()
        if gone and (connection, wire, address) in self.connections:
            self.hang_up(connection)
        return busy

    def _answer(
        self, connection: ClientConnection, wire: Wire, address: str, octets: bytes
    ) -> bytes:
        """
        @return: what is left of the octets.
        """
        replies = self.servers[address]
        assert replies is not None
        if connection in self._receiving:
            self.content.append(octets)
            if not octets.endswith(b".\r\n"):
                return b""
            self._receiving.discard(connection)
            command = "."
            octets = b""
        else:
            line, _, octets = octets.partition(b"\r\n")
            command = line.decode("utf-8")
        self.lines[address].append(command)
        key = command[:4].strip()
        reply = replies[key]
        if key == "RCPT":
            reply = replies.get(f"RCPT_{command[9:10].upper()}", reply)
        if key == "DATA" and reply and reply[:1] == b"3":
            self._receiving.add(connection)
        self._say(connection, wire, address, reply)
        return octets

    def _say(
        self,
        connection: ClientConnection,
        wire: Wire,
        address: str,
        reply: bytes | None,
    ) -> None:
        if reply is None:
            self.hang_up(connection)
        elif reply and not wire.disconnecting:
            connection.dataReceived(reply)

    def hang_up(self, connection: ClientConnection) -> None:
        """
        The server closes the connection.
        """
        self.connections = [c for c in self.connections if c[0] is not connection]
        connection.connectionLost(Failure(ConnectionDone()))


class LmtpNetwork(Network):
    """
    Its agent speaks LMTP.
    """

    lmtp = True


def _everything(wire: Wire) -> bytes:
    """
    All that has been written, and all that follows when that has left.
    """
    octets = b""
    while True:
        wire.drain()
        more = wire.told()
        if not more:
            return octets
        octets += more


def _no_table(item: str, parameter: str) -> Any:
    raise AssertionError("no tables here")
