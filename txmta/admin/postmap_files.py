"""
The files that C{postmap} and C{postalias} write.

Owns: that a file is complete before it has its name, or in one transaction;
    locks; keys and values with and without a NUL at their end.
Knows nothing of: where entries come from.

Errors: C{OSError}, C{ValueError};
L{ConfigError<txmta.errors.ConfigError>} for what a type cannot do.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Protocol

from txmta.admin.replaced_file import fresh, rewrite
from txmta.errors import ConfigError
from txmta.maps.cdb_writer import CdbWriter
from txmta.maps.files import read_file
from txmta.maps.text import alias_entries, logical_lines, postmap_entries
from txmta.maps.text_edit import Reader, with_lines, without

if TYPE_CHECKING:
    from txmta.admin.postmap_build import Builder

_NO_UPDATE = (
    "dict_cdb_open: inappropriate open flags for cdb database - specify "
    "O_RDONLY or O_WRONLY|O_CREAT|O_TRUNC"
)

#: A name of an alias that needs no quotes.
_PLAIN = re.compile(r"[\w.+/=-]+")


class Target(Protocol):
    """
    Where entries go.
    """

    def put(self, key: str, value: str, replace: bool) -> bool:
        """
        @return: C{False}: the key has a value already, and keeps it.
        """

    def commit(self) -> None:
        """
        What was put counts from here on.
        """


class Checked:
    """
    Keeps nothing: C{hash:}, whose text is the table.
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def put(self, key: str, value: str, replace: bool) -> bool:
        if key in self._keys:
            return False  # the first counts, whatever was asked for
        self._keys.add(key)
        return True

    def commit(self) -> None:
        """
        There is nothing to do.
        """


class Failing:
    """
    C{fail:}.
    """

    def __init__(self, spec: str) -> None:
        self._spec = spec

    def put(self, key: str, value: str, replace: bool) -> bool:
        raise ConfigError([f"table {self._spec}: write error: Application error"])

    def commit(self) -> None:
        """
        There is nothing to do.
        """


class Added:
    """
    Lines for the end of a text.
    """

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._new: dict[str, str] = {}
        fold, read = builder.manner.fold, _reader(builder.aliases)
        self._old: set[str] = set()
        if os.path.exists(builder.name):
            text = read_file(builder.name)[1]
            entries = read(logical_lines(text), "", lambda _: None)
            self._old = {fold(key) for _, key, _ in entries}

    def put(self, key: str, value: str, replace: bool) -> bool:
        if not replace and (key in self._new or key in self._old):
            return False
        self._new[key] = value
        return True

    def commit(self) -> None:
        builder = self._builder
        form = "{}: {}" if builder.aliases else "{}\t{}"
        lines = [form.format(_written(builder, k), v) for k, v in self._new.items()]
        read, fold = _reader(builder.aliases), builder.manner.fold

        def change(text: str) -> str:
            text, _ = without(text, self._new.keys() & self._old, read, fold)
            return with_lines(text, lines)

        rewrite(builder.name, change, builder.options.as_owner)


class Cdb:
    """
    A new file, which takes the place of the old one.
    """

    def __init__(self, builder: Builder, mode: int) -> None:
        self._path = f"{builder.name}.cdb"
        self._null = b"\0" if builder.options.nulls else b""
        self._entries: dict[bytes, bytes] = {}
        self._mode = mode

    def put(self, key: str, value: str, replace: bool) -> bool:
        octets = _octets(key) + self._null
        if octets in self._entries and not replace:
            return False
        self._entries[octets] = _octets(value) + self._null
        return True

    def commit(self) -> None:
        with (
            fresh(self._path, self._mode) as descriptor,
            os.fdopen(descriptor, "wb", closefd=False) as file,
        ):
            writer = CdbWriter(file)
            for key, value in self._entries.items():
                writer.add(key, value)
            writer.finish()


