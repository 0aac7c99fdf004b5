"""
A child's end of its control channel, for a child without a reactor.

Owns: the answers that master expects, also from one that works through things
    one by one.
Knows nothing of: what the child does.

Call L{BlockingControl.handle} whenever C{fileno()} can be read, and at least
every few seconds: a child that does not answer is killed.

Errors: none; without master there is nothing to live for.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from txmta.master.channel import ChannelBroken, receive, send
from txmta.master.frames import Record

#: Exit status when master is gone.
ORPHAN = 1


class BlockingControl:
    """
    @ivar draining: seconds that are left for what is in hand, once we were
        told to finish.
    @ivar last: called when the server stops.
    @ivar adopt: gets each new end of a link, by name, and owns it.
    """

    def __init__(self, end: socket.socket) -> None:
        self.draining: float | None = None
        self.last: Callable[[], object] = lambda: None
        self.adopt: Callable[[str, int], None] = lambda name, fd: os.close(fd)
        self._end = end
        end.setblocking(True)

    def fileno(self) -> int:
        return self._end.fileno()

    def ready(self) -> None:
        """
        We work.
        """
        self._send({"t": "ready"})

    def drained(self) -> None:
        """
        All is done; we end now.
        """
        self._send({"t": "drained"})

    def fatal(self, text: str) -> None:
        """
        We cannot work.
        """
        self._send({"t": "fatal", "text": text})

    def handle(self) -> None:
        """
        Do what master has said so far; does not wait.
        """
        while True:
            try:
                record, descriptors = receive(self._end, 1, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ChannelBroken:
                os._exit(ORPHAN)
            if record["t"] == "adopt" and descriptors:
                self.adopt(str(record["name"]), descriptors[0])
                continue
            for each in descriptors:
                os.close(each)
            if record["t"] == "beat":
                self._send(record)
            elif record["t"] == "drain":
                self.draining = float(str(record["seconds"]))
                if record.get("last"):
                    self.last()

    def _send(self, record: Record) -> None:
        try:
            send(self._end, record)
        except ChannelBroken:
            os._exit(ORPHAN)
