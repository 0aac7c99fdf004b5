"""
Who is linked to whom.

Owns: which roles have a link, and what kind; making the socket pairs; names
    of descriptors.
Knows nothing of: what is said over a link (L{txmta.master.link}); how
    descriptors get to a child.

A link of a child that dies is gone with it: both ends, for what was said over
it cannot be known. The log's are another matter: its end of each is kept here,
and the next one to write the log finds in it what was said meanwhile.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class Peer(Protocol):
    """
    A child, as far as links go.

    @ivar retired: its generation has been replaced: it takes nothing new.
    @ivar group: its generation, which has one configuration.
    """

    role: str
    n: int
    retired: bool
    group: object


@dataclass(frozen=True)
class Pairing:
    """
    Each of one role has a link to each of another.

    @ivar kind: what it is called on both sides.
    @ivar within: both have the same configuration.
    """

    kind: str
    one: str
    other: str
    within: bool = False


#: A doorbell is rung at the queue manager; deliveries go from it to agents. Which
#: tables there are is a matter of configuration.
PAIRINGS = (
    Pairing("doorbell", "smtpd", "qmgr"),
    Pairing("doorbell", "pickup", "qmgr"),
    Pairing("delivery", "smtp", "qmgr"),
    Pairing("delivery", "local", "qmgr"),
    Pairing("proxy", "smtpd", "proxymap", within=True),
    Pairing("proxy", "qmgr", "proxymap", within=True),
    Pairing("proxy", "smtp", "proxymap", within=True),
    Pairing("proxy", "pickup", "proxymap", within=True),
)

#: Instead of C{delivery}, to an agent that finishes what it has in hand and
#: must not get more.
HANDOVER = "handover"

#: The role that writes the log, and the kind of its links, which all have.
LOG = "log"


@dataclass(frozen=True)
class End:
    """
    One end of a link, on its way to a child; to be closed when it is sent.

    @ivar name: see L{end_name}.
    """

    name: str
    socket: socket.socket


def end_name(kind: str, peer: Peer) -> str:
    """
    @return: C{"doorbell:qmgr.3"}.
    """
    return f"{kind}:{peer.role}.{peer.n}"


def split_end_name(name: str) -> tuple[str, str]:
    """
    @return: kind, and the peer: C{("doorbell", "qmgr.3")}.
    """
    kind, _, peer = name.partition(":")
    return kind, peer


class Wiring:
    """
    Makes links for a new child, and keeps the log's ends.
    """

    def __init__(
        self, pairings: Sequence[Pairing] = PAIRINGS, log: bool = True
    ) -> None:
        """
        @param log: there is a role that writes the log.
        """
        self._pairings = pairings
        self._log = log
        #: By number of the child that writes to it.
        self._logs: dict[int, tuple[Peer, socket.socket]] = {}

    def connect(
        self, new: Peer, living: Iterable[Peer]
    ) -> tuple[list[End], list[tuple[Peer, End]]]:
        """
        @param living: all other children.
        @return: the ends for the new one, and those for others.
        """
        own: list[End] = []
        others: list[tuple[Peer, End]] = []
        living = list(living)
        for peer in living:
            for kind in self._kinds(new, peer):
                here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                own.append(End(_seen(kind, peer), here))
                others.append((peer, End(_seen(kind, new), there)))
        if new.role == LOG:
            own += [
                End(end_name(LOG, peer), kept.dup())
                for peer, kept in self._logs.values()
            ]
        elif self._log:
            here, kept = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._logs[new.n] = new, kept
            own.append(End(LOG, here))
            others += [
                (peer, End(end_name(LOG, new), kept.dup()))
                for peer in living
                if peer.role == LOG and not peer.retired
            ]
        return own, others

    def forget(self, peer: Peer) -> None:
        """
        It is dead.
        """
        _peer, kept = self._logs.pop(peer.n, (peer, None))
        if kept is not None:
            kept.close()

    def _kinds(self, new: Peer, peer: Peer) -> Iterator[str]:
        roles = (new.role, peer.role)
        for pairing in self._pairings:
            ends = (pairing.one, pairing.other)
            if pairing.within and new.group is not peer.group:
                continue
            if roles in (ends, ends[::-1]):
                yield pairing.kind


def _seen(kind: str, peer: Peer) -> str:
    if kind == "delivery" and peer.retired and peer.role != "qmgr":
        kind = HANDOVER
    return end_name(kind, peer)
