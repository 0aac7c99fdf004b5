"""
Many connections behind one descriptor of the reactor.

The reactor sets up a logging context for each event of each descriptor: five
frames and a dictionary, a fifth of the cost of a small command. Here the
reactor watches one epoll descriptor, and the connections behind it are called
directly. Everything else (timers, threads) stays the reactor's.

Owns: which connections wait for what.
Knows nothing of: what they do.

Sources: C{twisted.internet.posixbase} (what a descriptor's results mean);
epoll(7) (an epoll descriptor is itself readable when something behind it is).

Errors: what a connection raises is logged and ends that connection only.
"""

from __future__ import annotations

import select
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionFdescWentAway
from twisted.internet.interfaces import IHalfCloseableDescriptor, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connector
from twisted.internet.unix import Connector as UnixConnector
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR

# One for all connections that end as they should, as the reactor has it.
_DONE = Failure(CONNECTION_DONE)

#: Events taken at a time; the others get their turn in the next round.
_EVENTS = 256


@implementer(IReadDescriptor)
class Poller:
    """
    Stands in for the reactor where a connection wants to be watched.
    """

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._epoll = select.epoll()
        self._watched: dict[int, Any] = {}
        self._masks: dict[int, int] = {}
        self._numbers: dict[Any, int] = {}
        self._done: list[Any] = []
        reactor.addReader(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def close(self) -> None:
        """
        Stop to watch. Nobody is told.
        """
        self._reactor.removeReader(self)
        self._epoll.close()

    # For connections.

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> Any:
        """
        See C{IReactorTCP.connectTCP}.
        """
        connector = Connector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def connectUNIX(
        self, address: str, factory: Any, timeout: float = 30, checkPID: bool = False
    ) -> Any:
        """
        See C{IReactorUNIX.connectUNIX}.
        """
        connector = UnixConnector(address, factory, timeout, self, checkPID)
        connector.connect()
        return connector

    def finish(self, connection: Any) -> None:
        """
        End a connection that has nothing left to write, when whoever is at
        work now is done.
        """
        if not self._done:
            self._reactor.callLater(0, self._finish)
        self._done.append(connection)

    def _finish(self) -> None:
        done, self._done = self._done, []
        for connection in done:
            if connection.connected:
                self._lose(connection, CONNECTION_DONE, False)

    def addReader(self, connection: Any) -> None:
        self._add(connection, _IN)

    def addWriter(self, connection: Any) -> None:
        self._add(connection, _OUT)

    def removeReader(self, connection: Any) -> None:
        self._remove(connection, _IN)

    def removeWriter(self, connection: Any) -> None:
        self._remove(connection, _OUT)

    def _add(self, connection: Any, event: int) -> None:
        number = self._numbers.get(connection)
        if number is None:
            number = self._numbers[connection] = connection.fileno()
            self._watched[number] = connection
            self._masks[number] = event
            self._epoll.register(number, event)
            return
        mask = self._masks[number]
        if not mask & event:
            self._masks[number] = mask | event
            self._epoll.modify(number, mask | event)

    def _remove(self, connection: Any, event: int) -> None:
        number = self._numbers.get(connection)
        if number is None or not self._masks[number] & event:
            return
        mask = self._masks[number] & ~event
        if mask:
            self._masks[number] = mask
            self._epoll.modify(number, mask)
            return
        del self._numbers[connection], self._watched[number], self._masks[number]
        if connection.fileno() == number:
            self._epoll.unregister(number)
        # else it is closed already, and the kernel has forgotten it

    # For the reactor.

    def fileno(self) -> int:
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        return "-"

    def doRead(self) -> None:
        watched = self._watched
        for number, event in self._epoll.poll(0, _EVENTS):
            connection = watched.get(number)
            if connection is None:
                continue
            why: BaseException | None = None
            reading = False
            try:
                if event & _GONE and not event & _IN:
                    why = CONNECTION_LOST
                else:
                    if event & _IN:
                        why = connection.doRead()
                        reading = True
                    if not why and event & _OUT and connection in self._numbers:
                        why = connection.doWrite()
                        reading = False
                if not why and connection.fileno() not in (number, -1):
                    why = ConnectionFdescWentAway("Filedescriptor went away")
            except Exception as e:
                self._log.failure("a connection failed")
                why = e
            if why:
                self._lose(connection, why, reading)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor stops.
        """

    def _lose(self, connection: Any, why: BaseException, reading: bool) -> None:
        watched = connection in self._numbers
        if watched:
            self.removeReader(connection)
        half = reading and isinstance(why, ConnectionDone)
        if half and IHalfCloseableDescriptor.providedBy(connection):
            connection.readConnectionLost(_DONE)
            return
        if watched:
            self.removeWriter(connection)
        connection.connectionLost(_DONE if why is CONNECTION_DONE else Failure(why))
