"""
The transport that writes at once, on socket pairs.
"""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Port, Server
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txmta.smtp.poller import Poller
from txmta.smtp.transport import DirectServer, write_at_once


class Reactor(MemoryReactorClock):
    """
    @ivar writing: who waits for a socket to become writable.
    """

    def __init__(self) -> None:
        super().__init__()
        self.writing: set[Any] = set()

    def addWriter(self, writer: Any) -> None:
        self.writing.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writing.discard(writer)


class Tls:
    """
    Where a transport in TLS sends what is written.
    """

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


class DirectServerTests(SynchronousTestCase):
    def setUp(self) -> None:
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.addCleanup(ours.close)
        self.addCleanup(self.peer.close)
        self.reactor = Reactor()
        server = Port(0, Factory(), reactor=cast(Any, self.reactor))
        self.transport = DirectServer(
            ours, Protocol(), ("", 0), server, 1, cast(Any, self.reactor)
        )

    def received(self) -> bytes:
        out = b""
        while True:
            try:
                data = self.peer.recv(1 << 20)
            except BlockingIOError:
                return out
            if not data:
                return out
            out += data

    def test_at_once(self) -> None:
        """
        What fits is sent without the reactor.
        """
        self.transport.write(b"250 Ok\r\n")
        self.assertEqual(self.received(), b"250 Ok\r\n")
        self.assertEqual(self.reactor.writing, set())

    def test_order(self) -> None:
        """
        What does not fit waits, and what comes later waits behind it.
        """
        large = b"x" * (1 << 22)
        self.transport.write(large)
        self.transport.write(b"end")
        self.assertEqual(self.reactor.writing, {self.transport})
        out = b""
        while len(out) < len(large) + 3:
            out += self.received()
            self.transport.doWrite()
        self.assertEqual(out, large + b"end")
        self.transport.write(b"again")
        self.assertEqual(self.received(), b"again")

    def test_broken(self) -> None:
        """
        A broken socket is the reactor's business.
        """
        self.peer.close()
        self.transport.write(b"x")
        self.assertEqual(self.reactor.writing, {self.transport})

    def test_closing(self) -> None:
        """
        Nothing is sent past a close.
        """
        self.transport.loseConnection()
        self.transport.write(b"x")
        self.assertEqual(self.received(), b"")

    def test_tls(self) -> None:
        """
        In TLS nothing goes out in plaintext.
        """
        self.transport.TLS = True
        tls = Tls()
        self.transport.protocol = cast(Any, tls)
        self.transport.write(b"secret")
        self.assertEqual(self.received(), b"")
        self.assertEqual(tls.written, [b"secret"])


class EndingTests(SynchronousTestCase):
    """
    Behind a poller, a connection that has nothing left to send ends at once.
    """

    def setUp(self) -> None:
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.addCleanup(ours.close)
        self.addCleanup(self.peer.close)
        self.reactor = Reactor()
        poller = Poller(self.reactor)
        self.addCleanup(poller.close)
        server = Port(0, Factory(), reactor=cast(Any, self.reactor))
        self.lost: list[Failure] = []
        protocol = Protocol()
        protocol.connectionLost = self.lost.append  # type: ignore[method-assign, assignment]
        self.transport = DirectServer(
            ours, protocol, ("", 0), server, 1, cast(Any, poller)
        )

    def test_nothing_unsent(self) -> None:
        """
        The next turn of the reactor is the end.
        """
        self.transport.loseConnection()
        self.assertTrue(self.transport.ending)
        self.reactor.advance(0)
        self.assertEqual(len(self.lost), 1)

    def test_something_unsent(self) -> None:
        """
        A peer that does not read may have to be cut off.
        """
        self.transport.write(b"x" * (1 << 24))
        self.transport.loseConnection()
        self.assertFalse(self.transport.ending)
        self.reactor.advance(0)
        self.assertEqual(self.lost, [])


class PortTests(SynchronousTestCase):
    def test_hook(self) -> None:
        port = Port(0, Factory(), reactor=cast(Any, Reactor()))
        self.assertIs(port.transport, Server)
        write_at_once(port)
        self.assertIs(port.transport, DirectServer)
        write_at_once(object())
