"""
One child as master sees it.

Owns: the control channel to a child; its states; its end.
Knows nothing of: forking (L{txmta.master.forking}), links, why a child is
    wanted and whether it is started again (L{txmta.master.places}).

A child says C{ready} when it works, C{drained} when it has finished and is
about to end, C{fatal} why it cannot work; and answers C{beat}. It is told
C{drain}, C{beat}, and gets new ends of links by C{adopt}.

Errors: none; a child that talks nonsense is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from enum import Enum, auto

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.master.channel import GONE, Channel, Handlers
from txmta.master.forking import FdReactor
from txmta.master.frames import Record
from txmta.master.records import Number, Schema, Text
from txmta.master.wiring import End

#: Seconds that a child may take to be ready, and to be gone after it closed
#: its channel.
START_LIMIT, GONE_LIMIT = 120.0, 2.0

#: Seconds more than it was given that a draining child is left alive.
DRAIN_GRACE = 2.0

#: Beats are numbered; and what is in a record is bounded.
BEATS = 1 << 31

#: Characters of C{fatal}.
FATAL = 8000


class State(Enum):
    STARTING = auto()
    READY = auto()
    DRAINING = auto()
    DEAD = auto()


class Child:
    """
    One process.

    @ivar n: its number, never used again.
    @ivar pid: 0 until it is known.
    @ivar retired: its generation has been replaced.
    @ivar group: its generation.
    @ivar beat: the last that it answered.
    @ivar fatal: why it cannot work, as it says.
    @ivar status: exit status, or minus the signal; L{None} if nobody knows.
    @ivar why_killed: by us; C{""} if it ended otherwise.
    @ivar was_ready: it has been, ever.
    @ivar state_at_end: before it died.
    """

    def __init__(
        self,
        role: str,
        n: int,
        clock: FdReactor,
        ready: Callable[[Child], None],
        ended: Callable[[Child], None],
    ) -> None:
        self.role = role
        self.n = n
        self.pid = 0
        self.retired = False
        self.group: object = None
        self.state = State.STARTING
        self.beat = 0
        self.fatal = ""
        self.status: int | None = None
        self.why_killed = ""
        self.was_ready = False
        self.state_at_end = State.DEAD
        self._watchers: list[Callable[[], None]] = []
        self.began = clock.seconds()
        self._clock = clock
        self._ready = ready
        self._ended = ended
        self._pidfd = -1
        self._signal_due: int | None = None
        self._channel: Channel | None = None
        self._limit: IDelayedCall | None = clock.callLater(
            START_LIMIT, self.kill, f"not ready after {START_LIMIT:.0f} seconds"
        )

    def __str__(self) -> str:
        return f"{self.role} pid {self.pid}" if self.pid else self.role

    @property
    def living(self) -> bool:
        return self.state is not State.DEAD

    def open_channel(self, end: socket.socket) -> None:
        """
        @param end: of the control channel; ours from now on.
        """
        handlers: Handlers = {
            "ready": (Schema({}), self._is_ready),
            "beat": (Schema({"n": Number(0, BEATS)}), self._beats),
            "drained": (Schema({}), self._is_drained),
            "fatal": (Schema({"text": Text(FATAL)}), self._is_fatal),
        }
        self._channel = Channel(end, self._clock, handlers, self._hung_up)

    def when_ended(self, call: Callable[[], None]) -> None:
        """
        @param call: when it is dead, after all others know.
        """
        self._watchers.append(call)

    def send_beat(self, n: int) -> None:
        self._send({"t": "beat", "n": n})

    def adopt(self, end: End) -> None:
        """
        Hand over one end of a link.
        """
        self._send({"t": "adopt", "name": end.name}, [end.socket.fileno()])

    def drain(self, seconds: float, last: bool = False) -> None:
        """
        Let it finish and end; killed when it does not.

        @param last: the server stops; it need not wait for those who would
            take the place of others.
        """
        if not self.living:
            return
        self.state = State.DRAINING
        self._send({"t": "drain", "seconds": seconds, "last": last})
        self._watch(seconds + DRAIN_GRACE, "not drained in time")

    def kill(self, why: str, number: int = signal.SIGKILL) -> None:
        """
        @param why: for the log, when it is dead.
        """
        self.why_killed = self.why_killed or why
        if self._pidfd < 0:
            self._signal_due = number
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    # What the fork server tells.

    def has_started(self, pid: int, pidfd: int) -> None:
        """
        @param pidfd: ours from now on.
        """
        self.pid, self._pidfd = pid, pidfd
        if self._signal_due is not None:
            self.kill(self.why_killed, self._signal_due)

    def has_ended(self, status: int | None, why: str = "") -> None:
        """
        It is dead, or has never lived.
        """
        if self.state is State.DEAD:
            return
        self.why_killed = self.why_killed or why
        self.state_at_end, self.state = self.state, State.DEAD
        self.status = status
        self._unwatch()
        if self._channel is not None:
            # What it said last may still be in there.
            self._channel.doRead()
            self._channel.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        self._ended(self)
        for each in self._watchers:
            each()

    def is_orphan(self) -> None:
        """
        The fork server is gone, and takes it along; nobody will tell when.
        """
        if self._pidfd < 0:
            self.has_ended(None)
            return
        self.kill("the fork server is gone")
        self._clock.addReader(_Gone(self, self._pidfd, self._clock))

    # What the child tells.

    def _is_ready(self, _record: Record, _descriptors: Sequence[int]) -> None:
        if self.state is State.STARTING:
            self.state = State.READY
            self.was_ready = True
            self._unwatch()
            self._ready(self)

    def _beats(self, record: Record, _descriptors: Sequence[int]) -> None:
        self.beat = int(str(record["n"]))

    def _is_drained(self, _record: Record, _descriptors: Sequence[int]) -> None:
        self._watch(DRAIN_GRACE, "does not end")

    def _is_fatal(self, record: Record, _descriptors: Sequence[int]) -> None:
        self.fatal = str(record["text"])

    def _hung_up(self, reason: str) -> None:
        if reason != GONE:
            self.kill(f"control channel: {reason}")
        elif self.living:
            self._watch(GONE_LIMIT, "hung up, but lives")

    def _send(self, record: Record, descriptors: Sequence[int] = ()) -> None:
        if self._channel is not None:
            self._channel.send(record, descriptors)

    def _watch(self, seconds: float, why: str) -> None:
        self._unwatch()
        self._limit = self._clock.callLater(seconds, self.kill, why)

    def _unwatch(self) -> None:
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self._limit = None


@implementer(IReadDescriptor)
class _Gone:
    """
    Waits for the end of a process by its pidfd.
    """

    def __init__(self, child: Child, pidfd: int, reactor: FdReactor) -> None:
        self._child = child
        self._pidfd = pidfd
        self._reactor = reactor

    def fileno(self) -> int:
        return self._pidfd

    def logPrefix(self) -> str:
        return "child"

    def doRead(self) -> None:
        self._reactor.removeReader(self)
        self._child.has_ended(None)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor stops.
        """


def how_it_ended(child: Child) -> str:
    """
    @return: C{""} if it ended as it should.
    """
    status, why = child.status, child.why_killed
    if status is None:
        if not child.pid and why:
            return f"cannot be started: {why}"
        return f"is gone{': ' if why else ''}{why}"
    if status < 0:
        return f"killed by signal {-status}{': ' if why else ''}{why}"
    if status or child.state_at_end is not State.DRAINING:
        return f"exit status {status}"
    return ""
