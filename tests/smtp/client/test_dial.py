"""
Tests of L{txmta.smtp.client_dial}.
"""

from __future__ import annotations

from errno import EADDRNOTAVAIL, ECONNREFUSED, EHOSTUNREACH, ENOENT
from typing import Any

from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionRefusedError,
    NoRouteError,
    TimeoutError,
    UnknownHostError,
)
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.client.driving import GREETING, PIPELINING
from tests.smtp.client.test_connection import SECONDS, Wire
from txmta.smtp.client import ClientConnection, Limits
from txmta.smtp.client_dial import (
    MAX_SOCKET_PATH,
    Dialled,
    Dialler,
    DialRules,
    NoConnection,
)
from txmta.smtp.client_events import ClientRules, Target

FOUR = Target("mail.example.com", "192.0.2.1", 25)
SIX = Target("mail.example.com", "2001:db8::1", 2525)


class DialTests(SynchronousTestCase):
    """
    L{Dialler}
    """

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.warnings: list[str] = []
        self.got: list[Dialled] = []

    def dial(self, target: Target = FOUR, **rules: Any) -> None:
        dialler = Dialler(
            self.reactor,
            self.reactor,
            DialRules(ClientRules("me"), Limits(SECONDS), **rules),
            self.warnings.append,
        )
        dialler.dial(target, "example.com").addCallback(self.got.append)

    def connect(self) -> tuple[ClientConnection, Wire]:
        factory = self.reactor.tcpClients[-1][2]
        connection = factory.buildProtocol(None)
        assert isinstance(connection, ClientConnection)
        wire = Wire()
        connection.makeConnection(wire)
        return connection, wire

    def refuse(self, error: Exception) -> None:
        self.reactor.tcpClients[-1][2].clientConnectionFailed(
            None,  # type: ignore[arg-type]
            Failure(error),
        )

    def test_ready(self) -> None:
        """
        The result is a connection that is ready for mail.
        """
        self.dial(connect_timeout=7)
        host, port, _, timeout, bind = self.reactor.tcpClients[0]
        self.assertEqual((host, port, timeout, bind), ("192.0.2.1", 25, 7, None))
        self.reactor.advance(3)
        connection, _ = self.connect()
        connection.dataReceived(GREETING)
        self.assertEqual(self.got, [])
        connection.dataReceived(PIPELINING)
        self.assertEqual(self.got, [connection])
        self.assertEqual(connection.opened, 3)
        self.assertEqual(connection.relay, "mail.example.com[192.0.2.1]:25")

    def test_socket(self) -> None:
        """
        Port 0 is a socket; its path starts in the queue directory.
        """
        target = Target("me.example.org", "private/lmtp", 0)
        self.dial(target, socket_directory="/spool", connect_timeout=0)
        path, factory, timeout = self.reactor.unixClients[0][:3]
        self.assertEqual((path, timeout), ("/spool/private/lmtp", None))
        factory.clientConnectionFailed(None, Failure(ConnectError(ENOENT, "x")))
        (result,) = self.got
        assert isinstance(result, NoConnection)
        self.assertEqual(
            result.trouble.reason,
            "connect to me.example.org[private/lmtp]: No such file or directory",
        )

    def test_socket_ready(self) -> None:
        """
        An absolute path stays as it is; no port in the log.
        """
        self.dial(Target("me.example.org", "/run/lmtp", 0), socket_directory="/spool")
        path, factory = self.reactor.unixClients[0][:2]
        self.assertEqual(path, "/run/lmtp")
        connection = factory.buildProtocol(None)
        connection.makeConnection(Wire())
        connection.dataReceived(GREETING)
        connection.dataReceived(PIPELINING)
        self.assertEqual(self.got, [connection])
        self.assertEqual(connection.relay, "me.example.org[/run/lmtp]")

    def test_socket_too_long(self) -> None:
        """
        What the kernel cannot be asked for is said at once: Twisted would
        wait for ever.
        """
        for length, asked in ((MAX_SOCKET_PATH, 1), (MAX_SOCKET_PATH + 1, 0)):
            self.reactor.unixClients.clear()
            path = "/" + "x" * (length - 1)
            self.dial(Target("me.example.org", path, 0))
            self.assertEqual(len(self.reactor.unixClients), asked)
        (result,) = self.got
        assert isinstance(result, NoConnection)
        self.assertIn("too long for a socket", result.trouble.reason)
        self.assertEqual(result.trouble.status, "4.4.1")

    def test_no_timeout(self) -> None:
        """
        0: the system's own limit.
        """
        self.dial(connect_timeout=0)
        self.assertIsNone(self.reactor.tcpClients[0][3])

    def test_words(self) -> None:
        """
        Why there is no connection, in the system's words, as in Postfix.
        """
        for error, words in (
            (ConnectionRefusedError(ECONNREFUSED, "x"), "Connection refused"),
            (NoRouteError(EHOSTUNREACH, "x"), "No route to host"),
            (TimeoutError(), "Connection timed out"),
            (ConnectError(), "An error occurred while connecting."),
            (UnknownHostError(), "Hostname couldn't be looked up."),
        ):
            self.dial(SIX)
            self.refuse(error)
            result = self.got.pop()
            assert isinstance(result, NoConnection)
            self.assertEqual(result.relay, "none")
            self.assertEqual(result.trouble.status, "4.4.1")
            self.assertEqual(
                result.trouble.reason.rstrip("."),
                f"connect to mail.example.com[2001:db8::1]:2525: {words}".rstrip("."),
            )

    def test_handshake_fails(self) -> None:
        """
        A server that does not shake hands: the reason names it.
        """
        self.dial()
        connection, wire = self.connect()
        connection.dataReceived(b"554 5.7.1 no\r\n")
        (result,) = self.got
        assert isinstance(result, NoConnection)
        self.assertEqual(result.relay, "mail.example.com[192.0.2.1]:25")
        self.assertEqual(result.trouble.status, "4.7.1")
        self.assertEqual(result.trouble.reply, "554 5.7.1 no")
        self.assertTrue(wire.disconnecting)
        connection.connectionLost(Failure(ConnectError()))
        self.assertEqual(len(self.got), 1)

    def test_hangs_up(self) -> None:
        """
        So is one that hangs up at once.
        """
        self.dial()
        connection, _ = self.connect()
        connection.connectionLost(Failure(ConnectError()))
        (result,) = self.got
        assert isinstance(result, NoConnection)
        self.assertEqual(result.trouble.status, "4.4.2")

    def test_loop(self) -> None:
        """
        Our own name in the answer to EHLO is a loop at port 25 only: a
        content filter at another port may have it.
        """
        for target, kind in ((FOUR, NoConnection), (SIX, ClientConnection)):
            self.dial(target, loop_name="mail.example.com")
            connection, _ = self.connect()
            connection.dataReceived(GREETING)
            connection.dataReceived(PIPELINING)
            self.assertIsInstance(self.got.pop(), kind)

    def test_bind(self) -> None:
        """
        smtp_bind_address and smtp_bind_address6, each for its protocol.
        """
        for target, source in ((FOUR, "192.0.2.9"), (SIX, "2001:db8::9")):
            self.dial(target, bind4="192.0.2.9", bind6="2001:db8::9")
            self.assertEqual(self.reactor.tcpClients[-1][4], (source, 0))

    def test_bind_fails(self) -> None:
        """
        An address that is not ours is done without, with a warning; unless
        smtp_bind_address_enforce = yes.
        """
        self.dial(bind4="192.0.2.9")
        self.refuse(ConnectBindError(EADDRNOTAVAIL, "x"))
        self.assertEqual(len(self.warnings), 1)
        self.assertIn("192.0.2.9", self.warnings[0])
        self.assertEqual(len(self.reactor.tcpClients), 2)
        self.assertIsNone(self.reactor.tcpClients[1][4])
        connection, _ = self.connect()
        connection.dataReceived(GREETING)
        connection.dataReceived(PIPELINING)
        self.assertEqual(self.got, [connection])
        self.dial(bind4="192.0.2.9", bind_enforce=True)
        self.refuse(ConnectBindError(EADDRNOTAVAIL, "x"))
        self.assertIsInstance(self.got.pop(), NoConnection)
        self.assertEqual(len(self.reactor.tcpClients), 3)
