"""
Records and descriptors between master, fork server and children.

A message of a SOCK_SEQPACKET socket is one frame with one record; descriptors
travel with the record that names them, which a stream could not promise.
These are the few words by which processes are started, watched and ended;
mail takes L{txmta.master.link}.

Owns: the form of a message, what waits for a slow reader, descriptors until
    they are sent or taken.
Knows nothing of: what a record says, whom it is from.

Sources: unix(7), recvmsg(2), cmsg(3).

Errors: L{ChannelBroken} from the functions; L{Channel} tells by C{lost}.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from twisted.internet.interfaces import (
    IReactorFDSet,
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.master.frames import BadFrame, FrameReader, Record, encode
from txmta.master.records import BadRecord, Schema

#: Octets in one message. Sockets take some 200,000.
MAX_MESSAGE = 65536

#: Descriptors in one message; the kernel takes 253.
MAX_DESCRIPTORS = 250

#: Messages that may wait for a peer that does not read.
MAX_WAITING = 500

#: Messages read at a stretch; others of the process then get their turn.
_TURN = 50

#: How a channel ends that is closed on the other side.
GONE = "the other end is gone"

#: What happens on a record: the schema it must fit, and who gets it with the
#: descriptors that came along, which then are its to close.
Handlers = Mapping[str, tuple[Schema, Callable[[Record, Sequence[int]], None]]]


class ChannelBroken(Exception):
    """
    The peer is gone, or does not speak as we do.
    """


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """
    @return: both ends, blocking, closed on exec.
    """
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(
    end: socket.socket, record: Record, descriptors: Sequence[int] = (), flags: int = 0
) -> None:
    """
    @raise BlockingIOError: not now.
    @raise ChannelBroken: never again.
    """
    ancillary = (
        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        if descriptors
        else []
    )
    try:
        end.sendmsg([encode([record])], ancillary, flags | socket.MSG_NOSIGNAL)
    except BlockingIOError:
        raise
    except (BrokenPipeError, ConnectionResetError) as e:
        raise ChannelBroken(GONE) from e
    except OSError as e:
        raise ChannelBroken(f"cannot be written: {e.strerror}") from e


def receive(
    end: socket.socket, descriptors: int = 0, flags: int = 0
) -> tuple[Record, list[int]]:
    """
    @param descriptors: how many may come along; the kernel closes others.
    @raise BlockingIOError: nothing is there.
    @raise ChannelBroken: the other end is gone, or talks nonsense.
    """
    room = socket.CMSG_SPACE(4 * descriptors) if descriptors else 0
    try:
        data, ancillary, told, _ = end.recvmsg(
            MAX_MESSAGE, room, flags | socket.MSG_CMSG_CLOEXEC
        )
    except BlockingIOError:
        raise
    except ConnectionResetError as e:
        # It has not read all that we sent, which is no matter now.
        raise ChannelBroken(GONE) from e
    except OSError as e:
        raise ChannelBroken(f"cannot be read: {e.strerror}") from e
    came = _descriptors(ancillary)
    # The room is rounded up: one more than was wanted may fit in.
    told |= socket.MSG_CTRUNC if len(came) > descriptors else 0
    try:
        if not data:
            raise ChannelBroken(GONE)
        if told & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ChannelBroken("sent more than it may")
        return _one_record(data), came
    except ChannelBroken:
        for each in came:
            os.close(each)
        raise


def _one_record(data: bytes) -> Record:
    reader = FrameReader()
    try:
        records = reader.feed(data)
    except BadFrame as e:
        raise ChannelBroken(f"sent {e}") from e
    if len(records) != 1 or reader.waiting:
        raise ChannelBroken("sent a message that is not one record")
    return records[0]


def _descriptors(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


@implementer(IReadDescriptor, IWriteDescriptor)
class Channel:
    """
    One end, served by a reactor.
    """

    def __init__(
        self,
        end: socket.socket,
        reactor: IReactorFDSet,
        handlers: Handlers,
        lost: Callable[[str], None],
        descriptors: int = 0,
    ) -> None:
        """
        @param end: ours from now on.
        @param lost: called once with the reason; not after L{close}.
        @param descriptors: how many may come with a record.
        """
        end.setblocking(False)
        self._end = end
        self._reactor = reactor
        self._handlers = handlers
        self._lost = lost
        self._descriptors = descriptors
        self._waiting: deque[tuple[Record, list[int]]] = deque()
        self._open = True
        reactor.addReader(self)

    def send(self, record: Record, descriptors: Sequence[int] = ()) -> None:
        """
        Never waits, never fails.

        @param descriptors: stay the caller's, who may close them at once.
        """
        if not self._open:
            return
        if not self._waiting:
            try:
                send(self._end, record, descriptors)
                return
            except BlockingIOError:
                self._reactor.addWriter(self)
            except ChannelBroken as e:
                self._drop(str(e))
                return
        if len(self._waiting) >= MAX_WAITING:
            self._drop("does not read")
            return
        self._waiting.append((record, [os.dup(each) for each in descriptors]))

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._end.close()
        for _record, descriptors in self._waiting:
            for each in descriptors:
                os.close(each)
        self._waiting.clear()

    # For the reactor.

    def fileno(self) -> int:
        return self._end.fileno()

    def logPrefix(self) -> str:
        return "channel"

    def doRead(self) -> None:
        for _ in range(_TURN):
            if not self._open:
                return
            try:
                record, descriptors = receive(self._end, self._descriptors)
                self._handle(record, descriptors)
            except BlockingIOError:
                return
            except ChannelBroken as e:
                self._drop(str(e))
                return

    def doWrite(self) -> None:
        while self._waiting:
            record, descriptors = self._waiting[0]
            with contextlib.suppress(BlockingIOError):
                try:
                    send(self._end, record, descriptors)
                except ChannelBroken as e:
                    self._drop(str(e))
                    return
                self._waiting.popleft()
                for each in descriptors:
                    os.close(each)
                continue
            return
        self._reactor.removeWriter(self)

    def connectionLost(self, reason: Failure) -> None:
        self._drop("the connection is lost")

    def _handle(self, record: Record, descriptors: Sequence[int]) -> None:
        kind = str(record["t"])
        entry = self._handlers.get(kind)
        wrong = f"sent a record of a type that is not its: {kind[:40]!r}"
        if entry is not None:
            schema, handler = entry
            try:
                schema.check(record)
                handler(record, descriptors)
                return
            except BadRecord as e:
                wrong = f"sent a bad record {kind}: {e}"
        for each in descriptors:
            os.close(each)
        raise ChannelBroken(wrong)

    def _drop(self, reason: str) -> None:
        if self._open:
            self.close()
            self._lost(reason)
