"""
LMDB files, which C{postmap lmdb:} writes: read through py-lmdb, an optional
library.

A file is mapped. With each page that is asked for the kernel maps some around
it, so that a few hundred questions would have all of a large file in the memory
of the process; therefore it is mapped anew after so many.

Everything is one short read transaction without a lock, as the library's locks
are not Postfix's: the pages of what was committed last are not written to
before another commit, and if there was one meanwhile the key is asked for
again.

Owns: that a file is open once in a process, as LMDB demands.
Knows nothing of: what keys and values are.

Sources: lmdb.h ("Caveats"); Postfix's LMDB_README, C{util/slmdb.c}.

Errors: C{ValueError}: no such file, or damaged. C{ImportError}: no library.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from weakref import WeakValueDictionary, finalize

#: Commits between two questions for a key: a writer that is quicker is no
#: postmap.
MAX_TRIES = 10

#: Pages at the end that a good file may lack: they were free again before they
#: were written.
MAX_UNWRITTEN = 16

#: Octets of a file that may be in memory whole, and questions to a larger one
#: for which one mapping is used: 64 KiB each.
SMALL = 8 * 1024 * 1024
QUESTIONS = 50

#: By device and inode: LMDB forbids to open a file twice, and a reload opens
#: new tables while the old ones are still in use.
_open: WeakValueDictionary[tuple[int, int], LmdbFile] = WeakValueDictionary()


def open_lmdb(path: str) -> LmdbFile:
    """
    @raise OSError: it cannot be opened.
    @raise ValueError: it is no such file.
    @raise ImportError: there is no library for it.
    """
    library = import_module("lmdb")
    status = os.stat(path)
    place = (status.st_dev, status.st_ino)
    file = _open.get(place)
    if file is None:
        file = _open[place] = LmdbFile(library, path)
    else:
        file.check()
    return file


class LmdbFile:
    """
    An open file.
    """

    def __init__(self, library: Any, path: str) -> None:
        self._library = library
        # /proc: when the path is another file by now, this one can still be
        # opened again.
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        close = finalize(self, os.close, self._file)
        self._environment: Any = None
        try:
            self._reopen()
        except BaseException:
            # Who keeps the error keeps this object, too.
            close()
            raise

    def _close(self) -> None:
        if self._environment is not None:
            self._environment.close()
            self._environment = None

    def _reopen(self) -> None:
        self._close()
        size = os.fstat(self._file).st_size
        self._questions = QUESTIONS if size > SMALL else -1
        try:
            self._environment = self._library.open(
                f"/proc/self/fd/{self._file}",
                map_size=max(size, 1),
                subdir=False,
                readonly=True,
                create=False,
                readahead=False,
                lock=False,
            )
        except self._library.InvalidError as e:
            raise ValueError("not an LMDB file, or damaged") from e
        except self._library.Error as e:
            raise ValueError(str(e)) from e
        self.check()

    def check(self) -> None:
        """
        See that the file is about as long as it says: a page that is missing
        ends the process that reads it.

        @raise ValueError: it is shorter; nothing is read from it until it is
            longer.
        """
        if self._environment is None:
            self._reopen()
        environment = self._environment
        pages = environment.info()["last_pgno"] + 1 - MAX_UNWRITTEN
        least = pages * environment.stat()["psize"]
        if os.fstat(self._file).st_size < least:
            self._close()
            raise ValueError("damaged: shorter than it says")

    def get(self, key: bytes) -> bytes | None:
        """
        @return: the value of a key; L{None}: the key is not there.
        @raise ValueError: it cannot be told.
        """
        library = self._library
        for _ in range(MAX_TRIES):
            if self._environment is None or self._questions == 0:
                self._reopen()
            self._questions -= 1
            try:
                with self._environment.begin() as transaction:
                    value = transaction.get(key)
                    mine = transaction.id()
            except library.BadValsizeError:
                return None  # empty, or longer than any key
            except library.MapResizedError:
                self._reopen()
                continue
            except library.Error as e:
                raise ValueError(str(e)) from e
            if self._environment.info()["last_txnid"] == mine:
                return None if value is None else bytes(value)
        raise ValueError("is written to all the time")

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """
        @return: all keys and values; for a command, which reads them at once.
        @raise ValueError: it cannot be told.
        """
        if self._environment is None:
            self._reopen()
        library = self._library
        try:
            with self._environment.begin() as transaction:
                yield from transaction.cursor()
        except library.Error as e:
            raise ValueError(str(e)) from e
