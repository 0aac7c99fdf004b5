"""
Write LMDB files, as C{postmap lmdb:} does: in place, and in one transaction, so
that who reads has the old content or the new one.

Owns: the size of the map; that two commands do not write at a time.
Knows nothing of: what keys and values are.

Sources: lmdb.h; Postfix's C{util/slmdb.c}, C{util/dict_lmdb.c}.

Errors: C{ValueError}, C{OSError}; L{MapFull}. C{ImportError}: no library.
"""

from __future__ import annotations

import fcntl
import os
from importlib import import_module
from types import TracebackType
from typing import Any

#: Octets of the map of a small file; Postfix's default for lmdb_map_size.
LEAST_SIZE = 16 * 1024 * 1024

#: Octets beyond which no map grows.
MAX_SIZE = 1 << 40


class MapFull(Exception):
    """
    Begin again with a larger map; nothing was written.
    """


class LmdbWriter:
    """
    One transaction; what is not committed has not happened.
    """

    def __init__(self, path: str, mode: int, size: int, empty: bool) -> None:
        """
        @param mode: of a file that is not there yet.
        @param size: octets of the map, at least.
        @param empty: forget what is there.
        @raise OSError: it cannot be opened.
        @raise ValueError: it is no LMDB file.
        """
        self._library = import_module("lmdb")
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        self._environment: Any = None
        try:
            # Both kinds that Postfix can be told to use.
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            fcntl.lockf(self._lock, fcntl.LOCK_EX)
            there = os.fstat(self._lock).st_size
            self._environment = self._library.open(
                path,
                map_size=max(size, LEAST_SIZE, 2 * there),
                subdir=False,
                create=True,
                readahead=False,
                lock=False,
            )
            self._transaction = self._environment.begin(write=True)
            if empty:
                database = self._environment.open_db(txn=self._transaction)
                self._transaction.drop(database, delete=False)
        except self._library.Error as e:
            self._close()
            raise ValueError(f"{path}: {e}") from e
        except BaseException:
            self._close()
            raise

    def put(self, key: bytes, value: bytes, replace: bool) -> bool:
        """
        @return: it is there now; else the key had a value before.
        @raise MapFull: there is no room.
        @raise ValueError: it cannot be put.
        """
        try:
            done: bool = self._transaction.put(key, value, overwrite=replace)
        except self._library.MapFullError as e:
            raise MapFull from e
        except self._library.Error as e:
            raise ValueError(str(e)) from e
        return done

    def delete(self, key: bytes) -> bool:
        """
        @return: it was there.
        """
        try:
            done: bool = self._transaction.delete(key)
        except self._library.BadValsizeError:
            return False
        except self._library.Error as e:
            raise ValueError(str(e)) from e
        return done

    def commit(self, more: bool = False) -> None:
        """
        From here on it counts, also after a power cut.

        @param more: another transaction begins.
        """
        try:
            self._transaction.commit()
            if more:
                self._transaction = self._environment.begin(write=True)
        except self._library.MapFullError as e:
            raise MapFull from e
        except self._library.Error as e:
            raise ValueError(str(e)) from e

    def __enter__(self) -> LmdbWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._environment is not None:
            self._environment.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
