"""
Pairs of sockets for tests of links, and what is open.
"""

from __future__ import annotations

import contextlib
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


def open_descriptors() -> dict[int, str]:
    """
    @return: what is open in this process, but what the reactor opens for itself
        when it runs.
    """
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        # That of the directory itself is closed already.
        with contextlib.suppress(OSError):
            what = os.readlink(f"/proc/self/fd/{name}")
            if not what.startswith(("pipe:", "anon_inode:")):
                found[int(name)] = what
    return found
