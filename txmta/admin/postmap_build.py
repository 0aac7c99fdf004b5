"""
What C{postmap} and C{postalias} make of a text.

C{cdb:} and C{lmdb:} become index files, which Postfix's commands and daemons read
as well. Of C{hash:} and C{btree:} the text itself is the table: it is checked, and
what C{-i} adds goes into it.

Owns: which entries of a text count, and what is said of the others; whose rights
    and which permissions a file has.
Knows nothing of: options, the formats of files.

Sources: Postfix's postmap(1), postalias(1); C{postmap/postmap.c},
C{postalias/postalias.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>}, in Postfix's words.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from txmta.admin.postmap_files import Target, open_target
from txmta.admin.postmap_options import IGNORE, REPLACE, Mode, Options
from txmta.admin.replaced_file import become
from txmta.errors import ConfigError
from txmta.maps.context import Manner
from txmta.maps.file_values import encoded
from txmta.maps.files import read_file
from txmta.maps.lmdb_writer import MapFull
from txmta.maps.text import (
    Entry,
    alias_entries,
    is_utf8,
    join_lines,
    masked,
    postmap_entries,
)

#: Types of which a table can be made.
MADE = ("btree", "cdb", "fail", "hash", "lmdb")

#: Octets of a map for each octet of a text; it grows if that is too little.
_ROOM = 4


@dataclass(frozen=True)
class Builder:
    """
    Makes or updates one table.

    @ivar aliases: the text is in the format of aliases(5).
    @ivar warn: takes warnings.
    """

    prefix: str
    name: str
    options: Options
    manner: Manner
    aliases: bool
    warn: Callable[[str], None]

    @property
    def spec(self) -> str:
        return f"{self.prefix}:{self.name}"

    def run(self) -> None:
        """
        @raise ConfigError: nothing was changed.
        """
        if os.getuid() == 0:
            os.seteuid(0)  # it may have been another owner's turn
            os.setegid(os.getgid())
        adding = self.options.mode is Mode.ADD
        if adding:
            self._check_type()
            self._make(sys.stdin.buffer, "stdin", 0o644)
            return
        if self.prefix == "proxy":
            raise ConfigError(["can't create maps via the proxy service"])
        try:
            # O_NONBLOCK: the open of a FIFO must not hang.
            descriptor = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as e:
            raise ConfigError([f"open {self.name}: {e.strerror}"]) from e
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise ConfigError([f"open {self.name}: not a regular file"])
        with os.fdopen(descriptor, "rb") as file:
            self._check_type()
            if self.options.as_owner:
                become(status)
            mode = 0o644
            if self.options.keep_mode:
                mode &= 0o700 | status.st_mode
            self._make(file, self.name, mode)

    def _check_type(self) -> None:
        if self.prefix in MADE:
            return
        from txmta.admin.postmap_tables import known

        what = f"unsupported dictionary type: {self.prefix}"
        if known(self.prefix):
            what += " does not support bulk-mode creation."
        raise ConfigError([what])

    def _make(self, file: IO[bytes], path: str, mode: int) -> None:
        empty = self.options.mode is Mode.BUILD
        size = os.fstat(file.fileno()).st_size * _ROOM
        waiting = list(_lines(file)) if not empty else None
        warn = Again(self.warn)
        while True:
            warn.begin()
            lines = _lines(file) if waiting is None else waiting
            try:
                with open_target(self, mode, size) as target:
                    self._fill(target, lines, path, warn)
                    target.commit()
                return
            except MapFull:
                size = max(size * 2, 1 << 25)
                if waiting is None:
                    file.seek(0)
            except (ValueError, OSError) as e:
                reason = e.strerror if isinstance(e, OSError) else str(e)
                raise ConfigError([f"table {self.spec}: write error: {reason}"]) from e

    def _fill(
        self,
        target: Target,
        lines: Iterable[str],
        path: str,
        warn: Callable[[str], None],
    ) -> None:
        read = alias_entries if self.aliases else postmap_entries
        logical = self._utf8(join_lines(lines), path, warn)
        for entry in read(logical, path, warn):
            self._put(target, entry, path, warn)
        if self.aliases:
            self._sign(target, warn)

    def _put(
        self, target: Target, entry: Entry, path: str, warn: Callable[[str], None]
    ) -> None:
        number, key, value = entry
        where = f"{path}, line {number}"
        if self.options.files:
            try:
                value = encoded(value, lambda name: read_file(name)[1])
            except ValueError as e:
                warn(f"{where}: {e}: skipping this entry")
                return
        key = self.manner.fold(key)
        replace = self.options.duplicates == REPLACE
        if not target.put(key, value, replace) and self.options.duplicates != IGNORE:
            if self.prefix in ("cdb", "lmdb") or path == "stdin":
                where = self.spec
            warn(f'{where}: duplicate entry: "{key}"')

    def _utf8(
        self,
        lines: Iterable[tuple[int, str]],
        path: str,
        warn: Callable[[str], None],
    ) -> Iterator[tuple[int, str]]:
        """
        @return: those that can be used.
        """
        for number, line in lines:
            if self.options.utf8 and not is_utf8(line):
                warn(
                    f'{path}, line {number}: non-UTF-8 input "{masked(line)}" '
                    "-- ignoring this line"
                )
                continue
            yield number, line

    def _sign(self, target: Target, warn: Callable[[str], None]) -> None:
        """
        Add the keys by which Sendmail and NIS know an alias table.
        """
        if self.prefix not in ("cdb", "lmdb"):
            return
        import socket

        update = self.options.mode is Mode.ADD
        for key, value in (
            ("@", "@"),
            ("YP_LAST_MODIFIED", str(int(time.time()))),
            ("YP_MASTER_NAME", socket.gethostname()),
        ):
            if not target.put(key, value, update):
                warn(f'{self.spec}: duplicate entry: "{key}"')


class Again:
    """
    Tells each warning once, though a text may be read again.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._told = self._place = 0

    def begin(self) -> None:
        """
        The text is read from its start.
        """
        self._place = 0

    def __call__(self, text: str) -> None:
        self._place += 1
        if self._place > self._told:
            self._told = self._place
            self._warn(text)


def _lines(file: IO[bytes]) -> Iterator[str]:
    for line in file:
        yield line.decode("utf-8", "surrogateescape").removesuffix("\n")
