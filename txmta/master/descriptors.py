"""
Octets, and perhaps a descriptor with them, over a socket between two processes.

Owns: the form of the ancillary data; that a descriptor which comes is taken
or closed, and never passed on by an exec.
Knows nothing of: frames, reactors, what a descriptor is.

A descriptor travels with the first octet of what it is sent with. The kernel
ends a reading behind those octets, so that one reading never gives descriptors
of two sendings; but what was sent without one may come in front.

Sources: unix(7), cmsg(3), recvmsg(2).

Errors: OSError; BlockingIOError where a socket that does not wait would have to.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

_INT = struct.calcsize("i")


class Received(NamedTuple):
    """
    @ivar data: empty at the end of the stream.
    @ivar descriptors: the caller's now, to close.
    @ivar refused: there were more than were wanted, or than this process may
        have. Those are closed.
    """

    data: bytes
    descriptors: list[int]
    refused: bool


def send(sock: socket.socket, data: bytes | memoryview, descriptor: int) -> int:
    """
    @param data: not empty.
    @param descriptor: stays the caller's.
    @return: how many octets were sent; the descriptor went with the first.
    """
    rights = struct.pack("i", descriptor)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
    return sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)


def receive(sock: socket.socket, octets: int, descriptors: int) -> Received:
    """
    @param octets: at most.
    @param descriptors: at most. With 0 none gets into this process, not even
        for a moment.
    """
    space = socket.CMSG_SPACE(descriptors * _INT) if descriptors else 0
    data, ancillary, flags, _ = sock.recvmsg(octets, space, socket.MSG_CMSG_CLOEXEC)
    refused = bool(flags & socket.MSG_CTRUNC)
    if not ancillary:
        return Received(data, [], refused)
    got: list[int] = []
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(content) - len(content) % _INT
            got += struct.unpack(f"{whole // _INT}i", content[:whole])
    # The space is rounded up to a multiple of 8 octets: one too many may fit.
    close_all(got[descriptors:])
    return Received(data, got[:descriptors], refused or len(got) > descriptors)


def close_all(descriptors: Iterable[int]) -> None:
    """
    Close what nobody wants.
    """
    for each in descriptors:
        os.close(each)
