"""
Pairs of sockets for tests of links, and what is open.
"""

from __future__ import annotations

import os
import socket
import tempfile

from twisted.trial.unittest import SynchronousTestCase


class Pair:
    """
    @ivar ours: does not wait; for the code under test.
    @ivar theirs: waits up to 5 seconds.
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.settimeout(5)
        self._case = case
        case.addCleanup(self.ours.close)
        case.addCleanup(self.theirs.close)

    def file(self) -> int:
        """
        @return: a descriptor of a file that holds C{content}.
        """
        with tempfile.TemporaryFile(buffering=0) as f:
            f.write(b"content")
            descriptor = os.dup(f.fileno())
        self._case.addCleanup(os.close, descriptor)
        return descriptor


def open_descriptors() -> set[int]:
    """
    @return: all that are open in this process.
    """
    found = {int(name) for name in os.listdir("/proc/self/fd")}
    # Not that of the directory itself.
    return {each for each in found if _is_open(each)}


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
