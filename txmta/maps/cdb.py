"""
Constant databases: the files that C{postmap cdb:} writes.

A file is 256 pointers to hash tables, then records, then the hash tables.
A look-up reads a few dozen octets at places that the file names; none is
believed before it is known to be inside the file, so that a damaged file is
told and does no harm. It is read, not mapped: where a file is cut short under a
mapping, the process dies.

Owns: the format.
Knows nothing of: what keys and values are, when the file changes.

Sources: D. J. Bernstein, "cdb"; Postfix's C{util/dict_cdb.c}.

Errors: C{ValueError}: damaged. C{OSError} of what reads.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack_from

#: Gives octets: position, number. Fewer at the end of the file.
Read = Callable[[int, int], bytes]

_POINTERS = 2048
_SLOT = 8

#: Slots read at a time; a search needs two on average.
_BLOCK = 8 * _SLOT

#: Slots looked at for one key. The format leaves half of them empty: a search
#: this long is one in a damaged file.
MAX_PROBES = 4096

#: Octets of a value.
MAX_VALUE = 1024 * 1024

#: Octets of a record read at once: for most, all.
_GUESS = 512


class CdbFile:
    """
    An open file.
    """

    def __init__(self, read: Read, size: int) -> None:
        """
        @param size: octets of the file.
        @raise ValueError: it is no such file.
        """
        self._read = read
        self._size = size
        if size > 0xFFFFFFFF:
            raise ValueError("not a cdb file: larger than 4 GB")
        head = read(0, _POINTERS)
        if len(head) < _POINTERS:
            raise ValueError("not a cdb file: too short")
        numbers = unpack_from("<512I", head)
        self._tables = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        for position, slots in self._tables:
            if not _POINTERS <= position <= size - slots * _SLOT:
                raise ValueError("not a cdb file, or not all of it")

    def get(self, key: bytes) -> bytes | None:
        """
        @return: the first value of a key; L{None}: the key is not there.
        @raise ValueError: the file is damaged.
        """
        number = hash_of(key)
        table, slots = self._tables[number & 255]
        if not slots:
            return None
        first = (number >> 8) % slots
        ends = table + slots * _SLOT
        position = table + first * _SLOT
        for _ in range(min(slots, MAX_PROBES) // 8 + 2):
            block = self._exactly(position, min(_BLOCK, ends - position))
            for offset in range(0, len(block), _SLOT):
                found, record = unpack_from("<II", block, offset)
                if not record:
                    return None
                if found == number:
                    value = self._value(record, key)
                    if value is not None:
                        return value
            position += len(block)
            if position >= ends:
                position = table
        if slots > MAX_PROBES:
            raise ValueError("damaged: a hash table without an end")
        return None

    def _value(self, record: int, key: bytes) -> bytes | None:
        """
        @return: of the record, if it is the key's.
        """
        start = self._exactly(record, min(_GUESS, max(_SLOT, self._size - record)))
        key_size, size = unpack_from("<II", start)
        if record + _SLOT + key_size + size > self._size:
            raise ValueError("damaged: a record beyond the end")
        if key_size != len(key):
            return None
        if size > MAX_VALUE:
            raise ValueError(f"a value of {size} bytes: more than {MAX_VALUE}")
        whole = _SLOT + key_size + size
        if len(start) < whole:
            start = self._exactly(record, whole)
        if start[_SLOT : _SLOT + key_size] != key:
            return None
        return start[_SLOT + key_size : whole]

    def _exactly(self, position: int, size: int) -> bytes:
        octets = self._read(position, size)
        if len(octets) < size:
            raise ValueError("damaged: shorter than it says")
        return octets


def hash_of(key: bytes) -> int:
    """
    @return: 32 bits.
    """
    number = 5381
    for octet in key:
        number = (number * 33 & 0xFFFFFFFF) ^ octet
    return number
