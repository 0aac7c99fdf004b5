"""
TCP transports that do less: they write at once, and close at once.

Twisted keeps what is written until the socket is writable, which costs two
C{epoll_ctl} and a turn of the reactor for each reply: half of the round trip of
a command. Both kinds are for plain sockets; with TLS they do as Twisted does.

Owns: the try to send at once, the shortest way to close.
Knows nothing of: what is sent.

Sources: twisted.internet.tcp.Port, whose C{transport} is meant to be replaced.

Errors: those of a socket are left for the reactor to find, as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.main import CONNECTION_DONE
from twisted.internet.tcp import Port, Server

from txmta.smtp.poller import Poller

#: Octets taken at a time.
_READ = 262144


class DirectServer(Server):
    """
    An accepted connection.

    @ivar ending: it is closed in the next turn of the reactor, whatever the
        peer does: all that was written has been sent.
    """

    ending = False

    def write(self, data: bytes) -> None:
        if (
            not self.connected
            or self.disconnecting
            or self.TLS
            or self._tempDataBuffer
            or len(self.dataBuffer) > self.offset
        ):
            super().write(data)
            return
        try:
            sent = self.socket.send(data)
        except OSError:
            # Busy, or broken: doWrite sorts that out, in the reactor's time.
            sent = 0
        if sent < len(data):
            super().write(data[sent:])

    def loseConnection(self, *arguments: Any, **more: Any) -> None:
        if (
            not self.connected
            or self.disconnecting
            or self.TLS
            or self._tempDataBuffer
            or len(self.dataBuffer) > self.offset
            or not isinstance(self.reactor, Poller)
        ):
            super().loseConnection(*arguments, **more)
            return
        self.disconnecting = self.ending = True
        self.reactor.removeReader(self)
        self.reactor.finish(self)

    def doRead(self) -> Any:
        if self.TLS:
            return super().doRead()
        try:
            data = self.socket.recv(_READ)
        except BlockingIOError:
            return None
        except OSError as e:
            return e
        if not data:
            return CONNECTION_DONE
        self.protocol.dataReceived(data)
        return None


def write_at_once(port: Any, poller: Poller | None = None) -> None:
    """
    @param port: what C{listenTCP} gave, before the first connection.
    @param poller: watches the connections instead of the reactor.
    """
    if isinstance(port, Port):
        made = _made_with(poller) if poller else DirectServer
        port.transport = cast(type[Server], made)


def _made_with(poller: Any) -> Callable[..., DirectServer]:
    def make(
        skt: Any, protocol: Any, client: Any, server: Any, number: int, _reactor: Any
    ) -> DirectServer:
        return DirectServer(skt, protocol, client, server, number, poller)

    return make
