"""
Tests of L{txmta.maps.asking}, L{txmta.maps.server}, L{txmta.maps.tcp} and
L{txmta.maps.socketmap}.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.table_contract import TableContract, context
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import ITable
from txmta.maps.asking import IDLE, MOST_CONNECTIONS, MOST_WAITING, REST, NetworkTable
from txmta.maps.server import Address, BlockingTable
from txmta.maps.socketmap import SocketmapCodec, SocketmapType, read_name
from txmta.maps.tcp import TcpCodec, TcpType, inet_address
from txmta.maps.wire import LIMIT, Answer, Codec, Reader


class Transport(StringTransport):
    """
    Tells its protocol when the connection is given up.
    """

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Net:
    """
    A server that is told when to do what.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.calls: list[tuple[IProtocolFactory, Deferred[Any]]] = []
        self.transports: list[Transport] = []
        self.protocols: list[Any] = []

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        made: Deferred[Any] = Deferred()
        self.calls.append((factory, made))
        return made

    def accept(self) -> None:
        factory, made = self.calls.pop(0)
        protocol: Any = factory.buildProtocol(None)  # type: ignore[arg-type]
        transport = Transport()
        self.transports.append(transport)
        self.protocols.append(protocol)
        protocol.makeConnection(transport)
        made.callback(protocol)

    def refuse(self) -> None:
        self.calls.pop(0)[1].errback(ConnectionRefusedError())

    def take(self, n: int = -1) -> bytes:
        said: bytes = self.transports[n].value()
        self.transports[n].clear()
        return said


class AskingCase(SynchronousTestCase):
    codec: Codec = TcpCodec()

    def setUp(self) -> None:
        self.net = Net()
        self.table = NetworkTable(
            "tcp:x:1", self.codec, self.net.connect, self.net.clock
        )

    def ask(self, key: str) -> Deferred[str | None]:
        answer = self.table.lookup(key)
        assert isinstance(answer, Deferred)
        return answer

    def unavailable(self, answer: Deferred[str | None]) -> str:
        return str(self.failureResultOf(answer, TableUnavailable).value)


