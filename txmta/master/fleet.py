"""
Generations of children: the first, the change to the next, the end.

Owns: the order in which roles start and end; the listening sockets.
Knows nothing of: signals, where configurations come from, what roles do.

A change starts the new children on the same sockets before the old ones are
told to finish, so that no client sees it. A role of which there may be only
one is the exception: its old child ends first.

Errors: L{ConfigError<txmta.errors.ConfigError>} and
L{StartFailed<txmta.master.places.StartFailed>}: then nothing has changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from twisted.internet.defer import Deferred, TimeoutError, gatherResults

from txmta.config.snapshot import Configuration
from txmta.errors import ConfigError
from txmta.master.binding import Bound, port_of
from txmta.master.children import DRAIN_GRACE, Child
from txmta.master.family import Family, Post, StartFailed
from txmta.master.forking import Forking
from txmta.master.places import Generation
from txmta.master.rebinding import bind_again
from txmta.master.sockets import listens

#: Roles that end after all others, in this order: those that report to the
#: others, those that others ask, and who writes down what all do.
LATE: Sequence[Collection[str]] = (("smtp", "local"), ("proxymap",), ("log",))

#: Seconds for each of these at a stop. Nobody is left to record what they still
#: do, and the queue manager has waited for them before.
LATE_LIMIT = 2.0

#: Generations that finish their sessions while others work; of more, the
#: oldest must hurry.
MAX_RETIRED = 4


#: Seconds that the end of a change waits for a role of which there is one.
ALONE_LIMIT = 10.0


@dataclass(frozen=True)
class Timing:
    """
    Seconds.

    @ivar stop: for a stop, in all.
    @ivar drain: for sessions and deliveries of replaced children.
    @ivar handover: for the old one of those that there may be only one of.
    """

    stop: float = 30.0
    drain: float = 3600.0
    handover: float = 5.0


class Fleet:
    """
    @ivar current: the generation that takes new work.
    """

    def __init__(
        self,
        family: Family,
        plan: Callable[[Configuration], Sequence[Post]],
        sockets: Sequence[Bound],
        timing: Timing,
    ) -> None:
        """
        @param plan: which children a configuration wants.
        @param sockets: ours from now on.
        """
        self.current: Generation | None = None
        self._family = family
        self._plan = plan
        self._sockets = tuple(sockets)
        self._timing = timing
        self._all: list[Generation] = []

    async def start(self, configuration: Configuration) -> None:
        """
        @raise StartFailed: a child says that it cannot work.
        """
        try:
            forking = self._family.fork_server()
        except OSError as e:
            raise StartFailed([f"fork server: {e.strerror}"]) from e
        self.current = self._generation(configuration, self._sockets, forking)
        await self.current.staff(self._plan(configuration), death=False)

    async def change(self, configuration: Configuration, forking: Forking) -> None:
        """
        Go over to another configuration.

        @param forking: that has read it; ours from now on.
        @raise ConfigError: nothing has changed.
        """
        try:
            sockets, new_sockets = self._bind(configuration)
        except ConfigError:
            forking.hang_up()
            raise
        old = self.current
        assert old is not None
        new = self._generation(configuration, sockets, forking)
        posts = self._plan(configuration)
        try:
            await new.staff(post for post in posts if not post.alone)
        except BaseException as e:
            # They may have clients already, and mail in hand.
            new.retire()
            for child in new.children:
                child.drain(self._timing.drain)
            _close(new_sockets)
            if isinstance(e, StartFailed):
                raise ConfigError(e.problems) from e
            raise
        self.current = new
        await self._replace(old, new, [post for post in posts if post.alone])
        _close(each for each in self._sockets if each.socket not in _of(sockets))
        self._sockets = tuple(sockets)

    async def stop(self) -> None:
        """
        Let all finish, within a limit.
        """
        for generation in [*self._all]:
            generation.retire()
        early = {child.role for child in self._family.children.values()}
        stages = [early.difference(*LATE), *LATE]
        late = min(LATE_LIMIT, self._timing.stop / 10)
        # Killing those that hang is part of it.
        limit = self._timing.stop - late * len(LATE) - DRAIN_GRACE
        for stage in stages:
            await drained(self._family.of(stage), max(0.0, limit), last=True)
            limit = late
        _close(self._sockets)

    def abandon(self) -> None:
        """
        Kill all.
        """
        for generation in [*self._all]:
            generation.retire()
        for child in [*self._family.children.values()]:
            child.kill("the server ends")

    async def _replace(
        self, old: Generation, new: Generation, alone: Sequence[Post]
    ) -> None:
        timing = self._timing
        old.retire()
        names = {post.role for post in alone}
        ending = [child for child in old.children if child.role in names]
        before = self._plan(old.configuration)
        listening = {post.role for post in before if post.listens}
        for child in old.children:
            if child.role in listening:
                child.drain(timing.drain)
        await drained(ending, timing.handover)
        ready = new.staff(alone, death=False, fatal=False)
        with contextlib.suppress(TimeoutError):
            await ready.addTimeout(ALONE_LIMIT, self._family.reactor)
        # Those that report to the new one know it by now.
        for child in old.children:
            if child.role not in listening:
                child.drain(timing.drain)
        for generation in self._all[: -MAX_RETIRED - 1]:
            for child in generation.children:
                child.drain(0)

    def _generation(
        self, configuration: Configuration, sockets: Sequence[Bound], forking: Forking
    ) -> Generation:
        made = Generation(self._family, configuration, sockets, forking)
        self._all.append(made)
        made.over = lambda: self._all.remove(made)
        return made

    def _bind(
        self, configuration: Configuration
    ) -> tuple[Sequence[Bound], Sequence[Bound]]:
        """
        @return: all sockets that are wanted now, and those of them that are
            new.
        """
        wanted = listens(configuration.services, configuration.settings, port_of)
        return bind_again(wanted, self._sockets)


def drained(
    children: Sequence[Child], seconds: float, last: bool = False
) -> Deferred[list[None]]:
    """
    Let children finish.

    @param last: the server stops.
    @return: fires when all are dead.
    """
    waiting = [_end_of(child) for child in children if child.living]
    for child in children:
        child.drain(seconds, last)
    return gatherResults(waiting)


def _end_of(child: Child) -> Deferred[None]:
    done: Deferred[None] = Deferred()
    child.when_ended(partial(done.callback, None))
    return done


def _of(sockets: Iterable[Bound]) -> list[object]:
    return [each.socket for each in sockets]


def _close(sockets: Iterable[Bound]) -> None:
    for each in sockets:
        each.socket.close()
