"""
All children, and what they are made with.

Owns: who lives; numbers; the words in the log.
Knows nothing of: who is wanted (L{txmta.master.places}), and when.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from txmta.events import Note, Warn
from txmta.interfaces import IEventSink
from txmta.master.children import Child
from txmta.master.forking import FdReactor, Forking
from txmta.master.wiring import Wiring


class StartFailed(Exception):
    """
    A generation of children cannot work.

    @ivar problems: why, one line each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Post:
    """
    So many children of one role.

    @ivar listens: they get the listening sockets.
    @ivar alone: there may be no other, not even a moment.
    """

    role: str
    count: int = 1
    listens: bool = False
    alone: bool = False


@dataclass
class Family:
    """
    All children of all generations, and what they are made with.

    @ivar entry: see L{command<txmta.master.fork_server.command>}.
    @ivar extras: more descriptors, by role and name; they stay open.
    @ivar children: the living.
    """

    reactor: FdReactor
    sink: IEventSink
    wiring: Wiring
    entry: str
    preload: Sequence[str]
    extras: Mapping[str, Mapping[str, int]]
    children: dict[int, Child] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def number(self) -> int:
        """
        @return: of a new child.
        """
        return next(self._numbers)

    def of(self, roles: Iterable[str]) -> list[Child]:
        """
        @return: the living of some roles.
        """
        return [child for child in self.children.values() if child.role in roles]

    def fork_server(self) -> Forking:
        """
        @return: a new one, on its way.
        @raise OSError: it cannot be started.
        """
        return Forking(self.reactor, self.entry, self.preload)

    def note(self, text: str) -> None:
        self.sink.emit(Note("master", text))

    def warn(self, text: str) -> None:
        self.sink.emit(Warn("master", text))
