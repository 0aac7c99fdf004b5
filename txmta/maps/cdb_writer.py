"""
Make constant databases, as C{postmap cdb:} does.

Owns: the format, while it is written.
Knows nothing of: names of files, what keys and values are.

Sources: D. J. Bernstein, "cdb"; Postfix's C{util/dict_cdb.c}.

Errors: C{ValueError}: too much for the format. C{OSError} of the file.
"""

from __future__ import annotations

from struct import pack
from typing import IO

from txmta.maps.cdb import hash_of

_POINTERS = 2048
_MAX_SIZE = 0xFFFFFFFF


class CdbWriter:
    """
    Writes records as they come, and the tables that find them at the end.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """
        @param file: empty, at its start.
        """
        self._file = file
        self._tables: list[list[tuple[int, int]]] = [[] for _ in range(256)]
        self._place = _POINTERS
        file.write(bytes(_POINTERS))

    def add(self, key: bytes, value: bytes) -> None:
        """
        Of two equal keys the first counts.
        """
        number = hash_of(key)
        self._tables[number & 255].append((number, self._place))
        record = pack("<II", len(key), len(value)) + key + value
        self._write(record)

    def finish(self) -> None:
        """
        Nothing is complete before.
        """
        pointers = b""
        for table in self._tables:
            slots = [(0, 0)] * (2 * len(table))
            for number, place in table:
                n = (number >> 8) % len(slots)
                while slots[n][1]:
                    n = (n + 1) % len(slots)
                slots[n] = (number, place)
            pointers += pack("<II", self._place, len(slots))
            self._write(b"".join(pack("<II", *slot) for slot in slots))
        self._file.seek(0)
        self._file.write(pointers)
        self._file.flush()

    def _write(self, octets: bytes) -> None:
        self._place += len(octets)
        if self._place > _MAX_SIZE:
            raise ValueError("more than 4 GB, which is all that a cdb file can have")
        self._file.write(octets)
