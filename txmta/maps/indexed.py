"""
C{cdb:} and C{lmdb:}: index files made by postmap or postalias.

C{cdb:/etc/x} is answered from C{/etc/x.cdb}, as in Postfix. While there is no
such file, and when only its owner may read an LMDB file, the text file
C{/etc/x} is read instead, as by C{hash:}.

Owns: which file counts; noticing that it changed; keys and values with and
    without a NUL at their end.
Knows nothing of: the formats (L{txmta.maps.cdb}, L{txmta.maps.lmdb}).

Sources: Postfix's C{util/dict_cdb.c}, C{util/dict_lmdb.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} at start;
L{TableUnavailable<txmta.errors.TableUnavailable>} for a key whose place in the
file is damaged. A new file that cannot be used is told, and the old one stays.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast
from weakref import finalize

from zope.interface import implementer

from txmta.errors import ConfigError, TableUnavailable
from txmta.maps.cdb import CdbFile
from txmta.maps.context import TableContext
from txmta.maps.files import Signature, signature_of
from txmta.maps.hash import TextType
from txmta.maps.lmdb import open_lmdb
from txmta.maps.source import LOOK_INTERVAL
from txmta.tables import ITable, ITableType

#: Octets of a cdb file that is read whole; a larger one is read where it is
#: asked.
SMALL = 1024 * 1024

#: Seconds by which a text may be newer than its index without a warning:
#: somebody may be at it.
_AT_IT = 100.0


class Index(Protocol):
    """
    An open index file. Both raise C{ValueError} or C{OSError}: cannot say.
    """

    def get(self, key: bytes) -> bytes | None: ...

    def check(self) -> None: ...


#: Opens a file; L{None} instead of a signature: what it holds was given to
#: this process, which cannot look at it again.
Opener = Callable[[str, TableContext], tuple[Index, Signature | None]]


class _Cdb(CdbFile):
    def check(self) -> None:
        """
        Each read is checked by itself.
        """


class _LargeCdb(_Cdb):
    """
    Reads where it is asked; the page cache is shared by all processes.
    """

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        close = finalize(self, os.close, descriptor)
        status = os.fstat(descriptor)
        self.signature: Signature = (
            status.st_mtime_ns,
            status.st_size,
            status.st_ino,
            status.st_dev,
        )
        try:
            super().__init__(
                lambda at, size: os.pread(descriptor, size, at), status.st_size
            )
        except BaseException:
            # Who keeps the error keeps this object, too.
            close()
            raise


def open_cdb(path: str, context: TableContext) -> tuple[Index, Signature | None]:
    """
    An L{Opener}.
    """
    try:
        status = os.stat(path)
        large = stat.S_ISREG(status.st_mode) and status.st_size > SMALL
    except OSError:
        large = False  # it may have been read for us
    if large:
        file = _LargeCdb(path)
        return file, file.signature
    signature, text = context.ways.read(path)
    octets = text.encode("utf-8", "surrogateescape")
    return _Cdb(lambda at, size: octets[at : at + size], len(octets)), signature


def open_lmdb_index(path: str, context: TableContext) -> tuple[Index, Signature | None]:
    """
    An L{Opener}.
    """
    try:
        # Written in place: what is new in it is seen without opening it again.
        signature = _same_file(signature_of(path))
        return open_lmdb(path), signature
    except ImportError as e:
        raise ConfigError(
            [
                f"{context.parameter}: {context.spec}: {path} is there, but not the "
                "Python library for it: pip install txmta[lmdb], or write "
                f"hash:{context.spec.partition(':')[2]}, which reads the text file"
            ]
        ) from e


def _same_file(signature: Signature) -> Signature:
    _time, _size, inode, device = signature
    return (0, 0, inode, device)


@implementer(ITable)
class IndexTable:
    def __init__(self, path: str, opener: Opener, context: TableContext) -> None:
        """
        @param path: of the index file.
        """
        self._path = path
        self._opener = opener
        self._context = context
        self._complaint = ""
        # postmap ends keys with a NUL in some formats, others do not; what was
        # found last is tried first, as in Postfix.
        self._ends = [b"\0", b""]
        self._next_look = context.seconds() + LOOK_INTERVAL
        try:
            self._index, self._opened = opener(path, context)
        except (OSError, ValueError) as e:
            raise context.failed(
                f"open database {path}: {_reason(e)}",
                ": make it again, with postmap or postalias",
            ) from e
        self._fixed = context.ways.jailed or self._opened is None

    def lookup(self, key: str) -> str | None:
        now = self._context.seconds()
        if now >= self._next_look and not self._fixed:
            self._next_look = now + LOOK_INTERVAL
            self._look()
        try:
            octets = self._context.manner.fold(key).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # half a surrogate pair
            return None
        if not octets or b"\0" in octets:
            return None
        try:
            value = self._index.get(octets + self._ends[0])
            if value is None:
                value = self._index.get(octets + self._ends[1])
                if value is not None:
                    self._ends.reverse()
        except (OSError, ValueError) as e:
            raise TableUnavailable(self._context.spec, _reason(e)) from e
        return None if value is None else _text(value)

    def items(self) -> Iterator[tuple[str, str]] | None:
        """
        @return: all keys, as they are, and their values; L{None}: this kind of
            file cannot tell.
        """
        give = getattr(self._index, "items", None)
        return None if give is None else self._items(give())

    def _items(self, found: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
        try:
            for key, value in found:
                yield _text(key), _text(value)
        except (OSError, ValueError) as e:
            raise TableUnavailable(self._context.spec, _reason(e)) from e

    def _look(self) -> None:
        try:
            signature = signature_of(self._path)
            if self._opener is open_lmdb_index:
                signature = _same_file(signature)
            if signature == self._opened:
                self._index.check()
            else:
                self._index, self._opened = self._opener(self._path, self._context)
            self._complaint = ""
        except (OSError, ValueError) as e:
            self._complain(_reason(e))

    def _complain(self, reason: str) -> None:
        # Once for each reason: this runs every second.
        if reason != self._complaint:
            self._complaint = reason
            self._context.warn(
                f"{self._context.spec}: {self._path}: {reason}; using the file "
                "opened before"
            )


@implementer(ITableType)
@dataclass(frozen=True)
class IndexType:
    """
    @ivar prefix: also what the name of an index file ends with.
    @ivar opener: opens one.
    @ivar public: everybody must be able to read the file: it cannot be read
        for those who cannot.
    @ivar wall: wall time, to tell how old a text is.
    """

    prefix: str
    opener: Opener
    public: bool
    wall: Callable[[], float] = time.time

    def open(self, name: str, context: object) -> ITable:
        context = cast(TableContext, context)
        path = f"{name}.{self.prefix}"
        if not context.takes(name) or not self._counts(path, name, context):
            if context.manner.command and not os.path.exists(name):
                reason = "No such file or directory"
                raise ConfigError([f"open database {path}: {reason}"])
            return TextType(self.prefix).open(name, context)
        table = IndexTable(path, self.opener, context)
        self._tell_age(path, name, context)
        return table

    def _counts(self, path: str, text: str, context: TableContext) -> bool:
        """
        @return: whether it is the index file that is asked.
        """
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            return False
        except OSError:
            return True
        hidden = self.public and not context.manner.command and not mode & stat.S_IROTH
        if hidden and os.path.exists(text):
            context.warn(
                f"{context.spec}: {path}: only its owner can read it: "
                f"reading {text} instead"
            )
            return False
        return True

    def _tell_age(self, path: str, text: str, context: TableContext) -> None:
        try:
            written, made = os.stat(text).st_mtime, os.stat(path).st_mtime
        except OSError:
            return
        if made < written < self.wall() - _AT_IT:
            context.warn(f"database {path} is older than source file {text}")


def cdb_type() -> IndexType:
    return IndexType("cdb", open_cdb, public=False)


def lmdb_type() -> IndexType:
    return IndexType("lmdb", open_lmdb_index, public=True)


def _text(octets: bytes) -> str:
    """
    @return: what is before the NUL, if there is one.
    """
    return octets.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
