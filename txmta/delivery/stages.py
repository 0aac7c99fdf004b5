"""
Work in stages, between which files and directories must get to disk; several
such works side by side, so that their syncs are one.

Whoever changes user ids does one thing at a time, and would wait for the disk
at each. So the first stage of all that is there is done, each with its rights;
then all that these want on disk is synced at once; then come their next stages.

Owns: stages, which works go together.
Knows nothing of: what is done in a stage.

Errors: what a stage raises ends that work alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txmta.delivery.rights import Owner, Rights
from txmta.delivery.syncs import Synced

T = TypeVar("T")

#: Gives descriptors to be synced, gets what became of each.
Stages = Generator[Sequence[int], Synced, T]

#: Works side by side. Our own choice: with 32 there is little left to be saved,
#: and the first waits for the last.
MAX_TOGETHER = 32


class Last(tuple[int, ...]):
    """
    Descriptors after which, if all are synced, nothing is done but to close
    them: nobody's rights are needed for that, and to become somebody and
    return costs 12 system calls.
    """


def in_turn(work: Stages[T], sync_all: Callable[[Sequence[int]], Synced]) -> T:
    """
    Do all stages of one work.
    """
    try:
        wanted = next(work)
        while True:
            wanted = work.send(sync_all(wanted))
    except StopIteration as end:
        result: T = end.value
        return result


class _Work:
    """
    @ivar wanted: descriptors to be synced before the next stage.
    @ivar over: there is none.
    """

    def __init__(self, owner: Owner | None, stages: Stages[Any]) -> None:
        self.done: Deferred[Any] = Deferred()
        self.owner = owner
        self.wanted: Sequence[int] = ()
        self.over = False
        self._stages = stages
        self._result: Any = None

    def step(self, rights: Rights, synced: Synced | None) -> None:
        """
        Do the next stage.

        @param synced: what became of C{wanted}; L{None}: it is the first.
        """
        step = self._stages.__next__
        if synced is not None:

            def step() -> Sequence[int]:
                return self._stages.send(synced)

        closes = isinstance(self.wanted, Last) and not any(synced or ())
        try:
            self.wanted = step() if closes else rights.doing(self.owner, step)()
        except StopIteration as end:
            self._end(end.value)
        except Exception:
            self.fail(Failure())

    def fail(self, failure: Failure) -> None:
        """
        There is no next stage; descriptors are closed.
        """
        self._stages.close()
        self._end(failure)

    def _end(self, result: Any) -> None:
        self.over, self.wanted, self._result = True, (), result

    def tell(self) -> None:
        """
        Fire C{done}.
        """
        self.done.callback(self._result)


class Together:
    """
    Does works in a process that does one thing at a time.
    """

    def __init__(
        self,
        soon: Callable[..., Deferred[Any]],
        rights: Rights,
        sync_all: Callable[[Sequence[int]], Synced],
    ) -> None:
        """
        @param soon: calls a function after what it was given before, as
            L{Sequential.in_thread<txmta.delivery.sequential.Sequential>}.
        """
        self._soon = soon
        self._rights = rights
        self._sync_all = sync_all
        self._waiting: deque[_Work] = deque()

    def do(self, owner: Owner | None, stages: Stages[T]) -> Deferred[T]:
        """
        @param owner: with whose rights each stage is done.
        @return: fires with what the last stage returns.
        """
        work = _Work(owner, stages)
        self._waiting.append(work)
        if len(self._waiting) == 1:
            self._soon(self._go).addCallback(self._told)
        return work.done

    def _go(self) -> list[_Work]:
        waiting = self._waiting
        works = [waiting.popleft() for _ in range(min(len(waiting), MAX_TOGETHER))]
        if waiting:
            self._soon(self._go).addCallback(self._told)
        for work in works:
            work.step(self._rights, None)
        while going := [work for work in works if not work.over]:
            self._next(going)
        return works

    def _next(self, works: Sequence[_Work]) -> None:
        try:
            results = iter(self._sync_all([fd for work in works for fd in work.wanted]))
        except Exception:
            for work in works:
                work.fail(Failure())
            return
        for work in works:
            work.step(self._rights, [next(results) for _ in work.wanted])

    def _told(self, works: Iterable[_Work]) -> None:
        for work in works:
            work.tell()
