"""
Connections to policy servers, on a clock and a transport of the tests' own.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txmta.config.settings import Settings
from txmta.smtp import policy_servers
from txmta.smtp.access.policy_request import PolicyServer, read_server
from txmta.smtp.policy_servers import PolicyConnection, PolicyServers

REQUEST = b"request=smtpd_access_policy\n\n"
WHERE = "127.0.0.1:10023"


class Transport(StringTransport):
    protocol: PolicyConnection

    def abortConnection(self) -> None:
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(connectionDone.value))

    loseConnection = abortConnection


class Servers(PolicyServers):
    """
    Nothing but the connecting is a double.
    """

    def __init__(self, clock: Clock, warnings: list[str]) -> None:
        super().__init__(clock, warnings.append, "/queue")
        self.made: list[Transport] = []
        self.refuse = False
        self.waiting: list[Deferred[Any]] = []

    def _connector(self, server: PolicyServer) -> Any:
        def connect(factory: Factory) -> Deferred[Any]:
            made: Deferred[Any] = Deferred()
            if self.refuse:
                made.errback(ConnectionRefusedError(111))
                return made
            transport = Transport()
            pool: Any = factory
            transport.protocol = pool.buildProtocol(None)
            transport.protocol.makeConnection(transport)
            self.made.append(transport)
            made.callback(transport.protocol)
            return made

        return connect


class PolicyServersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.warnings: list[str] = []
        self.servers = Servers(self.clock, self.warnings)

    def server(self, more: str = "") -> PolicyServer:
        return read_server(f"{{ inet:{WHERE} timeout=10s, {more} }}", Settings.of())

    def answer(self, octets: bytes, n: int = -1) -> None:
        self.servers.made[n].protocol.dataReceived(octets)

    def test_answer(self) -> None:
        """
        One connection for one request after the other.
        """
        for n in range(3):
            asked = self.servers.ask(self.server(), REQUEST)
            self.assertNoResult(asked)
            self.answer(b"action=dun")
            self.answer(b"no\n\n")
            self.assertEqual(self.successResultOf(asked), "dunno", n)
        self.assertEqual(len(self.servers.made), 1)
        self.assertEqual(self.servers.made[0].value(), REQUEST * 3)
        self.assertEqual(self.warnings, [])

    def test_at_the_same_time(self) -> None:
        first = self.servers.ask(self.server(), REQUEST)
        second = self.servers.ask(self.server(), REQUEST)
        self.answer(b"action=two\n\n", 1)
        self.answer(b"action=one\n\n", 0)
        self.assertEqual(self.successResultOf(first), "one")
        self.assertEqual(self.successResultOf(second), "two")

    def test_limits(self) -> None:
        """
        So many requests, so long without use, so long at all.
        """
        for more, seconds in (
            ("request_limit=1", 0),
            ("max_idle=5", 5),
            ("max_ttl=7", 7),
        ):
            server = self.server(more)
            for _ in range(2):
                asked = self.servers.ask(server, REQUEST)
                self.answer(b"action=ok\n\n")
                self.assertEqual(self.successResultOf(asked), "ok")
                self.clock.advance(seconds)
            self.assertEqual(len(self.servers.made), 2, more)
            self.assertFalse(self.servers.made[0].connected)
            self.servers.made.clear()

    def test_refused(self) -> None:
        self.servers.refuse = True
        asked = self.servers.ask(self.server("try_limit=2, retry_delay=3s"), REQUEST)
        self.clock.advance(2)
        self.assertNoResult(asked)
        self.clock.advance(1)
        self.assertIsNone(self.successResultOf(asked))
        no = os.strerror(111)
        told = [f"connect to {WHERE}: {no}", f"problem talking to server {WHERE}: {no}"]
        self.assertEqual(self.warnings, told * 2)

    def test_closed(self) -> None:
        """
        A server that hangs up is told of once, after the last attempt.
        """
        asked = self.servers.ask(self.server(), REQUEST)
        self.servers.made[0].abortConnection()
        self.clock.advance(1)
        self.assertEqual(self.warnings, [])
        self.servers.made[1].abortConnection()
        self.assertIsNone(self.successResultOf(asked))
        self.assertEqual(
            self.warnings, [f"problem talking to server {WHERE}: Application error"]
        )

    def test_closed_meanwhile(self) -> None:
        """
        A connection that the server closed before the next request came costs
        no attempt.
        """
        server = self.server("try_limit=1")
        asked = self.servers.ask(server, REQUEST)
        self.answer(b"action=ok\n\n")
        self.assertEqual(self.successResultOf(asked), "ok")
        asked = self.servers.ask(server, REQUEST)
        self.servers.made[0].abortConnection()
        self.answer(b"action=ok\n\n", 1)
        self.assertEqual(self.successResultOf(asked), "ok")
        self.servers.made[1].abortConnection()
        asked = self.servers.ask(server, REQUEST)
        self.assertEqual(len(self.servers.made), 3)
        self.answer(b"action=ok\n\n", 2)
        self.assertEqual(self.successResultOf(asked), "ok")

    def test_silence(self) -> None:
        asked = self.servers.ask(self.server(), REQUEST)
        self.clock.advance(10)
        self.clock.advance(1)
        self.answer(b"act")
        self.clock.advance(10)
        self.assertIsNone(self.successResultOf(asked))
        late = f"problem talking to server {WHERE}: Connection timed out"
        half = f"timeout on {WHERE} while reading input attribute name"
        self.assertEqual(self.warnings, [late, half, late])

    def test_nonsense(self) -> None:
        asked = self.servers.ask(self.server("try_limit=1"), REQUEST)
        self.answer(b"hello\n\n")
        self.assertIsNone(self.successResultOf(asked))
        self.assertEqual(
            self.warnings,
            [
                f"missing attribute action in input from {WHERE}",
                f"problem talking to server {WHERE}: Application error",
            ],
        )
        self.assertFalse(self.servers.made[0].connected)

    def test_endless(self) -> None:
        asked = self.servers.ask(self.server("try_limit=1"), REQUEST)
        for _ in range(9):
            self.answer(b"a" * 10000)
        self.assertIsNone(self.successResultOf(asked))
        self.assertFalse(self.servers.made[0].connected)

    def test_unasked(self) -> None:
        """
        What comes before it is asked for is no answer to the next request.
        """
        for octets in (b"action=ok\n\naction=bad\n\n", b"action=ok\n\n"):
            asked = self.servers.ask(self.server(), REQUEST)
            self.answer(octets)
            self.assertEqual(self.successResultOf(asked), "ok")
            if octets == b"action=ok\n\n":
                self.answer(b"action=bad\n\n")
            self.assertFalse(self.servers.made[-1].connected)

    def test_gone(self) -> None:
        """
        Nobody waits any more.
        """
        asked = self.servers.ask(self.server(), REQUEST)
        asked.addErrback(lambda _: None)
        asked.cancel()
        self.assertFalse(self.servers.made[0].connected)
        self.clock.advance(1)
        self.assertEqual(len(self.servers.made), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_many(self) -> None:
        """
        Requests wait for a connection, but not for ever.
        """
        self.patch(policy_servers, "MAX_OPEN", 1)
        server = self.server("try_limit=1")
        first = self.servers.ask(server, REQUEST)
        second = self.servers.ask(server, REQUEST)
        self.assertEqual(len(self.servers.made), 1)
        self.answer(b"action=one\n\n")
        self.answer(b"action=two\n\n")
        self.assertEqual(self.successResultOf(first), "one")
        self.assertEqual(self.successResultOf(second), "two")
        asked = [self.servers.ask(server, REQUEST) for _ in range(3)]
        self.clock.advance(10)
        self.assertIsNone(self.successResultOf(asked[0]))
        self.assertIsNone(self.successResultOf(asked[2]))
        self.assertNoResult(asked[1])
        self.assertEqual(len(self.servers.made), 2)

    def test_stop(self) -> None:
        asked = self.servers.ask(self.server(), REQUEST)
        self.answer(b"action=ok\n\n")
        self.assertEqual(self.successResultOf(asked), "ok")
        self.servers.stop()
        self.assertFalse(self.servers.made[0].connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])
