"""
Answer other processes, for tables that this one has open.

Owns: who asks; which questions are open.
Knows nothing of: which tables may be asked for, and why.

Sources: Postfix's C{proxymap/proxymap.c}.

Errors: none; what a table raises is told to who asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.master import lookups
from txmta.master.frames import Record
from txmta.master.link import Link
from txmta.master.lookups import ASK, HALF, MAX_REASON, MAX_VALUE
from txmta.master.records import BadRecord

_log = Logger()


@dataclass(frozen=True)
class Missing:
    """
    A table that may be asked for, and cannot be opened.
    """

    reason: str


class Answerer:
    """
    Answers those who ask.
    """

    def __init__(
        self,
        tables: Mapping[str, ITable | Missing],
        clock: IReactorTime,
        warn: Callable[[str], None],
    ) -> None:
        """
        @param tables: all that may be asked for.
        @param warn: a line for the log.
        """
        self._tables = tables
        self._clock = clock
        self._warn = warn
        self._ends: set[_End] = set()
        self._left: Deferred[None] | None = None

    def link(self, peer: str) -> Link:
        """
        @param peer: for the log.
        @return: a protocol for a new link to somebody who asks.
        """
        end = _End(self, peer)
        handlers = {"ask": (ASK, end.ask)}
        end.link = Link(peer, handlers, self._clock, lost=end.lost, warn=self._warn)
        self._ends.add(end)
        return end.link

    def when_left(self) -> Deferred[None]:
        """
        @return: fires when nobody is there who could ask.
        """
        if not self._ends:
            return succeed(None)
        self._left = Deferred()
        return self._left

    def stop(self) -> None:
        """
        Answer nothing more.
        """
        for end in self._ends:
            end.link.close()
        self._ends.clear()

    def forget(self, end: _End) -> None:
        self._ends.discard(end)
        if not self._ends and self._left is not None:
            left, self._left = self._left, None
            left.callback(None)

    def look_up(
        self, peer: str, name: str, key: str
    ) -> str | Deferred[str | None] | None:
        """
        @raise TableUnavailable: or the Deferred fails with it.
        """
        table = self._tables.get(name)
        if table is None:
            self._warn(
                f"{peer} asks for {name!r}, which it may not: see proxy_read_maps"
            )
            raise TableUnavailable(name, "may not be asked for: see proxy_read_maps")
        if isinstance(table, Missing):
            raise TableUnavailable(name, table.reason)
        return table.lookup(key)


class _End:
    """
    One who asks.
    """

    link: Link

    def __init__(self, answerer: Answerer, peer: str) -> None:
        self._answerer = answerer
        self._peer = peer
        self._open: set[int] = set()

    def ask(self, record: Record) -> None:
        n = cast(int, record["n"])
        if n in self._open or len(self._open) >= lookups.MOST:
            raise BadRecord("more questions than may be open, or one twice")
        self._open.add(n)
        try:
            answer = self._answerer.look_up(
                self._peer, str(record["table"]), str(record["key"])
            )
        except Exception:
            self._failed(Failure(), n)
            return
        if isinstance(answer, Deferred):
            answer.addCallback(self._answer, n).addErrback(self._failed, n)
        else:
            self._answer(answer, n)

    def lost(self, reason: str) -> None:
        self._answerer.forget(self)

    def _answer(self, value: str | None, n: int) -> None:
        if value is not None and (len(value) > MAX_VALUE or HALF.search(value)):
            self._cannot(n, f"a value of more than {MAX_VALUE} characters, or not text")
            return
        self._open.discard(n)
        self.link.send({"t": "found", "n": n, "value": value})

    def _failed(self, failure: Failure, n: int) -> None:
        if isinstance(failure.value, TableUnavailable):
            self._cannot(n, failure.value.reason)
        else:
            _log.failure("a table has raised", failure)
            self._cannot(n, "a fault of the table: see the log of twistd")

    def _cannot(self, n: int, reason: str) -> None:
        self._open.discard(n)
        line = re.sub(r"[\r\n\0]+|" + HALF.pattern, " ", reason)[:MAX_REASON]
        self.link.send({"t": "unavailable", "n": n, "reason": line})
