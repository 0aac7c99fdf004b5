"""
The children of one configuration: what is wanted, and what there is.

A place is one child that is wanted. It is filled again when its child dies,
after a delay that grows while children of that place do not live long; so a
role that cannot work holds up only itself.

Owns: when a child is started again; the fork server of a generation, and its
    replacement; what is told to the log about ends.
Knows nothing of: signals, reload, which places there are.

Sources: Postfix's C{master/master_spawn.c} (throttling).

Errors: L{StartFailed} from L{Generation.staff}.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from txmta.config.snapshot import Configuration, pack
from txmta.master.binding import Bound
from txmta.master.channel import channel_pair
from txmta.master.children import Child, how_it_ended
from txmta.master.family import Family, Post, StartFailed
from txmta.master.forking import Forking
from txmta.master.given import listening_names, sealed

#: Seconds to a restart, at first and at most; doubled from one to the next.
FIRST_DELAY, LAST_DELAY = 0.1, 2.0

#: After so many seconds of life the first delay counts again.
GOOD_LIFE = 60.0


class Place:
    """
    One child that is wanted.

    @ivar deaths: since one was ready.
    """

    def __init__(self, post: Post, generation: Generation) -> None:
        self.post = post
        self.child: Child | None = None
        self.has_been_ready = False
        self.deaths = 0
        self._generation = generation
        self._delay = FIRST_DELAY
        self._again: IDelayedCall | None = None

    def fill(self) -> None:
        """
        Start a child.
        """
        self._again = None
        self.child = self._generation.launch(self)
        if self.child is None:
            self._later()

    def is_ready(self, child: Child) -> None:
        self.has_been_ready = True
        self.deaths = 0
        self._generation.one_is_ready()

    def is_empty(self, child: Child) -> None:
        """
        Its child is dead.
        """
        self.child = None
        self.deaths += 1
        self._generation.one_has_ended(self, child)

    def fill_again(self, lived: float) -> None:
        """
        @param lived: seconds that the last child did.
        """
        if lived >= GOOD_LIFE:
            self._delay = FIRST_DELAY
        self._later()

    def _later(self) -> None:
        reactor = self._generation.family.reactor
        self._again = reactor.callLater(self._delay, self.fill)
        self._delay = min(2 * self._delay, LAST_DELAY)

    def leave(self) -> None:
        """
        Start no other.
        """
        if self._again is not None and self._again.active():
            self._again.cancel()
        self._again = None


class Generation:
    """
    @ivar retired: no child is started again.
    @ivar over: called when a retired one has no child any more.
    """

    def __init__(
        self,
        family: Family,
        configuration: Configuration,
        sockets: Sequence[Bound],
        forking: Forking,
    ) -> None:
        """
        @param sockets: for those that listen; open as long as this is, and the
            caller's to close.
        @param forking: ours from now on.
        """
        self.family = family
        self.configuration = configuration
        self.retired = False
        self.over: Callable[[], None] = lambda: None
        self._listening = listening_names(sockets, configuration)
        self._settings = sealed(pack(configuration))
        self._places: list[Place] = []
        self._forking: Forking | None = None
        self._delay = FIRST_DELAY
        self._spawning: IDelayedCall | None = None
        self._staffed: Deferred[None] | None = None
        self._failures = False, False
        self._use(forking)

    @property
    def children(self) -> list[Child]:
        """
        The living.
        """
        return [place.child for place in self._places if place.child is not None]

    @property
    def fork_server(self) -> int:
        """
        Its process id, or 0.
        """
        return self._forking.pid if self._forking is not None else 0

    def staff(
        self, posts: Iterable[Post], *, death: bool = True, fatal: bool = True
    ) -> Deferred[None]:
        """
        Make places and fill them.

        @param death: children of one place that die again and again before
            all are ready are a failure; else they are always started again.
        @param fatal: one that says that it cannot work is a failure.
        @return: fires when all are ready; fails with L{StartFailed}.
        """
        self._failures = death, fatal
        made = [Place(post, self) for post in posts for _ in range(post.count)]
        self._places += made
        staffed: Deferred[None] = Deferred(self._give_up)
        self._staffed = staffed
        for place in made:
            place.fill()
        self.one_is_ready()
        return staffed

    def retire(self) -> None:
        """
        Start no child again; those that live may go on.
        """
        self.retired = True
        self._staffed = None
        for place in self._places:
            place.leave()
            if place.child is not None:
                place.child.retired = True
        if self._spawning is not None and self._spawning.active():
            self._spawning.cancel()
        self._perhaps_over()

    # For places.

    def launch(self, place: Place) -> Child | None:
        """
        Fork a child, with all that it needs.

        @return: L{None} if that cannot be just now.
        """
        if self._forking is None:
            return None
        try:
            return self._launch(place, self._forking)
        except OSError as e:
            # Out of descriptors, or of memory.
            self.family.warn(f"{place.post.role} cannot be started: {e.strerror}")
            return None

    def _launch(self, place: Place, forking: Forking) -> Child:
        family, role = self.family, place.post.role
        child = Child(
            role, family.number(), family.reactor, place.is_ready, place.is_empty
        )
        child.group = self
        own, others = family.wiring.connect(child, family.children.values())
        ours, theirs = channel_pair()
        given = {"settings": self._settings, "control": theirs.fileno()}
        given |= {end.name: end.socket.fileno() for end in own}
        given |= family.extras.get(role, {})
        if place.post.listens:
            given |= self._listening
        family.children[child.n] = child
        child.open_channel(ours)
        forking.fork(child, given)
        for peer, end in others:
            family.children[peer.n].adopt(end)
        for end in (*own, *(end for _peer, end in others)):
            end.socket.close()
        theirs.close()
        return child

    def one_is_ready(self) -> None:
        if self._staffed is not None and all(p.has_been_ready for p in self._places):
            staffed, self._staffed = self._staffed, None
            staffed.callback(None)

    def one_has_ended(self, place: Place, child: Child) -> None:
        family = self.family
        del family.children[child.n]
        family.wiring.forget(child)
        how = how_it_ended(child)
        if how:
            family.warn(f"process {child} {how}")
        if self.retired:
            self._perhaps_over()
        elif self._is_failure(place, child):
            self._fail(child.fatal.splitlines() or [f"{child}: {how or 'has ended'}"])
        else:
            if not child.was_ready:
                for line in child.fatal.splitlines():
                    family.warn(f"{child.role}: {line}")
                family.warn(f"{child.role}: bad command startup -- throttling")
            place.fill_again(family.reactor.seconds() - child.began)

    def _is_failure(self, place: Place, child: Child) -> bool:
        death, fatal = self._failures
        if self._staffed is None:
            return False
        if child.fatal:
            return fatal
        # Once may be chance.
        return death and not child.was_ready and place.deaths > 1

    # The fork server.

    def _use(self, forking: Forking) -> None:
        self._forking = forking
        forking.ready = self._fork_server_works
        forking.lost = self._fork_server_lost

    def _fork_server_works(self) -> None:
        self._delay = FIRST_DELAY

    def _fork_server_lost(self, how: str) -> None:
        works = self._forking is not None and self._forking.is_ready
        self._forking = None
        if self.retired:
            return
        self.family.warn(f"fork server is gone: {how}")
        if self._staffed is not None and not works and any(self._failures):
            self._fail([f"fork server: {how}"])
            return
        self._spawning = self.family.reactor.callLater(self._delay, self._spawn)
        self._delay = min(2 * self._delay, LAST_DELAY)

    def _spawn(self) -> None:
        self._spawning = None
        try:
            self._use(self.family.fork_server())
        except OSError as e:
            self._fork_server_lost(e.strerror or "cannot be started")

    # Ends.

    def _fail(self, problems: Sequence[str]) -> None:
        staffed, self._staffed = self._staffed, None
        if staffed is not None:
            staffed.errback(StartFailed(problems))

    def _give_up(self, _staffed: object) -> None:
        self._staffed = None

    def _perhaps_over(self) -> None:
        if self.children or self._settings < 0:
            return
        os.close(self._settings)
        self._settings = -1
        if self._forking is not None:
            self._forking.hang_up()
        self.over()
