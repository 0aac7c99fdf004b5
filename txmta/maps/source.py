"""
The content of a text file, noticed when it changes.

Owns: when to look again, what happens when the new version cannot be read.
Knows nothing of: what the text means; a C{parse} function turns it into a
    value, and the last good value stays in use.

Errors: L{ConfigError<txmta.errors.ConfigError>} when the file cannot be read
the first time; a warning later. A table that only a default names may lack
its file: L{TableUnavailable<txmta.errors.TableUnavailable>} until it is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from txmta.errors import ConfigError, TableUnavailable
from txmta.maps.context import TableContext
from txmta.maps.files import Signature, signature_of

T = TypeVar("T")

#: Seconds between two looks at the file.
LOOK_INTERVAL = 1.0


class Source(Generic[T]):
    """
    A file and what C{parse} makes of it.

    A change is taken over when the file has kept still from one look to the
    next, or is older than that: an editor or a script that rewrites it in
    place is given time to finish. What looks up in between gets the old
    value, whole. A content that was given to this process, which cannot read
    the file, stays what it is.
    """

    def __init__(
        self,
        path: str,
        parse: Callable[[str], T],
        context: TableContext,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        @param parse: may raise C{ConfigError} for a version that must not be
            used.
        @param wall: wall time, to tell how old a file is.
        @raise ConfigError: the file cannot be read, or used.
        """
        self._path = path
        self._parse = parse
        self._context = context
        self._wall = wall
        self._complaint = ""
        self._loaded: Signature | None = None
        self._value: T | None = None
        self._next_look = context.seconds() + LOOK_INTERVAL
        self._fixed = context.ways.jailed
        try:
            self._loaded, text = context.ways.read(path)
            self._value = parse(text)
            self._fixed = self._fixed or self._loaded is None
        except OSError as e:
            self._cannot_open(_reason(e), e)
        self._seen = self._loaded

    def _cannot_open(self, reason: str, error: OSError) -> None:
        context = self._context
        if context.manner.command:
            raise ConfigError([f"open {self._path}: {reason}"]) from error
        trouble = f"{context.spec}: open {self._path}: {reason}"
        if not context.by_default:
            raise ConfigError(
                [
                    f"{context.parameter}: {trouble}: make this file, or take the "
                    "table out"
                ]
            ) from error
        self._complaint = reason
        context.warn(
            f"{context.by_default}: {trouble}: mail that needs this table waits: make "
            f'this file (an empty one will do), or write "{context.by_default} =" in '
            "main.cf"
        )

    def value(self) -> T:
        """
        @return: of the newest version that could be read. Looks at the file
            once a second at most.
        @raise TableUnavailable: there was none yet.
        """
        now = self._context.seconds()
        if now >= self._next_look and not self._fixed:
            self._next_look = now + LOOK_INTERVAL
            self._look()
        if self._value is None:
            raise TableUnavailable(self._context.spec, self._complaint)
        return self._value

    def _look(self) -> None:
        try:
            signature = signature_of(self._path)
            if signature == self._loaded:
                self._complaint = ""
                return
            # On a quiet server hours pass between two looks: nobody may be
            # refused who was listed long ago.
            if signature != self._seen and self._is_fresh(signature):
                self._seen = signature
                return
            self._loaded, text = self._context.ways.read(self._path)
            self._value = self._parse(text)
            self._complaint = ""
        except OSError as e:
            self._complain(_reason(e))
        except ConfigError as e:
            self._complain("; ".join(e.problems))

    def _is_fresh(self, signature: Signature) -> bool:
        """
        Whether somebody may be writing to the file still.
        """
        return self._wall() - signature[0] / 1e9 < LOOK_INTERVAL

    def _complain(self, reason: str) -> None:
        # Once for each reason: this runs every second.
        if reason != self._complaint:
            self._complaint = reason
            self._context.warn(
                f"{self._context.spec}: {self._path}: {reason}; "
                + (
                    "the table is unavailable"
                    if self._value is None
                    else "using the version read before"
                )
            )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
