"""
Accept connections to a Unix socket that somebody else has bound.

C{reactor.adoptStreamPort} cannot be used: for a Unix socket it calls listen(2),
which a confined process may not, changes the mode of its path, and removes the
path at the end, though the socket outlives us. And its connections take
descriptors that nobody asked for.

Owns: accept, and what is done when there are no descriptors left.
Knows nothing of: what is said.

Sources: twisted.internet.unix; unix(7), accept(2).

Errors: those of accept(2) are waited out.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IReactorTime, IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Connection
from twisted.internet.unix import Server
from twisted.python.failure import Failure
from zope.interface import implementer

#: Connections taken before others get their turn in the reactor.
_TURN = 20

#: Seconds of rest when a connection cannot be taken.
_REST = 1.0


class PlainServer(Server):
    """
    A connection that carries octets and nothing else: descriptors that come
    with them are closed by the kernel.
    """

    def doRead(self) -> Any:
        return Connection.doRead(self)


@implementer(IReadDescriptor)
class Acceptor:
    """
    Takes connections until C{stop}.
    """

    def __init__(self, reactor: Any, sock: socket.socket, factory: Factory) -> None:
        """
        @param reactor: an IReactorFDSet with IReactorTime.
        @param sock: listening, not blocking; it stays the caller's.
        """
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._factory = factory
        self._socket: socket.socket | None = socket.socket(
            sock.family, sock.type, fileno=socket.dup(sock.fileno())
        )
        factory.doStart()
        reactor.addReader(self)

    def stop(self) -> None:
        """
        Take no more. The socket goes on: another process may have it.
        """
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None
            self._factory.doStop()

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        return "public"

    def connectionLost(self, reason: Failure) -> None:
        self.stop()

    def doRead(self) -> None:
        for _ in range(_TURN):
            if self._socket is None:
                return
            try:
                accepted, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no descriptors, or no memory
                self._reactor.removeReader(self)
                self._clock.callLater(_REST, self._again)
                return
            self._serve(accepted)

    def _serve(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        with accepted:  # the transport has a descriptor of its own
            PlainServer._fromConnectedSocket(
                accepted.fileno(), self._factory, self._reactor
            )

    def _again(self) -> None:
        if self._socket is not None:
            self._reactor.addReader(self)
