"""
Ask another process, which has tables open that this one may not open.

Owns: which questions are open, and for how long; what is told of trouble.
Knows nothing of: which tables there are.

Sources: Postfix's C{global/dict_proxy.c}.

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>}: nobody is there to
ask, or does not answer in time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.master import lookups
from txmta.master.frames import Record
from txmta.master.link import Link
from txmta.master.lookups import FOUND, HALF, MAX_KEY, UNAVAILABLE
from txmta.master.records import BadRecord

#: Seconds that an answer may take.
LIMIT = 10.0

#: Kinds of trouble that are told until all is well again.
MOST_TOLD = 20

#: Seconds for which the answer of a table that asks for it is remembered.
REMEMBER = 1.0

#: Answers remembered of one table; all are forgotten when there are more.
MAX_REMEMBERED = 4096


class Asker:
    """
    Asks the process that has the tables.
    """

    def __init__(self, clock: IReactorTime, warn: Callable[[str], None]) -> None:
        """
        @param warn: a line for the log.
        """
        self._clock = clock
        self._warn = warn
        self._link: Link | None = None
        self._last = 0
        self._open: dict[int, _Question] = {}
        self._told: set[str] = set()

    def link(self, peer: str) -> Link:
        """
        @param peer: for the log.
        @return: a protocol for a new link to a process that has the tables;
            the one before is not asked any more.
        """
        before, self._link = self._link, None
        if before is not None:
            before.close()
            self._fail("the process that was asked has been replaced")

        def lost(reason: str) -> None:
            if self._link is made:
                self._link = None
                self._tell(f"proxymap: {reason}: its tables are unavailable")
                self._fail(f"proxymap: {reason}")

        handlers = {
            "found": (FOUND, self._found),
            "unavailable": (UNAVAILABLE, self._unavailable),
        }
        made = Link(peer, handlers, self._clock, lost=lost, warn=self._warn)
        self._link = made
        return made

    def ask(self, spec: str, table: str, key: str) -> Deferred[str | None]:
        """
        @param spec: of the table, for messages.
        @param table: as the other process knows it.
        @raise TableUnavailable: nobody can be asked; or the Deferred fails
            with it.
        """
        if self._link is None:
            raise TableUnavailable(spec, "proxymap: not there")
        if len(self._open) >= lookups.MOST:
            raise TableUnavailable(spec, "proxymap: too many questions are open")
        if len(key) > MAX_KEY or HALF.search(key):
            raise TableUnavailable(spec, "proxymap: no such key can be asked for")
        self._last = n = self._last + 1
        question = _Question(spec, self._tell)
        question.start(self._clock)
        self._open[n] = question
        self._link.send({"t": "ask", "n": n, "table": table, "key": key})
        return question.answer

    def _found(self, record: Record) -> None:
        if self._take(record).end(cast("str | None", record["value"])):
            self._told.clear()

    def _unavailable(self, record: Record) -> None:
        self._take(record).fail(str(record["reason"]))

    def _take(self, record: Record) -> _Question:
        question = self._open.pop(cast(int, record["n"]), None)
        if question is None:
            raise BadRecord("answers what was not asked")
        return question

    def _tell(self, trouble: str) -> None:
        # Once, until there is an answer: many may ask in the meantime.
        if trouble not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(trouble)
            self._warn(trouble)

    def _fail(self, reason: str) -> None:
        questions, self._open = [*self._open.values()], {}
        for question in questions:
            question.fail(reason)


class _Question:
    """
    It is open until it is answered, also if nobody waits for it any more: the
    other end is at work on it.
    """

    def __init__(self, spec: str, tell: Callable[[str], None]) -> None:
        self._spec = spec
        self._tell = tell
        self._waiting = True
        self._limit: IDelayedCall | None = None
        self.answer: Deferred[str | None] = Deferred(self._forget)

    def start(self, clock: IReactorTime) -> None:
        reason = f"proxymap: no answer for {LIMIT:.0f} seconds"
        self._limit = clock.callLater(LIMIT, self.fail, reason)

    def end(self, value: str | None) -> bool:
        """
        @return: somebody has waited for it.
        """
        waiting = self._stop()
        if waiting:
            self.answer.callback(value)
        return waiting

    def fail(self, reason: str) -> None:
        if self._stop():
            error = TableUnavailable(self._spec, reason)
            self._tell(str(error))
            self.answer.errback(error)

    def _forget(self, _answer: Deferred[str | None]) -> None:
        self._stop()

    def _stop(self) -> bool:
        waiting, self._waiting = self._waiting, False
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        return waiting


@implementer(ITable)
class AskedTable:
    """
    A table that another process has open.
    """

    def __init__(
        self, asker: Asker, spec: str, table: str, remember: Callable[[], float] | None
    ) -> None:
        """
        @param spec: C{type:name} as main.cf has it, for messages.
        @param table: as the other process knows it.
        @param remember: a monotonic clock, if answers are to be remembered for
            a moment.
        """
        self._asker = asker
        self._spec = spec
        self._table = table
        self._seconds = remember
        self._known: dict[str, tuple[float, str | None]] = {}

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        if self._seconds is None:
            return self._asker.ask(self._spec, self._table, key)
        known = self._known.get(key)
        if known is not None and self._seconds() < known[0]:
            return known[1]
        answer = self._asker.ask(self._spec, self._table, key)
        return answer.addCallback(self._remember, key, self._seconds() + REMEMBER)

    def _remember(self, value: str | None, key: str, until: float) -> str | None:
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[key] = until, value
        return value
