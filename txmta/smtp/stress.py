"""
Overload: too many clients for the room that there is.

A service is under stress while most of its room is taken, and for a while after. New
sessions then get what ${stress?...} says in main.cf, and those that strangers have
are given no more time than new ones. When hardly any room is left, the rest is for
clients in mynetworks, and for those who have a session already.

Owns: when that is; the lines about it.
Knows nothing of: sessions, which settings change.

Sources: Postfix STRESS_README, C{master/master_spawn.c}, C{master_avail.c}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from txmta.events import Note, Warn
from txmta.interfaces import IEventSink

#: Parts of the room that are taken when stress begins, and when strangers are
#: sent away.
STRESSED = 0.8
CROWDED = 0.9

#: Seconds that stress lasts after it was last that full, so that it does not come
#: and go.
AFTER = 60.0


@dataclass(frozen=True)
class Room:
    """
    @ivar limit: sessions that there is room for.
    @ivar used: gives how many there are.
    @ivar by_maxproc: it is master.cf's; else that of open files.
    """

    limit: int
    used: Callable[[], int]
    by_maxproc: bool = False


class Stress:
    """
    That of one service.

    @ivar on: new sessions are to be short of everything.
    @ivar crowded: there is no room for strangers.
    """

    def __init__(
        self, room: Room, service: str, clock: IReactorTime, sink: IEventSink
    ) -> None:
        """
        @param service: its name in master.cf, for the log.
        """
        self.on = False
        self.crowded = False
        self._room = room
        self._service = service
        self._clock = clock
        self._sink = sink
        self._until = 0.0
        self._told = float("-inf")

    def look(self) -> bool:
        """
        Somebody comes.

        @return: stress begins.
        """
        used, limit = self._room.used(), self._room.limit
        self.crowded = used >= limit * CROWDED
        if used >= limit * STRESSED:
            self._until = self._clock.seconds() + AFTER
            if not self.on:
                self.on = True
                self._warn(
                    f'service "{self._service}" has {used} of {limit} sessions: '
                    "new ones get what ${stress?...} says"
                )
                return True
        elif self.on and self._clock.seconds() > self._until:
            self.on = False
            self._note(f'service "{self._service}" has {used} sessions: no stress')
        return False

    def full(self) -> None:
        """
        There was no room for somebody. Say so, now and then.
        """
        now = self._clock.seconds()
        if not self._room.by_maxproc or now < self._told + AFTER:
            return
        self._told = now
        name, limit = self._service, self._room.limit
        # Postfix's words, from master(8).
        for text in (
            f'service "{name}" ({name}) has reached its process limit "{limit}": new '
            "clients may experience noticeable delays",
            "to avoid this condition, increase the process count in master.cf or "
            "reduce the service time per client",
        ):
            self._sink.emit(Warn("master", text))

    def _warn(self, text: str) -> None:
        self._sink.emit(Warn("smtpd", text))

    def _note(self, text: str) -> None:
        self._sink.emit(Note("smtpd", text))
