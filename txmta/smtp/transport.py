"""
A TCP transport that writes at once.

Twisted keeps what is written until the socket is writable, which costs two
C{epoll_ctl} and a turn of the reactor for each reply: half of the round trip of a
command. Put in place by L{write_at_once}, for plain sockets.

Owns: the try to send at once.
Knows nothing of: what is sent.

Sources: twisted.internet.tcp.Port, whose C{transport} is meant to be replaced.

Errors: those of a socket are left for the reactor to find, as usual.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Port, Server


class DirectServer(Server):
    """
    An accepted connection.
    """

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


def write_at_once(port: Any) -> None:
    """
    @param port: what C{listenTCP} gave, before the first connection.
    """
    if isinstance(port, Port):
        port.transport = DirectServer
