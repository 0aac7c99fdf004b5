"""
The one that writes the log of all processes.

Owns: reading what they send, and bounds on it.
Knows nothing of: how lines are made, where they go.

Errors: none; a sender that sends what it should not loses that.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.log.datagrams import MAX_DATAGRAM, lines_of
from txmta.log.maillog import Target

#: Datagrams read of one sender at a stretch.
_TURN = 20


class Collector:
    """
    Reads from all that send.
    """

    def __init__(
        self,
        target: Target,
        reactor: IReactorFDSet,
        wrote: Callable[[], object] = lambda: None,
    ) -> None:
        """
        @param wrote: called after each write.
        """
        self._target = target
        self._wrote = wrote
        self._reactor = reactor
        self._senders: set[_Sender] = set()

    def add(self, peer: str, descriptor: int) -> None:
        """
        @param descriptor: of a SOCK_SEQPACKET; ours from now on.
        """
        end = socket.socket(fileno=descriptor)
        end.setblocking(False)
        sender = _Sender(self, end)
        self._senders.add(sender)
        self._reactor.addReader(sender)

    def close(self) -> None:
        """
        Write what is there, and close the target.
        """
        for sender in [*self._senders]:
            while sender.read():
                pass
            self.remove(sender)
        self._target.close()

    def read(self, data: bytes) -> None:
        """
        Something was sent.
        """
        self._target.write(lines_of(data))
        self._wrote()

    def remove(self, sender: _Sender) -> None:
        """
        The sender is gone.
        """
        if sender in self._senders:
            self._senders.remove(sender)
            self._reactor.removeReader(sender)
            sender.end.close()


@implementer(IReadDescriptor)
class _Sender:
    """
    One that sends.
    """

    def __init__(self, collector: Collector, end: socket.socket) -> None:
        self.end = end
        self._collector = collector

    def fileno(self) -> int:
        return self.end.fileno()

    def logPrefix(self) -> str:
        return "log"

    def doRead(self) -> None:
        self.read()

    def read(self) -> bool:
        """
        @return: perhaps there is more.
        """
        for _ in range(_TURN):
            try:
                # No room for descriptors: the kernel closes them. Whether it
                # blocks is not ours alone to say: master has the same socket.
                data = self.end.recv(MAX_DATAGRAM, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except OSError:
                data = b""
            if not data:
                self._collector.remove(self)
                return False
            self._collector.read(data)
        return True

    def connectionLost(self, reason: Failure) -> None:
        self._collector.remove(self)
