"""
Large texts, compiled: of what is larger than 20 MB an LMDB file beside the text is
asked, C{/etc/x.compiled.lmdb}, so that not every process has all of it in memory.

It is made when the configuration is read, by whoever may write there, and counts
for one version of the text only. What is in it could be made by anybody who may
change the text, and by nobody else: it must belong to root, to the owner of the
text, or to the account of this process.

Owns: when such a file counts, and how it is made.
Knows nothing of: the formats of texts, and of LMDB.

Sources: Postfix's LMDB_README.

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>}: cannot say. Whatever
else is wrong is told, and the text is read into memory.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec

from zope.interface import implementer

from txmta.errors import TableUnavailable
from txmta.maps.context import TableContext
from txmta.maps.files import Signature, signature_of
from txmta.maps.lmdb import LmdbFile, open_lmdb
from txmta.maps.lmdb_writer import LmdbWriter, MapFull
from txmta.maps.source import LOOK_INTERVAL
from txmta.maps.text import Entry, Warn, join_lines
from txmta.tables import ITable

#: What is kept beside the entries; no key of a table begins with a NUL.
_VERSION, _WARNINGS = b"\0version", b"\0warnings"

#: Warnings that are kept, to be told whenever the table is opened.
_MAX_WARNINGS = 20

#: Entries of one transaction: what is not on disk yet is in memory.
_AT_ONCE = 100_000

#: Reads the logical lines of a text.
Reader = Callable[[Iterable[tuple[int, str]], str, Warn], Iterator[Entry]]


def open_compiled(
    name: str, context: TableContext, read: Reader
) -> CompiledTable | None:
    """
    @param name: of the text.
    @param read: knows its format.
    @return: L{None}: the text has to be read.
    """
    manner = context.manner
    if manner.files or manner.fold is not str.casefold:
        return None
    if context.ways.jailed:
        return None  # LMDB files are opened again and again
    try:
        status = os.stat(name)
    except OSError:
        return None  # it may have been read for us
    if not stat.S_ISREG(status.st_mode):
        return None
    if not status.st_mode & stat.S_IROTH:
        return None  # for those only to whom it is given
    version = _version(signature_of(name), context.aliases)
    path = f"{name}.compiled.lmdb"
    try:
        if find_spec("lmdb") is None:
            raise ValueError("pip install txmta[lmdb]")
        file = _compiled(path, name, version)
        if file is None and context.ways.compiles(name):
            _make(path, name, version, context, read)
            file = _compiled(path, name, version)
        if file is None and not manner.command:
            raise ValueError("is not there, or of another version")
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else str(e)
        context.warn(
            f"{context.spec}: large, and in the memory of each process, as it is not "
            f"compiled: {path}: {reason}"
        )
        return None
    return None if file is None else CompiledTable(name, path, file, context)


def _version(signature: Signature, aliases: bool) -> bytes:
    modified, size, inode, _device = signature
    return f"1 {modified} {size} {inode} {int(aliases)}".encode("ascii")


def _compiled(path: str, name: str, version: bytes) -> LmdbFile | None:
    """
    @return: what was made of this version of a text.
    @raise OSError: it cannot be opened.
    @raise ValueError: it is damaged, or somebody else's.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    owners = (0, os.geteuid(), os.stat(name).st_uid)
    if status.st_uid not in owners or status.st_mode & 0o022:
        raise ValueError("others may write to it: remove it")
    file = open_lmdb(path)
    return file if file.get(_VERSION) == version else None


def _make(
    path: str, name: str, version: bytes, context: TableContext, read: Reader
) -> None:
    """
    @raise OSError: it cannot be written there, or the text has changed.
    @raise ValueError: an entry cannot be kept.
    """
    temporary = f"{path}.{secrets.token_hex(8)}.tmp"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o644)
    try:
        size = 4 * os.stat(name).st_size
        while True:
            try:
                _fill(f"/proc/self/fd/{descriptor}", size, name, version, read)
                break
            except MapFull:
                size *= 2
                os.ftruncate(descriptor, 0)
        if _version(signature_of(name), context.aliases) != version:
            raise ValueError(f"{name} was written to meanwhile")
        os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)


def _fill(path: str, size: int, name: str, version: bytes, read: Reader) -> None:
    warnings: list[str] = []
    count = 0
    with (
        LmdbWriter(path, 0o644, size, False) as writer,
        open(name, encoding="utf-8", errors="surrogateescape", newline="\n") as text,
    ):
        lines = join_lines(line.removesuffix("\n") for line in text)
        for number, key, value in read(lines, name, warnings.append):
            folded = key.casefold()
            octets = folded.encode("utf-8", "surrogateescape")
            if not octets or octets[:1] == b"\0":
                continue  # nobody can ask for it
            if not writer.put(octets, value.encode("utf-8", "surrogateescape"), False):
                warnings.append(f'{name}, line {number}: duplicate entry: "{folded}"')
            count += 1
            if count % _AT_ONCE == 0:
                writer.commit(more=True)
        if len(warnings) > _MAX_WARNINGS:
            rest = len(warnings) - _MAX_WARNINGS
            warnings[_MAX_WARNINGS:] = [f"{name}: {rest} more warnings"]
        told = "\n".join(warnings).encode("utf-8", "surrogateescape")
        writer.put(_WARNINGS, told, True)
        writer.put(_VERSION, version, True)
        writer.commit()


@implementer(ITable)
class CompiledTable:
    """
    Entries of a large text.
    """

    def __init__(
        self, name: str, path: str, file: LmdbFile, context: TableContext
    ) -> None:
        """
        @param name: of the text.
        @param path: of what was made of it.
        """
        self._name = name
        self._path = path
        self._file = file
        self._context = context
        self._complaint = ""
        self._version = _version(signature_of(name), context.aliases)
        self._next_look = context.seconds() + LOOK_INTERVAL
        self._tell(file)

    def _tell(self, file: LmdbFile) -> None:
        told = file.get(_WARNINGS) or b""
        for line in told.decode("utf-8", "surrogateescape").splitlines():
            self._context.warn(line)

    def lookup(self, key: str) -> str | None:
        now = self._context.seconds()
        if now >= self._next_look:
            self._next_look = now + LOOK_INTERVAL
            self._look()
        try:
            octets = key.casefold().encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # half a surrogate pair
            return None
        if not octets or octets[:1] == b"\0":
            return None
        try:
            value = self._file.get(octets)
        except (OSError, ValueError) as e:
            raise TableUnavailable(self._context.spec, str(e)) from e
        return None if value is None else _text(value)

    def items(self) -> Iterator[tuple[str, str]]:
        """
        @return: all keys, folded, and their values.
        """
        try:
            for key, value in self._file.items():
                if key[:1] != b"\0":
                    yield _text(key), _text(value)
        except (OSError, ValueError) as e:
            raise TableUnavailable(self._context.spec, str(e)) from e

    def _look(self) -> None:
        """
        Another process makes a new file, when the configuration is read again.
        """
        try:
            version = _version(signature_of(self._name), self._context.aliases)
            if version == self._version:
                self._file.check()
                self._complaint = ""
                return
            file = _compiled(self._path, self._name, version)
            if file is None:
                raise ValueError("has changed: it is compiled by postfix reload")
            self._file, self._version, self._complaint = file, version, ""
        except (OSError, ValueError) as e:
            reason = (e.strerror if isinstance(e, OSError) else "") or str(e)
            if reason != self._complaint:
                self._complaint = reason
                self._context.warn(
                    f"{self._context.spec}: {self._name}: {reason}; using the version "
                    "compiled before"
                )
            return
        self._tell(file)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")
