"""
The socket of a link, on the reactor.

As Twisted's transport for Unix sockets, but: it writes at once, which saves
two C{epoll_ctl} and a turn of the reactor; says that it is blocked as soon as
the kernel takes no more; passes descriptors with the octets that they belong
to, and closes them when they are gone; and takes descriptors only if it is
told to, each closed by an exec.

Owns: the socket; a descriptor that was not sent yet.
Knows nothing of: frames, records.

Sources: C{twisted.internet.unix.Server}, C{twisted.internet.abstract}.

Errors: trouble with sending is left for reading to find, as what the peer sent
before its end counts. To the protocol it is a peer that does not read.
"""

from __future__ import annotations

import os
import socket
from typing import Any, cast

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.tcp import Port
from twisted.internet.unix import Server
from twisted.python.failure import Failure

from txmta.master.descriptors import close_all, receive, send
from txmta.master.link import Link

#: Octets read at a time.
_READ = 65536


class LinkTransport(Server):
    """
    Reads as soon as it is made; use L{adopt}.
    """

    def __init__(
        self, sock: socket.socket, protocol: Link, reactor: IReactorFDSet
    ) -> None:
        """
        @param protocol: gets as many descriptors in one reading as it wants.
        """
        super().__init__(sock, protocol, "", cast(Port, None), 0, reactor)
        self.repstr = f"<{protocol!r} on {sock.fileno()}>"
        self._wanted = protocol.descriptors_wanted
        self._descriptor: int | None = None

    def sendFileDescriptor(self, fileno: int) -> None:
        """
        It goes with the first octet of the C{write} that has to follow, and is
        closed then, or at the end. Call it only while nothing waits.
        """
        self._close_descriptor()
        if self.connected:
            self._descriptor = fileno
        else:
            os.close(fileno)

    def write(self, data: bytes) -> None:
        if not self.connected or self.disconnecting:
            return
        if not self._unsent():
            data = data[self.writeSomeData(data) :]
            if not data:
                return
        super().write(data)
        producer: Any = self.producer
        if producer is not None and not self.producerPaused:
            self.producerPaused = True
            producer.pauseProducing()

    def writeSomeData(self, data: Any) -> int:
        """
        Send what the kernel takes.
        """
        view = memoryview(data)
        done = 0
        try:
            while done < len(view):
                done += self._send_some(view[done:])
        except BlockingIOError:
            pass
        except OSError:
            # It does not read any more, but what it sent is still to be read.
            self.stopWriting()
        return done

    def _send_some(self, view: memoryview) -> int:
        if self._descriptor is None:
            return self.socket.send(view)
        sent = send(self.socket, view, self._descriptor)
        self._close_descriptor()
        return sent

    def _unsent(self) -> int:
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    def doRead(self) -> Any:
        try:
            data, descriptors, refused = receive(self.socket, _READ, self._wanted)
        except BlockingIOError:
            return None
        except OSError as e:
            return e
        protocol: Any = self.protocol
        if refused:
            close_all(descriptors)
            protocol.descriptors_refused()
            return None
        for each in descriptors:
            protocol.fileDescriptorReceived(each)
        if not data:
            return CONNECTION_DONE
        protocol.dataReceived(data)
        return None

    def connectionLost(self, reason: Failure) -> None:
        self._close_descriptor()
        super().connectionLost(reason)

    def _close_descriptor(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def adopt(reactor: IReactorFDSet, descriptor: int, link: Link) -> None:
    """
    Put an end of a socket pair and a protocol together.

    @param descriptor: of a connected stream socket; it belongs to the link
        from here on, and is closed at its end.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor)
    link.makeConnection(LinkTransport(sock, link, reactor))
