"""
One end of a link in a process that has no reactor and does one thing at a time.

Owns: what the peer may say (types with their schemas); which records come with
a descriptor; how long sending may take.
Knows nothing of: what records mean.

Sources: L{txmta.master.link}, the other end.

Errors: L{LinkLost}: the process has nothing more to do than to end.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Collection, Mapping, Sequence

from txmta.master.descriptors import receive
from txmta.master.frames import BadFrame, Record, encode
from txmta.master.intake import Intake, Received, release
from txmta.master.records import BadRecord, Schema

#: Seconds that the peer may take to read what is sent.
STALL = 10.0

#: Octets and records taken before they are given to the caller.
_ENOUGH, _MANY = 1 << 20, 1000

_READ = 65536


class LinkLost(Exception):
    """
    The peer is gone, or does what it must not. The reason is for the log.
    """


class BlockingLink:
    """
    @ivar peer: whom it leads to, for the log.
    """

    def __init__(
        self,
        sock: socket.socket,
        peer: str,
        schemas: Mapping[str, Schema],
        seconds: Callable[[], float],
        carriers: Collection[str] = (),
    ) -> None:
        """
        @param sock: one end of a stream socket pair; it belongs to the link.
        @param schemas: of each type that the peer may send.
        @param seconds: a monotonic clock.
        @param carriers: types of which each comes with one descriptor.
        """
        sock.setblocking(False)
        self.peer = peer
        self._socket = sock
        self._seconds = seconds
        self._intake = Intake(schemas, carriers)
        self._poll = select.poll()

    def fileno(self) -> int:
        """
        For C{poll}: readable when L{receive} has something.
        """
        return self._socket.fileno()

    def receive(self, timeout: float) -> list[Received]:
        """
        Take everything that waits.

        @param timeout: seconds to wait if nothing does.
        @return: records in their order, each with its descriptor, which
            belongs to the caller. None: the time is over, or a frame is not
            yet whole.
        @raise LinkLost: the peer is gone, and its last whole record was given
            out before; or it did what it must not.
        """
        if not self._wait(select.POLLIN, timeout):
            return []
        got: list[Received] = []
        octets = 0
        try:
            while octets < _ENOUGH and len(got) < _MANY:
                try:
                    read = self._take(got)
                except BlockingIOError:
                    break
                if not read:
                    if got:
                        # The end is still there to be seen the next time.
                        break
                    raise LinkLost("the other end is gone")
                octets += read
        except OSError as e:
            if not got:
                raise LinkLost(f"cannot read: {e.strerror}") from e
        except LinkLost:
            release(got)
            raise
        return got

    def send(self, records: Sequence[Record]) -> None:
        """
        @raise LinkLost: the peer does not read within L{STALL} seconds, or is
            gone.
        """
        view = memoryview(encode(records))
        end = self._seconds() + STALL
        while view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                left = end - self._seconds()
                if left <= 0 or not self._wait(select.POLLOUT, left):
                    raise LinkLost(
                        f"it does not read for {STALL:.0f} seconds"
                    ) from None
            except OSError as e:
                raise LinkLost(f"cannot write: {e.strerror}") from e

    def close(self) -> None:
        """
        Close the socket, and descriptors that nobody got.
        """
        self._intake.close()
        self._socket.close()

    def _take(self, got: list[Received]) -> int:
        """
        Read once.

        @return: how many octets.
        """
        data, descriptors, refused = receive(self._socket, _READ, self._intake.wanted)
        try:
            got += self._intake.feed(data, descriptors)
        except BadFrame as e:
            raise LinkLost(f"it sent {e}") from e
        except BadRecord as e:
            raise LinkLost(f"it sent a bad record {e}") from e
        if refused:
            raise LinkLost("it sent descriptors that nobody asked for")
        return len(data)

    def _wait(self, event: int, timeout: float) -> bool:
        """
        @return: whether it came; the end of the stream counts.
        """
        self._poll.register(self._socket, event)
        return bool(self._poll.poll(max(0, timeout) * 1000))
