"""
Tests of L{txmta.smtp.client} and L{txmta.smtp.client_upload}.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import ISystemHandle
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.delivery.doubles import Content
from tests.smtp.client.driving import GREETING, LABEL, PIPELINING, plain, transaction
from txmta.errors import StoreUnavailable
from txmta.mime import MimeRules
from txmta.smtp.client import ClientConnection, Limits
from txmta.smtp.client_engine import ClientEngine
from txmta.smtp.client_events import ClientRules, Event, Peer, Stage, Target
from txmta.smtp.client_upload import BLOCK, Body

#: A different time for each stage, so that a mix-up shows.
SECONDS = [float(10 * (stage + 1)) for stage in Stage]
SECONDS[Stage.IDLE] = SECONDS[Stage.CLOSED] = 0

CONVERSION = MimeRules(convert=True)

OK = b"250 2.0.0 ok\r\n"
GO = b"354 go\r\n"
TARGET = Target("mail.example.com", "192.0.2.1", 25)


class Wire(StringTransport):
    """
    A transport that says whether it was closed or cut.
    """

    aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()

    def told(self) -> bytes:
        value: bytes = self.value()
        self.clear()
        return value

    def drain(self) -> None:
        """
        All that was written has left.
        """
        if self.producer is not None:
            self.producer.resumeProducing()


class ConnectionCase(SynchronousTestCase):
    """
    One connection, on a clock.
    """

    wire: Wire

    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[tuple[object, ...]] = []
        self.connect(Wire())

    def connect(self, wire: Wire, await_goodbye: bool = False) -> None:
        self.connection = ClientConnection(
            ClientEngine(ClientRules("me"), Peer(LABEL)),
            TARGET,
            self.clock,
            Limits(SECONDS, 998, await_goodbye),
            self.heard,
        )
        self.wire = wire
        self.connection.makeConnection(wire)

    def heard(self, event: Event) -> None:
        self.events.append(plain(event))

    def ready(self) -> None:
        self.connection.dataReceived(GREETING)
        self.connection.dataReceived(PIPELINING)
        self.assertEqual(self.events, [("ready",)])
        self.events.clear()
        self.wire.told()

    def begin(self, content: Any, whole: bytes | None = None) -> None:
        self.ready()
        self.connection.begin(transaction("a@example.com"), Body(content, whole))
        self.wire.told()

    def lose(self) -> None:
        from twisted.internet.protocol import connectionDone

        self.connection.connectionLost(connectionDone)


class TimeTests(ConnectionCase):
    """
    Time limits, each of its stage.
    """

    def expires(self, stage: Stage, words: str) -> None:
        """
        The stage ends after its time, not a moment earlier.
        """
        self.clock.advance(SECONDS[stage] - 0.5)
        self.assertEqual(self.events, [])
        self.clock.advance(0.5)
        self.assertEqual([e[0] for e in self.events], ["failed", "over"])
        self.assertIn(f"timed out while {words}", str(self.events[0][2]))
        self.assertTrue(self.wire.aborted)
        self.lose()
        self.assertEqual(len(self.events), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_greeting(self) -> None:
        """
        A silent server is left after smtp_helo_timeout.
        """
        self.expires(Stage.GREETING, "receiving the initial server greeting")

    def test_drip(self) -> None:
        """
        An octet now and then buys no time: only a whole reply does.
        """
        for octet in b"220 mail.":
            self.clock.advance(1)
            self.connection.dataReceived(bytes([octet]))
        self.clock.advance(SECONDS[Stage.GREETING] - 9)
        self.assertEqual([e[0] for e in self.events], ["failed", "over"])

    def test_stages(self) -> None:
        """
        Each awaited reply has the time of its own stage, from the moment when
        the one before it came.
        """
        for replies, stage, words in (
            (b"", Stage.MAIL, "sending MAIL FROM"),
            (OK, Stage.RCPT, "sending RCPT TO"),
            (OK * 2, Stage.DATA, "sending DATA command"),
            (OK * 2 + GO, Stage.DOT, "sending end of data"),
        ):
            self.setUp()
            self.begin(Content(b"x\r\n"), b"x\r\n")
            for line in replies.splitlines(True):
                self.clock.advance(9)
                self.connection.dataReceived(line)
            self.expires(stage, words)

    def test_idle(self) -> None:
        """
        An idle connection has no limit here: who keeps it has one.
        """
        self.ready()
        self.clock.advance(10000)
        self.assertEqual(self.events, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_few_timers(self) -> None:
        """
        However many transactions, one timer.
        """
        self.begin(Content(b""), b"")
        for _ in range(50):
            self.connection.dataReceived(OK * 2 + GO)
            self.connection.dataReceived(OK)
            self.assertLessEqual(len(self.clock.getDelayedCalls()), 1)
            self.connection.begin(transaction("a@example.com"), Body(Content(b""), b""))


class ContentTests(ConnectionCase):
    """
    What is sent after 354.
    """

    def test_small(self) -> None:
        """
        All of it and the dot in one write.
        """
        self.begin(Content(b".x\r\n"), b".x\r\n")
        self.connection.dataReceived(OK * 2 + GO)
        self.assertEqual(self.wire.told(), b"..x\r\n.\r\n")
        self.connection.dataReceived(OK)
        self.assertEqual([e[0] for e in self.events], ["accepted", "over"])

    def test_large(self) -> None:
        """
        Block by block, the next when the last has left; the dot after all.
        """
        octets = b"x" * 70 + b"\r\n"
        content = Content(octets * 2000)
        self.begin(content)
        self.connection.dataReceived(OK * 2 + GO)
        sent = b""
        while (block := self.wire.told()) or self.wire.producer is not None:
            self.assertLessEqual(len(block), BLOCK + 100)
            sent += block
            self.wire.drain()
        self.assertEqual(sent, octets * 2000 + b".\r\n")
        self.assertEqual(content.largest, BLOCK)
        self.connection.dataReceived(OK)
        self.assertEqual([e[0] for e in self.events], ["accepted", "over"])

    def test_slow_reader(self) -> None:
        """
        A server that does not take a block within smtp_data_xfer_timeout is
        left, without a dot.
        """
        self.begin(Content(b"x\r\n" * 100000))
        self.connection.dataReceived(OK * 2 + GO)
        for _ in range(3):
            self.clock.advance(SECONDS[Stage.CONTENT] - 1)
            self.assertEqual(self.events, [])
            self.wire.drain()
        self.assertNotIn(b"\n.\r\n", self.wire.told())
        self.clock.advance(SECONDS[Stage.CONTENT])
        self.assertEqual([e[0] for e in self.events], ["failed", "over"])
        self.assertIn("timed out while sending message body", str(self.events[0][2]))
        self.assertTrue(self.wire.aborted)
        self.assertIsNone(self.wire.producer)

    def test_early_reply(self) -> None:
        """
        A refusal in the middle stops the upload and cuts the connection:
        neither dot nor QUIT may follow half a message.
        """
        self.begin(Content(b"x\r\n" * 100000))
        self.connection.dataReceived(OK * 2 + GO)
        self.wire.told()
        self.connection.dataReceived(b"552 5.3.4 too big\r\n")
        self.assertEqual([e[0] for e in self.events], ["failed", "over"])
        self.assertEqual(self.events[0][1], "5.3.4")
        self.assertTrue(self.wire.aborted)
        self.wire.drain()
        self.assertEqual(self.wire.told(), b"")

    def test_early_reply_in_same_segment(self) -> None:
        """
        Nothing is sent if the refusal came together with 354.
        """
        self.begin(Content(b"x\r\n"), b"x\r\n")
        self.connection.dataReceived(OK * 2 + GO + b"451 4.3.0 no\r\n")
        self.assertEqual(self.wire.told(), b"")
        self.assertEqual([e[0] for e in self.events], ["failed", "over"])

    def test_lost(self) -> None:
        """
        A connection lost in the middle stops the upload.
        """
        self.begin(Content(b"x\r\n" * 100000))
        self.connection.dataReceived(OK * 2 + GO)
        self.lose()
        self.assertIn("lost connection", str(self.events[0][2]))
        self.assertIn("sending message body", str(self.events[0][2]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def unreadable(self, content: Content) -> None:
        self.begin(content)
        self.connection.dataReceived(OK * 2 + GO)
        for _ in range(3):
            self.wire.drain()
        self.assertNotIn(b"\n.\r\n", self.wire.told())
        self.assertEqual([e[0] for e in self.events], ["failed", "over"])
        self.assertEqual(self.events[0][1], "4.3.0")
        self.assertTrue(self.wire.aborted)
        assert self.connection.failure is not None
        self.connection.failure.trap(StoreUnavailable)

    def test_too_short(self) -> None:
        """
        Content that ends before its size gets no dot: a torn message must
        not be delivered.
        """
        self.unreadable(Content(b"x\r\n" * 30000, size=100000))

    def test_unreadable(self) -> None:
        """
        So does content that cannot be read, at once or later.
        """

        class Later(Content):
            def read(self, offset: int, length: int) -> Deferred[bytes]:
                return fail(StoreUnavailable("no disk"))

        class AtOnce(Content):
            def read(self, offset: int, length: int) -> bytes:
                raise StoreUnavailable("no disk")

        self.unreadable(Later(b"x" * 100000))
        self.setUp()
        self.unreadable(AtOnce(b"x" * 100000))

    def test_read_later(self) -> None:
        """
        Content that takes time to read is waited for, one block at a time.
        """
        pending: list[Deferred[bytes]] = []

        class Slow(Content):
            def read(self, offset: int, length: int) -> Deferred[bytes]:
                pending.append(Deferred())
                return pending[-1]

        self.begin(Slow(b"", size=4))
        self.connection.dataReceived(OK * 2 + GO)
        self.wire.drain()
        self.assertEqual(len(pending), 1)
        pending[0].callback(b"a\r")
        self.wire.drain()
        pending[1].callback(b"\n.")
        self.wire.drain()
        self.assertEqual(self.wire.told(), b"a\r\n..\r\n.\r\n")
        self.connection.dataReceived(OK)
        self.assertEqual([e[0] for e in self.events], ["accepted", "over"])

    def test_read_too_late(self) -> None:
        """
        A block that arrives after the connection is gone is dropped.
        """
        pending: list[Deferred[bytes]] = []

        class Slow(Content):
            def read(self, offset: int, length: int) -> Deferred[bytes]:
                pending.append(Deferred())
                return pending[-1]

        self.begin(Slow(b"", size=4))
        self.connection.dataReceived(OK * 2 + GO)
        self.wire.drain()
        self.lose()
        pending[0].callback(b"abcd")
        self.assertEqual(self.wire.told(), b"")


class GoodbyeTests(ConnectionCase):
    """
    Ends that are wanted.
    """

    def test_quit(self) -> None:
        """
        QUIT, and hang up without waiting (smtp_skip_quit_response = yes).
        """
        self.ready()
        self.connection.quit()
        self.assertEqual(self.wire.told(), b"QUIT\r\n")
        self.assertTrue(self.wire.disconnecting)
        self.lose()
        self.assertEqual(self.events, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_await(self) -> None:
        """
        smtp_skip_quit_response = no: the answer is awaited, but not for ever.
        """
        for answered in (True, False):
            self.clock = Clock()
            self.events.clear()
            self.connect(Wire(), await_goodbye=True)
            self.ready()
            self.connection.quit()
            self.assertFalse(self.wire.disconnecting)
            if answered:
                self.connection.dataReceived(b"221 bye\r\n")
            else:
                self.clock.advance(SECONDS[Stage.QUIT])
            self.assertTrue(self.wire.disconnecting)
            self.lose()
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """
        A server that refuses us gets a polite QUIT.
        """
        self.connection.dataReceived(b"421 4.3.2 busy\r\n")
        self.assertEqual(self.wire.told(), b"QUIT\r\n")
        self.assertTrue(self.wire.disconnecting)
        self.assertEqual([e[0] for e in self.events], ["failed", "over"])


@implementer(ISystemHandle)
class SocketWire(Wire):
    """
    A transport on a socket.
    """

    def __init__(self, end: socket.socket) -> None:
        super().__init__()
        self.end = end

    def getHandle(self) -> socket.socket:
        return self.end


class DirectTests(ConnectionCase):
    """
    Writing to the socket at once.
    """

    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.connect(SocketWire(self.ours))

    def test_at_once(self) -> None:
        """
        What fits into the socket does not wait for the reactor.
        """
        self.connection.dataReceived(GREETING)
        self.assertEqual(self.theirs.recv(100), b"EHLO me\r\n")
        self.assertEqual(self.wire.told(), b"")

    def fill(self) -> int:
        """
        Fill the socket's buffer.
        """
        count = 0
        try:
            while True:
                count += self.ours.send(b"#" * 65536)
        except BlockingIOError:
            return count

    def test_order(self) -> None:
        """
        What does not fit goes the usual way, and all after it too, until it
        has left: octets never overtake each other.
        """
        self.begin(Content(b"abc\r\n"), b"abc\r\n")
        self.theirs.recv(1000)
        self.fill()
        self.connection.dataReceived(OK * 2 + GO)
        self.assertEqual(self.wire.told(), b"abc\r\n.\r\n")
        self.assertIs(self.connection.engine.stage, Stage.CONTENT)
        # Room again, but the transport is not empty yet.
        while True:
            try:
                self.theirs.recv(65536)
            except BlockingIOError:
                break
        self.wire.drain()
        self.assertIs(self.connection.engine.stage, Stage.DOT)
        self.assertIsNone(self.wire.producer)
        self.connection.dataReceived(OK)
        self.assertEqual([e[0] for e in self.events], ["accepted", "over"])
        self.connection.begin(transaction("b@example.com"), Body(Content(b""), b""))
        self.assertEqual(self.wire.told(), b"", "direct again")
        self.assertIn(b"MAIL FROM", self.theirs.recv(1000))

    def test_early_success(self) -> None:
        """
        "250" for a message that has not left yet is no success.
        """
        self.begin(Content(b"abc\r\n"), b"abc\r\n")
        self.fill()
        self.connection.dataReceived(OK * 2 + GO)
        self.connection.dataReceived(OK)
        self.assertEqual([e[0] for e in self.events], ["failed", "over"])
        self.assertTrue(self.wire.aborted)

    def test_premature(self) -> None:
        """
        A server that answers commands which have not left yet gets no
        content.
        """
        for whole in (b"abc\r\n", None):
            self.setUp()
            self.ready()
            self.fill()
            body = Body(Content(b"abc\r\n"), whole)
            self.connection.begin(transaction("b@example.com"), body)
            self.assertIn(b"MAIL FROM", self.wire.told())
            self.connection.dataReceived(OK * 2 + GO)
            self.assertEqual([e[0] for e in self.events], ["failed", "over"])
            self.assertEqual(self.wire.told(), b"")
            self.assertTrue(self.wire.aborted)

    def test_broken(self) -> None:
        """
        An error of the socket is left for the transport to find.
        """
        self.ready()
        self.theirs.close()
        self.connection.begin(transaction("b@example.com"), Body(Content(b""), b""))
        self.assertIn(b"MAIL FROM", self.wire.told())
        self.lose()
        self.assertEqual([e[0] for e in self.events], ["failed", "over"])

    def test_last_words(self) -> None:
        """
        A server that refuses a large message half-way and hangs up is heard,
        even if the transport finds out while it writes.
        """
        for said, expected in (
            (b"552 5.3.4 too big\r\n", "5.3.4"),
            (b"552 5.3", "4.4.2"),
            (b"", "4.4.2"),
        ):
            self.setUp()
            self.begin(Content(b"x\r\n" * 100000))
            self.connection.dataReceived(OK * 2 + GO)
            self.theirs.send(said)
            self.theirs.close()
            self.lose()
            self.assertEqual([e[0] for e in self.events], ["failed", "over"])
            self.assertEqual(self.events[0][1], expected)


class ConversionTests(ConnectionCase):
    """
    8-bit content for a server without 8BITMIME.
    """

    HEAD = b"Content-Transfer-Encoding: 8bit\r\n\r\n"
    QUOTED = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    CAPABLE = b"250-mail.example.com\r\n250-8BITMIME\r\n250 PIPELINING\r\n"

    def sent(
        self,
        content: bytes,
        offered: bytes = PIPELINING,
        body: str = "8BITMIME",
        whole: bool = True,
        conversion: MimeRules | None = CONVERSION,
    ) -> bytes:
        """
        @return: what comes between 354 and the end of the content.
        """
        engine = ClientEngine(ClientRules("me"), Peer(LABEL))
        limits = Limits(SECONDS, 998, conversion=conversion)
        self.wire = Wire()
        self.connection = ClientConnection(
            engine, TARGET, self.clock, limits, self.heard
        )
        self.connection.makeConnection(self.wire)
        self.connection.dataReceived(GREETING)
        self.connection.dataReceived(offered)
        self.connection.begin(
            transaction("a@example.com", body=body),
            Body(Content(content), content if whole else None),
        )
        self.wire.told()
        for reply in (OK, OK, GO):
            self.connection.dataReceived(reply)
        octets = b""
        for _ in range(100):
            self.wire.drain()
            octets += self.wire.told()
        self.assertEqual(octets[-5:], b"\r\n.\r\n")
        return octets.removesuffix(b".\r\n")

    def test_converted(self) -> None:
        """
        In one piece and in blocks; then it is stuffed.
        """
        content = self.HEAD + b".\xc3\xa9\r\n"
        for whole in (True, False):
            self.assertEqual(
                self.sent(content, whole=whole), self.QUOTED + b"..=C3=A9\r\n"
            )

    def test_as_it_is(self) -> None:
        """
        The server can take it, or the message says that it is 7-bit, or we
        are told not to.
        """
        content = self.HEAD + b"\xc3\xa9\r\n"
        self.assertEqual(self.sent(content, offered=self.CAPABLE), content)
        self.assertEqual(self.sent(content, body="7BIT"), content)
        self.assertEqual(self.sent(content, body=""), content)
        self.assertEqual(self.sent(content, conversion=None), content)

    def test_endless_header(self) -> None:
        """
        However much of the content gives nothing to send.
        """
        content = b"X: " + b"x" * (500 * BLOCK) + b"\r\n\r\n"
        octets = self.sent(content, whole=False)
        self.assertLess(len(octets), 200_000)
