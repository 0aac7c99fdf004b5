"""
Connections behind one descriptor, on socket pairs: no network, no reactor.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from txmta.smtp.poller import Poller


class Reactor(Clock):
    """
    A clock that knows whom it watches.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


class Connected:
    """
    One end of a socket pair, as a transport behaves.
    """

    def __init__(self, poller: Poller) -> None:
        self.socket, self.peer = socket.socketpair()
        self.socket.setblocking(False)
        self.poller = poller
        self.got: list[bytes] = []
        self.lost: Failure | None = None
        self.half = 0
        self.written = 0
        self.connected = 1
        self.error: Exception | None = None

    def fileno(self) -> int:
        return self.socket.fileno()

    def doRead(self) -> Any:
        if self.error is not None:
            raise self.error
        data = self.socket.recv(100)
        if not data:
            return CONNECTION_DONE
        self.got.append(data)
        return None

    def doWrite(self) -> Any:
        self.written += 1
        self.poller.removeWriter(self)
        return None

    def connectionLost(self, reason: Failure) -> None:
        self.lost = reason
        self.connected = 0
        self.poller.removeReader(self)
        self.poller.removeWriter(self)
        self.socket.close()

    def readConnectionLost(self, reason: Failure) -> None:
        self.half += 1


class PollerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.poller = Poller(self.reactor)
        self.addCleanup(self.poller.close)

    def connection(self) -> Connected:
        made = Connected(self.poller)
        self.addCleanup(made.peer.close)
        self.addCleanup(made.socket.close)
        return made

    def turn(self) -> None:
        """
        What the reactor does when the descriptor is readable.
        """
        (reader,) = self.reactor.readers
        reader.doRead()

    def test_one_descriptor(self) -> None:
        """
        The reactor watches one descriptor, for any number of connections.
        """
        for _ in range(3):
            self.poller.addReader(self.connection())
        self.assertEqual(self.reactor.readers, [self.poller])

    def test_read(self) -> None:
        """
        Only who has something to read is called, and only while it wants.
        """
        one, two = self.connection(), self.connection()
        for each in (one, two):
            self.poller.addReader(each)
        one.peer.send(b"a")
        self.turn()
        self.assertEqual((one.got, two.got), ([b"a"], []))
        self.poller.removeReader(one)
        one.peer.send(b"b")
        self.turn()
        self.assertEqual(one.got, [b"a"])
        self.poller.addReader(one)
        self.turn()
        self.assertEqual(one.got, [b"a", b"b"])

    def test_write(self) -> None:
        """
        Readers and writers of one connection are kept apart.
        """
        one = self.connection()
        self.poller.addReader(one)
        self.poller.addWriter(one)
        self.turn()
        self.turn()
        self.assertEqual(one.written, 1)
        one.peer.send(b"a")
        self.turn()
        self.assertEqual(one.got, [b"a"])

    def test_end(self) -> None:
        """
        A peer that closes ends the connection, once.
        """
        one = self.connection()
        self.poller.addReader(one)
        one.peer.close()
        self.turn()
        assert one.lost is not None
        one.lost.trap(ConnectionDone)
        self.turn()

    def test_half_close(self) -> None:
        """
        Who can live with half a connection is asked first.
        """
        one = self.connection()
        directlyProvides(one, IHalfCloseableDescriptor)
        self.poller.addReader(one)
        one.peer.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual(one.half, 1)
        self.assertIsNone(one.lost)

    def test_hang_up_of_a_writer(self) -> None:
        """
        A peer that is gone is noticed also by who only writes.
        """
        one = self.connection()
        self.poller.addWriter(one)
        one.peer.close()
        self.turn()
        assert one.lost is not None
        one.lost.trap(ConnectionLost)

    def test_error(self) -> None:
        """
        What one connection raises ends that one; the others go on.
        """
        one, two = self.connection(), self.connection()
        one.error = RuntimeError("a bug")
        for each in (one, two):
            self.poller.addReader(each)
            each.peer.send(b"a")
        self.turn()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertIsNotNone(one.lost)
        self.assertEqual(two.got, [b"a"])

    def test_closed_by_another(self) -> None:
        """
        A connection that another one's event closed is not called any more.
        """
        one, two = self.connection(), self.connection()
        for each in (one, two):
            self.poller.addReader(each)
            each.peer.send(b"a")
        read = Connected.doRead

        def and_close(self: Connected) -> Any:
            for each in (one, two):
                if each is not self and each.lost is None and not self.got:
                    each.connectionLost(Failure(CONNECTION_DONE))
            return read(self)

        self.patch(Connected, "doRead", and_close)
        self.turn()
        self.assertEqual(sorted([one.got, two.got]), [[], [b"a"]])

    def test_finish(self) -> None:
        """
        A connection with nothing left to write ends in the next turn, not
        under the hands of who asked for it.
        """
        one = self.connection()
        self.poller.addReader(one)
        self.poller.finish(one)
        self.assertIsNone(one.lost)
        self.reactor.advance(0)
        assert one.lost is not None
        one.lost.trap(ConnectionDone)

    def test_finish_twice(self) -> None:
        """
        A connection that was lost meanwhile is left alone.
        """
        one = self.connection()
        self.poller.addReader(one)
        self.poller.finish(one)
        one.connectionLost(Failure(ConnectionLost()))
        before = one.lost
        self.reactor.advance(0)
        self.assertIs(one.lost, before)

    def test_rest_is_the_reactor_s(self) -> None:
        self.assertEqual(self.poller.seconds(), 0)
        self.reactor.advance(3)
        self.assertEqual(self.poller.seconds(), 3)