class Lmdb:
    """
    A transaction in the file itself, as readers have it open.
    """

    def __init__(self, builder: Builder, mode: int, size: int, empty: bool) -> None:
        from txmta.maps.lmdb_writer import LmdbWriter

        # Postfix on Debian ends keys with a NUL here, and nowhere else.
        self._null = b"" if builder.options.nulls is False else b"\0"
        self._writer = LmdbWriter(f"{builder.name}.lmdb", mode, size, empty)
        self.close = self._writer.__exit__

    def put(self, key: str, value: str, replace: bool) -> bool:
        return self._writer.put(
            _octets(key) + self._null, _octets(value) + self._null, replace
        )

    def commit(self) -> None:
        self._writer.commit()


@contextlib.contextmanager
def open_target(builder: Builder, mode: int, size: int) -> Iterator[Target]:
    """
    @param mode: of a new file.
    @param size: octets that may be needed.
    """
    from txmta.admin.postmap_options import Mode

    empty = builder.options.mode is Mode.BUILD
    if builder.prefix == "fail":
        yield Failing(builder.spec)
    elif builder.prefix == "cdb":
        if not empty:
            raise ConfigError([_NO_UPDATE])
        yield Cdb(builder, mode)
    elif builder.prefix == "lmdb":
        try:
            target = Lmdb(builder, mode, size, empty)
        except ImportError as e:
            raise ConfigError([no_library(builder.spec)]) from e
        try:
            yield target
        finally:
            target.close(None, None, None)
    else:
        yield Checked() if empty else Added(builder)


def no_library(spec: str) -> str:
    """
    @return: what is missing, and what to do.
    """
    return f"{spec}: no Python library for LMDB: pip install txmta[lmdb]"


def delete(
    prefix: str,
    name: str,
    keys: Collection[str],
    aliases: bool,
    fold: Callable[[str], str],
    as_owner: bool = True,
) -> bool:
    """
    Take entries out of a table.

    @return: there was one.
    @raise ConfigError: it cannot be done; in Postfix's words.
    """
    spec = f"{prefix}:{name}"
    wanted = {fold(key) for key in keys if key}
    if prefix == "fail":
        raise ConfigError([f"table {spec}: delete error: Application error"])
    if prefix == "static":
        raise ConfigError([f"table {spec}: delete operation is not supported"])
    if prefix == "cdb":
        raise ConfigError([_NO_UPDATE])
    if prefix == "lmdb":
        return _delete_lmdb(spec, f"{name}.lmdb", wanted)
    if prefix not in ("hash", "btree"):
        from txmta.admin.postmap_tables import known

        if not known(prefix):
            raise ConfigError([f"unsupported dictionary type: {prefix}"])
        raise ConfigError([f"{spec} map requires O_RDONLY access mode"])
    if not os.path.exists(name):
        reason = "No such file or directory"
        raise ConfigError([f"open database {name}.db: {reason}"])
    found: set[str] = set()

    def change(text: str) -> str:
        nonlocal found
        text, found = without(text, wanted, _reader(aliases), fold)
        return text

    rewrite(name, change, as_owner)
    return bool(found)


def _delete_lmdb(spec: str, path: str, keys: Collection[str]) -> bool:
    from txmta.maps.lmdb_writer import LmdbWriter

    if not os.path.exists(path):
        raise ConfigError([f"open database {path}: No such file or directory"])
    found = False
    try:
        with LmdbWriter(path, 0o644, 0, False) as writer:
            for key in keys:
                octets = _octets(key)
                found |= writer.delete(octets + b"\0") or writer.delete(octets)
            writer.commit()
    except ImportError as e:
        raise ConfigError([no_library(spec)]) from e
    except ValueError as e:
        raise ConfigError([f"table {spec}: delete error: {e}"]) from e
    return found


def _reader(aliases: bool) -> Reader:
    return alias_entries if aliases else postmap_entries


def _written(builder: Builder, key: str) -> str:
    """
    @return: a key as it stands in a text.
    """
    if not builder.aliases:
        return key
    if _PLAIN.fullmatch(key):
        return key
    return '"' + re.sub(r'(["\\])', r"\\\1", key) + '"'


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
