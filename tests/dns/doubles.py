"""
A network with name servers that say what a test wants.
"""

from __future__ import annotations

import struct
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorUDP, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.testing import MemoryReactorClock
from twisted.names import dns

from txmta.dns.exchange import Network
from txmta.dns.resolver import Resolver
from txmta.model import Answer


class Socket:
    """
    A UDP socket that a resolver has opened.
    """

    def __init__(self, protocol: DatagramProtocol, interface: str) -> None:
        self.protocol = protocol
        self.interface = interface
        self.server = ("", 0)
        self.sent = b""
        self.open = True

    def connect(self, host: str, port: int) -> None:
        self.server = (host, port)

    def write(self, packet: bytes, addr: object = None) -> None:
        self.sent = packet

    def stopListening(self) -> None:
        self.open = False

    def receive(self, data: bytes, addr: tuple[str, int] | None = None) -> None:
        """
        Something comes in, from the server unless said otherwise.
        """
        assert self.open
        self.protocol.datagramReceived(data, addr or self.server)


class Net(MemoryReactorClock):
    """
    A reactor with UDP.

    @ivar full: no socket can be had.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sockets: list[Socket] = []
        self.full = False

    def listenUDP(
        self,
        port: int,
        protocol: DatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
    ) -> Socket:
        if self.full:
            raise CannotListenError(interface, port, OSError("too many open files"))
        assert port == 0, "the kernel picks the port"
        socket = Socket(protocol, interface)
        protocol.makeConnection(cast(IUDPTransport, socket))
        self.sockets.append(socket)
        return socket

    @property
    def last(self) -> Socket:
        return self.sockets[-1]

    def answer(self, **parts: Any) -> None:
        """
        Answer the last query.
        """
        self.last.receive(reply(self.last.sent, **parts))


def make_resolver(net: Net, resolv_conf: str = "/nonexistent") -> Resolver:
    network = Network(cast(IReactorUDP, net), net, net)
    return Resolver(network, resolv_conf)


def record(name: str, payload: Any, ttl: int = 300) -> dns.RRHeader:
    return dns.RRHeader(name.encode(), payload.TYPE, dns.IN, ttl, payload)


def soa(minimum: int = 60, ttl: int = 300) -> dns.RRHeader:
    return record("test", dns.Record_SOA(minimum=minimum), ttl)


def reply(
    query: bytes,
    answers: tuple[dns.RRHeader, ...] = (),
    authority: tuple[dns.RRHeader, ...] = (),
    **header: int,
) -> bytes:
    """
    @param header: rCode, trunc, authenticData, recAv, id ...
    """
    asked = dns.Message()
    asked.fromStr(query)
    message = dns.Message(id=asked.id, answer=1, recDes=1, recAv=1, maxSize=0)
    message.queries = asked.queries
    message.answers = list(answers)
    message.authority = list(authority)
    for name, value in header.items():
        setattr(message, name, value)
    octets: bytes = message.toStr()
    return octets


def raw_reply(query: bytes, counts: tuple[int, int, int], tail: bytes) -> bytes:
    """
    @param counts: answers, authority, additional, as the header claims.
    @param tail: octets after the question.
    """
    end = query.index(b"\0", 12) + 5
    query_id = struct.unpack_from("!H", query)[0]
    return struct.pack("!6H", query_id, 0x8180, 1, *counts) + query[12:end] + tail


def now(answer: Answer | Deferred[Answer]) -> Answer:
    assert isinstance(answer, Answer)
    return answer


def later(answer: Answer | Deferred[Answer]) -> Deferred[Answer]:
    assert isinstance(answer, Deferred)
    return answer
