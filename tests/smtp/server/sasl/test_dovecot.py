"""
Dovecot as backend: its protocol, and what happens when it is not there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.sasl.support import TLS, b64, facts, login_world, plain
from txmta.config.settings import Settings
from txmta.smtp.sasl import dovecot_wire as wire
from txmta.smtp.sasl.backends import dovecot_address
from txmta.smtp.sasl.dovecot import ANSWER, TIMEOUT, Dovecot, DovecotProtocol
from txmta.smtp.sasl.moves import Challenge, Done, Failed, Mechanism, Move

HELLO = (
    b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tGSSAPI\tprivate\n"
    b"MECH\tSCRAM-SHA-256\tmutual-auth\tnew-word\nSPID\t1\nCUID\t2\nCOOKIE\tx\nDONE\n"
)


class WireTests(SynchronousTestCase):
    def test_handshake(self) -> None:
        """
        Mechanisms that are for others are not ours; unknown words are skipped.
        """
        handshake = wire.Handshake()
        for line in HELLO.decode().splitlines():
            self.assertFalse(handshake.done)
            handshake.line(line)
        self.assertTrue(handshake.done)
        self.assertEqual(
            handshake.mechanisms,
            [
                Mechanism("PLAIN", frozenset({"plaintext"})),
                Mechanism("SCRAM-SHA-256", frozenset({"mutual-auth"})),
            ],
        )

    def test_wrong_handshake(self) -> None:
        for lines in (["VERSION\t2\t0"], ["SPID\t1"], ["DONE"], ["X"] * 300):
            handshake = wire.Handshake()
            with self.assertRaises(wire.WrongLine):
                for line in lines:
                    handshake.line(line)

    def test_request(self) -> None:
        """
        What a client sends cannot be taken for another parameter; an empty response
        is not none.
        """
        known = facts(TLS)
        self.assertEqual(
            wire.request(7, "PLAIN", "smtp", known, b"\0user\0x\ty=z"),
            b"AUTH\t7\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.25\trip=192.0.2.1\t"
            b"lport=587\trport=4711\tsecured=tls\tresp="
            + b64(b"\0user\0x\ty=z")
            + b"\n",
        )
        self.assertTrue(wire.request(1, "X", "s", known, b"").endswith(b"\tresp==\n"))
        self.assertNotIn(b"resp", wire.request(1, "X", "s", known, None))
        certificate = replace(TLS, subject="a\tb=c", trusted=True)
        said = wire.request(1, "EXTERNAL", "s", facts(certificate), None)
        self.assertIn(b"\tvalid-client-cert\tcert_username=a\x01tb=c\n", said)

    def test_answers(self) -> None:
        for line, expected in (
            ("OK\t1\tuser=a\x01tb", (1, Done("a\tb"))),
            ("CONT\t2\t" + b64("x").decode(), (2, Challenge(b"x"))),
            ("CONT\t2\t", (2, Challenge(b""))),
            ("FAIL\t3\tuser=a", (3, Failed("", "a"))),
            ("FAIL\t3\treason=no", (3, Failed("no", None))),
            (
                "FAIL\t3\tuser=a\ttemp",
                (3, Failed("Authentication backend error", "a", True)),
            ),
            ("NEWS\t1", None),
        ):
            self.assertEqual(wire.read(line), expected)
        for line in (
            "OK",
            "OK\tx\tuser=a",
            "OK\t1",
            "CONT\t1\t!",
            "CONT\t1",
            "FAIL\t-1",
        ):
            self.assertRaises(wire.WrongLine, wire.read, line)

    def test_address(self) -> None:
        settings = Settings.of(queue_directory="/q")
        for path, expected in (
            ("private/auth", "/q/private/auth"),
            ("/run/auth", "/run/auth"),
            ("unix:/run/auth", "/run/auth"),
            ("inet:127.0.0.1:12345", ("127.0.0.1", 12345)),
            ("inet:[::1]:12345", ("::1", 12345)),
        ):
            self.assertEqual(dovecot_address(path, settings), expected)
        for path in ("", "unix:", "inet:127.0.0.1", "inet:127.0.0.1:0", "inet:h:x"):
            self.assertRaises(ValueError, dovecot_address, path, settings)


class BackendTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.factories: list[Any] = []
        self.ended: list[object] = []
        self.warnings: list[str] = []
        self.backend = Dovecot(
            self.clock, self.connect, "smtp", "/run/auth", self.warnings.append
        )

    def connect(self, factory: Any) -> Any:
        self.factories.append(factory)
        test = self

        class Connector:
            def disconnect(self) -> None:
                test.ended.append(factory)

        return Connector()

    def answer(self, hello: bytes = HELLO) -> StringTransport:
        protocol = self.factories[-1].buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        transport.abortConnection = transport.loseConnection  # type: ignore
        self.protocol: DovecotProtocol = protocol
        protocol.dataReceived(hello)
        return transport

    def begin(self, response: bytes | None = b"\0user\0x") -> Deferred[Move]:
        exchange = self.backend.start("PLAIN", facts())
        found = exchange.step(response)
        assert isinstance(found, Deferred)
        self.exchange = exchange
        return found

    def names(self) -> Deferred[Any]:
        found = self.backend.mechanisms(facts())
        assert isinstance(found, Deferred)
        return found

    def test_one_connection(self) -> None:
        """
        For all sessions; an answer is for the attempt that it names.
        """
        waiting = [self.names(), self.names()]
        transport = self.answer()
        self.assertEqual(len(self.factories), 1)
        for each in waiting:
            self.assertEqual(len(self.successResultOf(each)), 2)
        first, second = self.begin(), self.begin()
        self.assertEqual(transport.value().count(b"AUTH\t"), 2)
        self.protocol.dataReceived(b"FAIL\t2\tuser=b\nOK\t1\tuser=a\n")
        self.assertEqual(self.successResultOf(first), Done("a"))
        self.assertEqual(self.successResultOf(second), Failed("", "b"))

    def test_not_there(self) -> None:
        """
        Nobody can log in, the log says why, and the next client asks again.
        """
        waiting = self.names()
        failure = Failure(ConnectionRefusedError("nobody there"))
        self.factories[0].clientConnectionFailed(None, failure)
        self.failureResultOf(waiting)
        self.assertIn(
            "Connect to Dovecot auth socket '/run/auth' failed", self.warnings[0]
        )
        self.names()
        self.assertEqual(len(self.factories), 2)

    def test_silent(self) -> None:
        """
        It accepts the connection, and says nothing.
        """
        self.names()
        self.answer(b"VERSION\t1\t1\n")
        self.clock.advance(TIMEOUT)
        self.assertEqual(len(self.ended), 1)

    def test_lost(self) -> None:
        """
        Whoever is logging in is to come again.
        """
        self.names()
        self.answer()
        waiting = self.begin()
        self.protocol.connectionLost(Failure(ConnectionDone()))
        move = self.successResultOf(waiting)
        lost = Failed("Connection lost to authentication server", temporary=True)
        self.assertEqual(move, lost)
        self.assertEqual(self.backend.start("PLAIN", facts()).step(b""), lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow(self) -> None:
        self.names()
        transport = self.answer()
        waiting = self.begin()
        self.clock.advance(ANSWER)
        self.assertTrue(self.successResultOf(waiting).temporary)  # type: ignore
        self.assertIn(b"CANCEL\t1\n", transport.value())
        self.protocol.dataReceived(b"OK\t1\tuser=a\n")  # nobody hears it

    def test_client_gone(self) -> None:
        self.names()
        transport = self.answer()
        waiting = self.begin()
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        self.assertIn(b"CANCEL\t1\n", transport.value())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_dovecot(self) -> None:
        self.names()
        transport = self.answer(b"220 smtp\n" * 300)
        self.assertTrue(transport.disconnecting)
        self.assertIn("protocol error", self.warnings[0])

    def test_endless_line(self) -> None:
        """
        Memory is bounded, whatever it sends.
        """
        self.names()
        transport = self.answer(b"x" * 20000)
        self.assertTrue(transport.disconnecting)

    def test_offer(self) -> None:
        """
        A session whose Dovecot is not there is offered no login, but works.
        """
        w = login_world()
        w.use(self.backend)
        talk = w.connect()
        talk.heard()
        self.assertEqual(talk.say(b"EHLO x\r\n"), b"")
        self.factories[0].clientConnectionFailed(None, Failure(ConnectionDone()))
        said = talk.heard()
        self.assertIn(b"250-PIPELINING", said)
        self.assertNotIn(b"AUTH", said)

    def test_user_name_of_dovecot(self) -> None:
        """
        Whatever it calls somebody, log lines stay whole.
        """
        w = login_world()
        w.use(self.backend)
        self.names()
        self.answer()
        talk = w.talk()
        talk.say(b"AUTH PLAIN " + plain("x", "y") + b"\r\n")
        self.protocol.dataReceived(b"FAIL\t1\tuser=a\x01nb\treason=c\x01nd\n")
        self.assertIn("failed: c?d, sasl_username=a?b", w.sink.lines[-1])
        talk = w.talk()
        talk.say(b"AUTH PLAIN " + plain("x", "y") + b"\r\n")
        self.protocol.dataReceived(b"OK\t2\tuser=a\x01nb\n")
        self.assertIn(b"535", talk.heard())
        self.assertIsNone(talk.server.session.login)
        for line in w.sink.lines:
            self.assertTrue(line.isprintable(), line)
