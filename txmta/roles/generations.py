"""
One process and its configurations: the roles of the present one, and those of
earlier ones that finish what they have.

Owns: the listening sockets; the order in which roles replace others.
Knows nothing of: signals, where configurations come from, what roles do.

New roles are made whole before the old ones hear of it, and listen on the same
sockets, so that no client sees a change. Of the queue manager there is one at
any time; what the old one has in hand is not delivered by the new one
(L{txmta.queue.succession}).

Errors: L{ConfigError<txmta.errors.ConfigError>}: then nothing has changed.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from txmta.config.snapshot import Configuration
from txmta.master.binding import Bound, port_of
from txmta.master.rebinding import bind_again
from txmta.master.sockets import listens
from txmta.queue.succession import Succession
from txmta.roles.single import Roles

#: Seconds that sessions of replaced roles may go on.
DRAIN = 3600.0

#: Roles that finish their sessions while others work; of more, the oldest must
#: hurry.
MAX_RETIRED = 4

#: Seconds between looks whether replaced roles have ended, when we stop.
LOOK = 0.1

#: Seconds that these looks go on.
LAST_LIMIT = 5.0

Make = Callable[[Configuration, Succession | None], Roles]


class Generations:
    """
    The roles of one process, past and present.
    """

    _log = Logger()

    def __init__(
        self,
        make: Make,
        sockets: Sequence[Bound],
        public: Mapping[str, socket.socket],
        clock: IReactorTime,
    ) -> None:
        """
        @param sockets: listening; ours from now on.
        @param public: those of the queue tools; the same.
        """
        self._make = make
        self._sockets = tuple(sockets)
        self._public = public
        self._clock = clock
        self._current: Roles | None = None
        self._retired: list[Roles] = []

    def start(self, configuration: Configuration) -> None:
        """
        @raise ConfigError: it cannot work.
        """
        roles = self._make(configuration, None)
        roles.start(self._sockets, self._public)
        self._current = roles
        spare_the_collector()

    async def change(self, configuration: Configuration) -> None:
        """
        Go over to another configuration.

        @raise ConfigError: nothing has changed.
        """
        old = self._current
        assert old is not None
        wanted = listens(configuration.services, configuration.settings, port_of)
        sockets, added = bind_again(wanted, self._sockets)
        try:
            new = self._make(configuration, Succession(self._clock))
            try:
                new.prepare(sockets)
            except BaseException:
                await new.abandon()
                raise
        except BaseException:
            _close(added)
            raise
        # What lived as long as we do ends after all.
        gc.unfreeze()
        await new.replace(old, self._public)
        self._current = new
        kept = [each.socket for each in sockets]
        _close([each for each in self._sockets if each.socket not in kept])
        self._sockets = tuple(sockets)
        self._retire(old, new)

    async def stop(self) -> None:
        """
        Let all finish, within a limit.
        """
        for roles in self._retired:
            roles.hurry()
        if self._current is not None:
            await self._current.stop()
        end = self._clock.seconds() + LAST_LIMIT
        while self._retired and self._clock.seconds() < end:
            await deferLater(self._clock, LOOK)
        _close(self._sockets)
        for each in self._public.values():
            each.close()

    def _retire(self, old: Roles, heir: Roles) -> None:
        self._retired.append(old)
        for roles in self._retired[:-MAX_RETIRED]:
            roles.hurry()
        ended = Deferred.fromCoroutine(old.retire(heir, DRAIN))
        ended.addErrback(lambda failure: self._log.failure("retiring", failure))
        ended.addBoth(self._ended, old)

    def _ended(self, _result: object, old: Roles) -> None:
        self._retired.remove(old)
        if not self._retired:
            spare_the_collector()


def spare_the_collector() -> None:
    """
    Look for garbage less often, and not among what lives as long as we do:
    modules and tables. Saves some 4 % of the CPU of a message.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _close(sockets: Sequence[Bound]) -> None:
    for each in sockets:
        each.socket.close()
