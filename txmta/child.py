"""
What a child of the master is made of: its role, and what the role gets.

Owns: which roles there are; what each is made from.
Knows nothing of: the life of a child (L{txmta.child_process}), what a role
    does (L{txmta.roles}).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from txmta.config.snapshot import Configuration
from txmta.interfaces import IEventSink
from txmta.log.maillog import Target
from txmta.master.binding import Bound
from txmta.master.control import BlockingControl
from txmta.master.wiring import split_end_name

if TYPE_CHECKING:
    from txmta.roles.shared import Reactor

#: Ends of links that may wait for a role to want them.
_MAX_ENDS = 1000

#: Each role, and what makes it: C{"module:callable"}, called with a
#: L{ChildContext}, gives a L{Role}. Imported in the child, after the reactor.
ROLES: Mapping[str, str] = {
    **{
        role: f"txmta.roles.children:{role.capitalize()}Child"
        for role in ("smtpd", "pickup", "qmgr", "smtp", "log")
    },
    "proxymap": "txmta.roles.proxymap:ProxymapChild",
}

#: Roles without a reactor: called with a L{BlockingContext}, and end when
#: what is called returns.
BLOCKING: Mapping[str, str] = {"local": "txmta.roles.local_child:run"}


class Role(Protocol):
    """
    What does the work of one child.
    """

    def start(self) -> object:
        """
        Open the queue, listen. The child is ready when this has returned, or
        the Deferred that it returns has fired.
        """

    def drain(self, seconds: float) -> object:
        """
        Take nothing new, and end what is in hand within that time.

        @return: perhaps a Deferred; the child ends when it fires.
        """


@dataclass
class Ends:
    """
    Our ends of links, those that we started with and those that come later.
    """

    _waiting: list[tuple[str, int]] = field(default_factory=list)
    _takers: dict[str, Callable[[str, int], None]] = field(default_factory=dict)
    _at_last: list[Callable[[], object]] = field(default_factory=list)

    def on(self, kind: str, take: Callable[[str, int], None]) -> None:
        """
        @param kind: C{"doorbell"}, C{"delivery"}, C{"handover"}, C{"log"},
            C{"proxy"}.
        @param take: gets the peer (C{"qmgr.3"}) and a descriptor, which is its
            to close: for those that are there, now, and for later ones.
        """
        self._takers[kind] = take
        waiting, self._waiting = self._waiting, []
        for name, descriptor in waiting:
            self.add(name, descriptor)

    def add(self, name: str, descriptor: int) -> None:
        """
        @param name: kind and peer.
        """
        kind, peer = split_end_name(name)
        take = self._takers.get(kind)
        if take is not None:
            take(peer, descriptor)
        elif len(self._waiting) < _MAX_ENDS:
            self._waiting.append((name, descriptor))
        else:
            os.close(descriptor)

    def at_last(self, call: Callable[[], object]) -> None:
        """
        @param call: when the server stops, and nobody will come who takes the
            place of another one.
        """
        self._at_last.append(call)

    def last(self) -> None:
        """
        The server stops.
        """
        for call in self._at_last:
            call()


@dataclass(frozen=True)
class ChildContext:
    """
    What a role is made from.

    @ivar now: wall time.
    @ivar listening: for those that listen; the child's to close.
    """

    role: str
    n: int
    configuration: Configuration
    reactor: Reactor
    now: Callable[[], float]
    sink: IEventSink
    listening: Sequence[Bound]
    ends: Ends


@dataclass(frozen=True)
class BlockingContext:
    """
    As L{ChildContext}, for a role without a reactor.

    @ivar descriptors: any others that it was given, by name.
    """

    role: str
    n: int
    configuration: Configuration
    sink: IEventSink
    control: BlockingControl
    ends: Ends
    descriptors: Mapping[str, int]


@dataclass(frozen=True)
class Kit:
    """
    What children are made with; tests have their own.

    @ivar confine: gives away the rights of root, as far as the role can do
        without.
    @ivar target: where to log when nobody writes the log for us.
    @ivar load: reads the configuration, given the path of main.cf; raises
        L{ConfigError}.
    @ivar seen: what a role is made from, which may be in a jail.
    """

    roles: Mapping[str, str]
    blocking: Mapping[str, str]
    confine: Callable[[str, Configuration], Sequence[str]]
    target: Callable[[Configuration], Target]
    load: Callable[[str, bool], Configuration]
    seen: Callable[[str, Configuration], Configuration]
