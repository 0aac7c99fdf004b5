"""
UDP sockets that say nothing.

Twisted's own port writes two lines to its log for each socket, C{noisy} or
not, and we open one for each question.

Owns: one socket for one protocol.
Knows nothing of: DNS.

Sources: udp(7). Twisted's C{internet/udp.py}.

Errors: C{OSError} where the socket cannot be made or connected; trouble later
goes to the protocol, as in Twisted.
"""

from __future__ import annotations

import contextlib
import socket
from typing import cast

from twisted.internet import error
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorFDSet,
    IReactorUDP,
    IReadDescriptor,
    IUDPTransport,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

#: Datagrams that are read before others have their turn.
_BURST = 20


@implementer(IReactorUDP)
class QuietUDP:
    """
    C{listenUDP} of C{IReactorUDP}, for sockets that are connected at once.
    """

    def __init__(self, reactor: IReactorFDSet) -> None:
        self._reactor = reactor

    def listenUDP(
        self,
        port: int,
        protocol: DatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
    ) -> IListeningPort:
        """
        @raise CannotListenError: the socket cannot be made.
        """
        try:
            made = QuietPort(self._reactor, protocol, interface, port, maxPacketSize)
        except OSError as e:
            raise error.CannotListenError(interface, port, e) from e
        made.start()
        return cast(IListeningPort, made)


@implementer(IReadDescriptor)
class QuietPort:
    """
    What a C{DatagramProtocol} of ours needs of its transport.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        protocol: DatagramProtocol,
        interface: str,
        port: int,
        size: int,
    ) -> None:
        """
        @param size: octets of a datagram that are read.
        """
        self._reactor = reactor
        self._protocol = protocol
        self._size = size
        self._open = True
        family = socket.AF_INET6 if ":" in interface else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.setblocking(False)
            self._socket.bind((interface, port))
        except OSError:
            self._socket.close()
            raise

    def start(self) -> None:
        self._protocol.makeConnection(cast(IUDPTransport, self))
        self._reactor.addReader(self)

    def connect(self, host: str, port: int) -> None:
        """
        @param host: an address: a name would be looked up.
        """
        self._socket.connect((host, port))

    def write(self, packet: bytes, addr: object = None) -> None:
        """
        To whom we are connected. What does not go out is lost, as on the way.
        """
        try:
            self._socket.send(packet)
        except BlockingIOError:
            pass
        except ConnectionRefusedError:
            self._protocol.connectionRefused()

    def stopListening(self) -> None:
        if self._open:
            self._reactor.removeReader(self)
            self.connectionLost()

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return type(self._protocol).__name__

    def doRead(self) -> None:
        for _ in range(_BURST):
            try:
                datagram, address = self._socket.recvfrom(self._size)
            except ConnectionRefusedError:
                self._protocol.connectionRefused()
                return
            except OSError:
                return  # nothing more; or trouble, which the time-out ends
            self._protocol.datagramReceived(datagram, address)
            if not self._open:
                return

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        Also called by the reactor, when the socket has an error.
        """
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(OSError):
            self._socket.close()
        self._protocol.doStop()
