"""
Our ends of the pipes of a program, watched by the reactor.

Owns: reading when there is something, writing as fast as it is taken.
Knows nothing of: what comes or goes.

Sources: pipe(7).

Errors: none.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IReadDescriptor)
class ReadEnd:
    """
    A descriptor that the reactor watches.
    """

    def __init__(
        self, reactor: IReactorFDSet, fd: int, ready: Callable[[], object]
    ) -> None:
        self._reactor = reactor
        self._fd = fd
        self._ready = ready
        self.closed = False

    def resume(self) -> None:
        if not self.closed:
            self._reactor.addReader(self)

    def pause(self) -> None:
        self._reactor.removeReader(self)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._reactor.removeReader(self)
            os.close(self._fd)

    def fileno(self) -> int:
        return -1 if self.closed else self._fd

    def doRead(self) -> None:
        self._ready()

    def connectionLost(self, reason: Failure) -> None:
        """
        The other end of a pipe was closed, and nothing is left in it; the
        reactor watches it no more.
        """
        self._ready()

    def logPrefix(self) -> str:
        return "command"


@implementer(IWriteDescriptor)
class WriteEnd:
    """
    Where a program reads from.
    """

    def __init__(self, reactor: IReactorFDSet, fd: int) -> None:
        self._reactor = reactor
        self._fd = fd
        self._left = memoryview(b"")
        self._done: Deferred[bool] | None = None

    def write(self, data: bytes) -> Deferred[bool] | bool:
        self._left = memoryview(data)
        taken = self._try()
        if taken is not None:
            return taken
        self._done = Deferred()
        self._reactor.addWriter(self)
        return self._done

    def close(self) -> None:
        self._reactor.removeWriter(self)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._tell(False)

    def fileno(self) -> int:
        return self._fd

    def doWrite(self) -> None:
        taken = self._try()
        if taken is not None:
            self._reactor.removeWriter(self)
            self._tell(taken)

    def connectionLost(self, reason: Failure) -> None:
        """
        Nobody reads any more.
        """
        self._tell(False)

    def logPrefix(self) -> str:
        return "command"

    def _try(self) -> bool | None:
        """
        @return: all is taken, nobody reads any more, or not yet.
        """
        while self._left:
            try:
                self._left = self._left[os.write(self._fd, self._left) :]
            except BlockingIOError:
                return None
            except OSError:  # EPIPE: a command need not read it all
                return False
        return True

    def _tell(self, taken: bool) -> None:
        done, self._done = self._done, None
        if done is not None:
            done.callback(taken)
