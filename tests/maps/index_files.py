"""
Index files of tables, made without postmap.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from struct import pack

from txmta.maps.cdb import hash_of


def cdb(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """
    @return: a constant database.
    """
    records = b""
    tables: list[list[tuple[int, int]]] = [[] for _ in range(256)]
    for key, value in entries:
        number = hash_of(key)
        tables[number & 255].append((number, 2048 + len(records)))
        records += pack("<II", len(key), len(value)) + key + value
    head = hashes = b""
    end = 2048 + len(records)
    for table in tables:
        slots = [(0, 0)] * (2 * len(table))
        for number, place in table:
            n = (number >> 8) % len(slots)
            while slots[n][1]:
                n = (n + 1) % len(slots)
            slots[n] = (number, place)
        head += pack("<II", end + len(hashes), len(slots))
        hashes += b"".join(pack("<II", *slot) for slot in slots)
    return head + records + hashes


def write_lmdb(path: Path, entries: Iterable[tuple[bytes, bytes]]) -> None:
    """
    Make an LMDB file, or write to one in place, as postmap does.
    """
    import lmdb

    with (
        lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 28) as file,
        file.begin(write=True) as transaction,
    ):
        transaction.drop(file.open_db(txn=transaction), delete=False)
        for key, value in entries:
            transaction.put(key, value, overwrite=False)
