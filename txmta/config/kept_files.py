"""
Contents of files that only root may read, for processes that are not root.

Owns: their form in a descriptor.
Knows nothing of: what they are for; how a descriptor gets to a process.

They come with a configuration, but apart from it: a process reads those that
its own tables need while it is made, and never has the others in its memory.

Errors: none; what cannot be read is a bug.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Protocol

_LENGTH = struct.Struct(">Q")


class Files(Protocol):
    """
    Contents by path.
    """

    def get(self, path: str) -> bytes | None: ...

    def close(self) -> None:
        """
        Nobody needs them any more.
        """


class HeldFiles(dict[str, bytes]):
    """
    In the memory of the process that read them.
    """

    def close(self) -> None:
        """
        They stay, for others.
        """


def encode_files(files: Mapping[str, bytes]) -> bytes:
    """
    @param files: contents by path.
    """
    places: dict[str, tuple[int, int]] = {}
    at = 0
    for path, content in files.items():
        places[path] = at, len(content)
        at += len(content)
    index = json.dumps(places).encode("ascii")
    return b"".join((_LENGTH.pack(len(index)), index, *files.values()))


class KeptFiles:
    """
    Gives each content when it is asked for.
    """

    def __init__(self, descriptor: int, at: int = 0) -> None:
        """
        @param descriptor: ours from now on.
        @param at: where in it they begin.
        """
        # Others read the same open file: its position is nobody's.
        (length,) = _LENGTH.unpack(os.pread(descriptor, _LENGTH.size, at))
        at += _LENGTH.size
        self._places: dict[str, list[int]] = json.loads(_read(descriptor, length, at))
        self._descriptor = descriptor
        self._start = at + length
        if not self._places:
            self.close()

    def get(self, path: str) -> bytes | None:
        place = self._places.get(path)
        if place is None or self._descriptor < 0:
            return None
        start, length = place
        return _read(self._descriptor, length, self._start + start)

    def held(self) -> HeldFiles:
        return HeldFiles({path: self.get(path) or b"" for path in self._places})

    def close(self) -> None:
        """
        Give nothing any more.
        """
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def _read(descriptor: int, length: int, at: int) -> bytes:
    parts = []
    while length > 0 and (part := os.pread(descriptor, length, at)):
        parts.append(part)
        length -= len(part)
        at += len(part)
    return b"".join(parts)
