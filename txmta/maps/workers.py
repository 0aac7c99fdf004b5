"""
Threads for databases whose clients block: each has a connection of its own.

Owns: threads, how many and how long; connections that are of no use any more.
Knows nothing of: what is asked.

Threads are started when there is work, and end when there is none for a
while. They are not waited for at the end: nothing is lost with a question.

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>}.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from txmta.errors import TableUnavailable
from txmta.maps.wire import LIMIT, MAX_REASON

#: Questions that wait for a thread.
MOST_WAITING = 1000

#: Seconds after which an unused connection is closed, as Postfix does.
IDLE = 60.0

#: Seconds for which nobody tries again after a connection failed.
REST = 1.0

#: Values of one answer, before expansion_limit is applied.
MAX_VALUES = 20_000


class Refused(Exception):
    """
    The database does not answer this question; the next one it may.
    """


class Broken(Exception):
    """
    The connection is of no use.
    """


def error_words(error: Exception) -> str:
    """
    @return: what a library's error says, on one line.
    """
    return " ".join(str(error).split()) or type(error).__name__


class Session(Protocol):
    """
    A connection to a database.
    """

    def ask(self, values: Sequence[str]) -> Sequence[str | None]:
        """
        @param values: what is bound.
        @raise Refused: no answer.
        @raise Broken: and no other one either.
        """

    def close(self) -> None:
        """
        Raises nothing.
        """


class Line:
    """
    One connection, made when it is needed and again when it breaks.
    """

    def __init__(
        self, connect: Callable[[], Session], session: Session | None = None
    ) -> None:
        """
        @param connect: raises L{Broken}.
        """
        self._connect = connect
        self._session = session

    def ask(self, values: Sequence[str]) -> Sequence[str | None]:
        """
        @raise Refused: or L{Broken}.
        """
        if self._session is not None:
            try:
                return self._session.ask(values)
            except Broken:
                # Perhaps the server closed it, or was restarted.
                self.close()
        self._session = self._connect()
        try:
            return self._session.ask(values)
        except Broken:
            self.close()
            raise

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


class _Job:
    def __init__(self, values: Sequence[str]) -> None:
        self.values = values
        self.waits = True
        self.answer: Deferred[Sequence[str | None]] = Deferred(self._forget)

    def _forget(self, _answer: object) -> None:
        self.waits = False

    def end(self, result: Sequence[str | None] | Exception) -> None:
        if not self.waits:
            return
        self.waits = False
        if isinstance(result, Exception):
            self.answer.errback(result)
        else:
            self.answer.callback(result)


class Workers:
    """
    Answers questions, several at a time.
    """

    def __init__(
        self,
        spec: str,
        connect: Callable[[], Session],
        reactor: Any,
        most: int,
        first: Session | None = None,
        idle: float = IDLE,
    ) -> None:
        """
        @param connect: raises L{Broken}.
        @param most: threads.
        @param first: a connection that is there already.
        @param idle: seconds after which an unused one is closed.
        """
        self._spec = spec
        self._connect = connect
        self._reactor = reactor
        self._most = most
        self._first = first
        self._idle = idle
        self._condition = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._threads = 0
        self._unused = 0
        self._trouble = ""
        self._try_at = 0.0

    def ask(self, values: Sequence[str]) -> Deferred[Sequence[str | None]]:
        """
        @raise TableUnavailable: or the Deferred fails with it.
        """
        if self._trouble and self._reactor.seconds() < self._try_at:
            raise TableUnavailable(self._spec, self._trouble)
        job = _Job(values)
        with self._condition:
            if len(self._jobs) >= MOST_WAITING:
                raise TableUnavailable(self._spec, "too many questions are open")
            if len(self._jobs) >= self._unused and self._threads < self._most:
                self._begin()
            self._jobs.append(job)
            self._condition.notify()
        job.answer.addTimeout(LIMIT, self._reactor, onTimeoutCancel=self._late)
        job.answer.addErrback(self._failed)
        return job.answer

    def _begin(self) -> None:
        name = f"table {self._spec}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError as e:
            if not self._threads:
                raise TableUnavailable(self._spec, str(e)) from e
        else:
            self._threads += 1

    def _late(self, _result: object, seconds: float) -> object:
        raise TableUnavailable(self._spec, f"no answer for {seconds:.0f} seconds")

    def _failed(self, failure: Any) -> Any:
        if failure.check(Broken):
            self._trouble = failure.getErrorMessage()[:MAX_REASON]
            self._try_at = self._reactor.seconds() + REST
        if failure.check(Broken, Refused):
            reason = failure.getErrorMessage()[:MAX_REASON]
            raise TableUnavailable(self._spec, reason) from None
        return failure

    def _next(self) -> _Job | None:
        """
        @return: L{None}: there is no work.
        """
        with self._condition:
            self._unused += 1
            if not self._jobs:
                self._condition.wait_for(lambda: self._jobs, self._idle)
            self._unused -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._threads -= 1
            return None

    def _work(self) -> None:
        with self._condition:
            first, self._first = self._first, None
        line = Line(self._connect, first)
        while (job := self._next()) is not None:
            if not job.waits:
                continue
            result: Sequence[str | None] | Exception
            try:
                result = line.ask(job.values)
            except Exception as e:  # a bug must not end the thread in silence
                result = e if isinstance(e, (Refused, Broken)) else Broken(repr(e))
            self._reactor.callFromThread(job.end, result)
        line.close()