class ConnectionTests(AskingCase):
    def test_connection_is_kept(self) -> None:
        """
        Questions one after the other take one connection.
        """
        first = self.ask("a b%")
        self.net.accept()
        self.assertEqual(self.net.take(), b"get a%20b%25\n")
        self.net.protocols[0].dataReceived(b"200 v%20w\n")
        self.assertEqual(self.successResultOf(first), "v w")
        second = self.ask("c")
        self.assertEqual(self.net.take(), b"get c\n")
        self.net.protocols[0].dataReceived(b"500 no such key\n")
        self.assertIsNone(self.successResultOf(second))
        self.assertEqual(self.net.calls, [])

    def test_most_connections(self) -> None:
        """
        A few connections; other questions wait, bounded in number.
        """
        answers = [self.ask(str(n)) for n in range(MOST_CONNECTIONS + 2)]
        self.assertEqual(len(self.net.calls), MOST_CONNECTIONS)
        self.net.accept()
        for n in range(2):
            self.assertEqual(self.net.take(), b"get %d\n" % n)
            self.net.protocols[0].dataReceived(b"200 x\n")
            self.assertEqual(self.successResultOf(answers[n]), "x")
        waiting = [self.ask("k") for _ in range(MOST_WAITING - MOST_CONNECTIONS + 1)]
        self.assertRaises(TableUnavailable, self.table.lookup, "k")
        self.net.clock.advance(LIMIT)
        for each in (*answers[2:], *waiting):
            self.unavailable(each)

    def test_refused(self) -> None:
        """
        No server is "cannot say"; for a moment nobody tries again.
        """
        answers = [self.ask("a"), self.ask("b")]
        self.net.refuse()
        for each in answers:
            self.assertIn("cannot connect", self.unavailable(each))
        self.assertRaises(TableUnavailable, self.table.lookup, "c")
        self.net.clock.advance(REST)
        self.net.refuse()  # the second one of the two
        self.net.clock.advance(REST)
        again = self.ask("a")
        self.net.accept()
        self.net.protocols[0].dataReceived(b"200 x\n")
        self.assertEqual(self.successResultOf(again), "x")

    def test_slow(self) -> None:
        """
        What is not answered in time is "cannot say", and an answer that comes
        later is not taken for that of another question.
        """
        slow = self.ask("slow")
        self.net.accept()
        self.net.clock.advance(LIMIT)
        self.assertIn("no answer", self.unavailable(slow))
        self.assertTrue(self.net.transports[0].aborted)
        following = self.ask("next")
        self.net.protocols[0].dataReceived(b"200 of-slow\n")
        self.assertNoResult(following)
        self.net.accept()
        self.net.protocols[1].dataReceived(b"200 of-next\n")
        self.assertEqual(self.successResultOf(following), "of-next")

    def test_silent_host(self) -> None:
        """
        A connection that is never made is no answer either.
        """
        answer = self.ask("a")
        self.net.clock.advance(LIMIT)
        self.unavailable(answer)

    def test_cancelled(self) -> None:
        """
        Who does not wait any more leaves nothing behind.
        """
        answer = self.ask("a")
        self.net.accept()
        answer.cancel()
        self.failureResultOf(answer)
        self.assertTrue(self.net.transports[0].aborted)
        self.assertEqual(self.net.clock.getDelayedCalls(), [])

    def test_closed_while_idle(self) -> None:
        """
        A server that closes unused connections is asked again, once.
        """
        first = self.ask("a")
        self.net.accept()
        self.net.protocols[0].dataReceived(b"200 x\n")
        self.successResultOf(first)
        second = self.ask("b")
        self.net.protocols[0].connectionLost(Failure(ConnectionDone()))
        self.assertNoResult(second)
        self.net.accept()
        self.assertEqual(self.net.take(), b"get b\n")
        self.net.protocols[1].connectionLost(Failure(ConnectionDone()))
        self.assertIn("connection lost", self.unavailable(second))
        self.assertEqual(self.net.calls, [])

    def test_idle(self) -> None:
        """
        A connection that nobody uses is closed.
        """
        first = self.ask("a")
        self.net.accept()
        self.net.protocols[0].dataReceived(b"200 x\n")
        self.successResultOf(first)
        self.net.clock.advance(IDLE)
        self.assertTrue(self.net.transports[0].aborted)
        self.assertEqual(self.net.clock.getDelayedCalls(), [])

    def test_bad_answers(self) -> None:
        """
        What is no answer is "cannot say".
        """
        for said in (
            *(b"300 x\n", b"\n", b"200\nx", b"200 %zz\n", b"200 %\n", b"x" * 5000),
            *(b"2000 x\n", b"200 x\n200 y\n", b"400\n", b"400 down\n"),
        ):
            answer = self.ask("k")
            if self.net.calls:
                self.net.accept()
            self.net.protocols[-1].dataReceived(said)
            self.unavailable(answer)

    def test_pieces(self) -> None:
        """
        An answer may come octet by octet.
        """
        answer = self.ask("k")
        self.net.accept()
        for octet in b"200 value\r\n":
            self.assertNoResult(answer)
            self.net.protocols[0].dataReceived(bytes([octet]))
        self.assertEqual(self.successResultOf(answer), "value")

    def test_keys(self) -> None:
        """
        Nothing is asked for an empty key; a long one cannot be asked for.
        """
        self.assertIsNone(self.table.lookup(""))
        self.assertRaises(TableUnavailable, self.table.lookup, "%" * 1400)
        answer = self.ask("a\nget b\x00\udcff")
        self.net.accept()
        self.assertEqual(self.net.take(), b"get a%0Aget%20b%00%FF\n")
        answer.cancel()
        self.failureResultOf(answer)


