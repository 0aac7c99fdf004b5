"""
What is on its way out over a link: records gathered into frames, descriptors
with them.

Owns: what the transport has not got yet, descriptors among it.
Knows nothing of: clocks; how much may wait, and how long (L{txmta.master.link}).

Errors: ValueError for a record that is no record.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from txmta.master.descriptors import close_all
from txmta.master.frames import Record, encode_record, frames_of

#: Octets given to the transport at once: a peer that reads slowly, but reads,
#: gets through so many in time.
_WRITE = 131072


class Outlet:
    """
    @ivar waiting: octets of whole frames.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self._gathered: list[bytes] = []
        self._out: deque[tuple[bytes, int | None]] = deque()

    def __bool__(self) -> bool:
        """
        Whether anything is on its way.
        """
        return bool(self._gathered or self._out)

    def put(self, record: Record, descriptor: int | None) -> None:
        """
        @param descriptor: ours from here on.
        """
        try:
            encoded = encode_record(record)
        except ValueError:
            if descriptor is not None:
                os.close(descriptor)
            raise
        if descriptor is None:
            self._gathered.append(encoded)
            return
        # A frame of its own, so that the descriptor comes with its record.
        self.gather()
        self._gathered.append(encoded)
        self.gather(descriptor)

    def gather(self, descriptor: int | None = None) -> None:
        """
        Make frames of the records that came since the last time.
        """
        gathered, self._gathered = self._gathered, []
        for frame in frames_of(gathered):
            self.waiting += len(frame)
            for start in range(0, len(frame), _WRITE):
                self._out.append((frame[start : start + _WRITE], descriptor))
                descriptor = None

    def write(self, transport: Any) -> bool:
        """
        Give the transport some of what waits.

        @return: whether there was something.
        """
        if not self._out:
            return False
        data, descriptor = self._out.popleft()
        if descriptor is not None:
            transport.sendFileDescriptor(descriptor)
        # Not one system call for each of many small frames.
        parts, size = [data], len(data)
        while self._out and size < _WRITE and self._out[0][1] is None:
            parts.append(self._out.popleft()[0])
            size += len(parts[-1])
        self.waiting -= size
        transport.write(b"".join(parts))
        return True

    def close(self) -> None:
        """
        Forget all of it.
        """
        close_all(each for _, each in self._out if each is not None)
        self._out.clear()
        self._gathered.clear()
        self.waiting = 0