class SocketmapTests(SynchronousTestCase):
    def read(self, data: bytes) -> Answer | None:
        return SocketmapCodec("m").reader(True).feed(data)

    def test_request(self) -> None:
        """
        A netstring of the map's name and the key, octets counted.
        """
        self.assertEqual(
            SocketmapCodec("m").request("k\u00e9"), "5:m k\u00e9,".encode()
        )
        self.assertRaises(ValueError, SocketmapCodec("m").request, "x" * 9000)

    def test_answers(self) -> None:
        """
        OK and NOTFOUND are answers, the others are trouble.
        """
        self.assertEqual(self.read(b"4:OK v,"), Answer("v"))
        self.assertEqual(self.read(b"9:NOTFOUND ,"), Answer(None))
        self.assertEqual(self.read(b"8:NOTFOUND,"), Answer(None))
        for word in ("TEMP", "TIMEOUT", "PERM"):
            answer = self.read(b"%d:%s why," % (len(word) + 4, word.encode()))
            self.assertEqual(answer, Answer(None, f"{word} why"))

    def test_bad(self) -> None:
        """
        Netstrings are checked.
        """
        for data in (
            *(b"x", b"4;OK v,", b":OK,", b"04:OK v,", b"4:OK vx", b"4:OK v,x"),
            *(b"100001:", b"1234567", b"-1:", b"2:NO,", b"0:,", b"5:found,"),
        ):
            self.assertRaises(ValueError, self.read, data)

    def test_pieces(self) -> None:
        """
        Cut anywhere, it is the same answer.
        """
        whole = b"9:OK a:b,cd,"
        for at in range(1, len(whole)):
            reader: Reader = SocketmapCodec("m").reader(True)
            self.assertIsNone(reader.feed(whole[:at]))
            self.assertEqual(reader.feed(whole[at:]), Answer("a:b,cd"))

    def test_names(self) -> None:
        """
        inet with host, port and name; unix with path and name.
        """
        self.assertEqual(read_name("inet:h:25:m"), (Address("h", 25), "m"))
        self.assertEqual(read_name("inet:[::1]:25:m"), (Address("::1", 25), "m"))
        self.assertEqual(read_name("unix:/a:b/c:m"), (Address("/a:b/c"), "m"))
        for name in ("inet:h:25", "h:25:m", "unix:/a", "unix:/a:", "inet:h:0:m", ""):
            kind = SocketmapType()
            given = context(f"socketmap:{name}")
            error = self.assertRaises(ConfigError, kind.open, name, given)
            self.assertIn("need socketmap:inet", error.problems[0])


class AddressTests(SynchronousTestCase):
    def test_inet(self) -> None:
        """
        Host and port, by number or name.
        """
        self.assertEqual(inet_address("h:smtp"), Address("h", 25))
        for text in ("h", ":1", "h:", "h:70000", "h:0", "h:nosuchservice", "a:b:1"):
            self.assertRaises(ValueError, inet_address, text)

    def test_refused(self) -> None:
        """
        A name that is no address refuses the table.
        """
        error = self.assertRaises(
            ConfigError, TcpType().open, "here", context("tcp:here")
        )
        self.assertIn("need tcp:host:port", error.problems[0])

    def test_unsafe(self) -> None:
        """
        Nobody on the network says which commands are run, and who owns files.
        """
        for parameter in ("alias_maps", "virtual_uid_maps"):
            given = replace(context("tcp:h:1"), parameter=parameter)
            error = self.assertRaises(ConfigError, TcpType().open, "h:1", given)
            self.assertIn("security-sensitive", error.problems[0])


class TcpContractTests(TableContract, AskingCase):
    def make_table(self) -> ITable:
        return self.table

    def make_type(self) -> TcpType:
        return TcpType()

    def ask(self, table: Any, key: str) -> Any:  # type: ignore[override]
        answer = table.lookup(key)
        if not isinstance(answer, Deferred):
            return answer
        if self.net.calls:
            self.net.accept()
        found = self.net.take() == b"get key\n"
        self.net.protocols[0].dataReceived(b"200 value\n" if found else b"500 no\n")
        return self.successResultOf(answer)


class BlockingTests(SynchronousTestCase):
    def setUp(self) -> None:
        ours, self.server = socket.socketpair()
        self.addCleanup(self.server.close)
        self.addCleanup(ours.close)
        self.opened = [ours]

        class At(Address):
            def open(at) -> socket.socket:
                if not self.opened:
                    raise OSError("refused")
                return self.opened.pop()

        self.table = BlockingTable("tcp:x:1", TcpCodec(), At("x", 1))

    def test_answers(self) -> None:
        """
        Found and not found, over one connection.
        """
        self.server.sendall(b"200 v\n")
        self.assertEqual(self.table.lookup("k"), "v")
        self.server.sendall(b"500 no\n")
        self.assertIsNone(self.table.lookup("k"))
        self.assertEqual(self.server.recv(100), b"get k\nget k\n")

    def test_trouble(self) -> None:
        """
        Trouble, a bad answer and a lost connection are "cannot say".
        """
        self.server.sendall(b"400 down\n")
        self.assertRaises(TableUnavailable, self.table.lookup, "k")
        self.server.sendall(b"what\n")
        self.assertRaises(TableUnavailable, self.table.lookup, "k")
        self.assertRaises(TableUnavailable, self.table.lookup, "k")

    def test_closed(self) -> None:
        """
        Nobody answers: "cannot say".
        """
        self.server.close()
        self.assertRaises(TableUnavailable, self.table.lookup, "k")
