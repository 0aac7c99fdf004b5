"""
Master's side of the fork server.

Owns: starting it, asking it for children, telling them what it says of them.
Knows nothing of: what is forked and why, when it is started again.

Sources: posix_spawn(3), prctl(2) (PR_SET_PDEATHSIG).

Errors: C{OSError} from the start; C{lost} tells of the end.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorFDSet,
    IReactorProcess,
    IReactorTime,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from txmta.master.channel import Channel, Handlers, channel_pair
from txmta.master.fork_server import CHANNEL, command
from txmta.master.frames import Record
from txmta.master.records import Number, Schema, Text

_N = Number(0, 2**62)

#: Seconds that a fork server may take to import everything; between two beats;
#: and how many of these it may leave unanswered before it counts as hanging.
START_LIMIT, INTERVAL, MISSED = 120.0, 5.0, 3

#: What children find in their environment.
_ENVIRONMENT = ("PATH", "TZ", "LANG", "LC_ALL", "HOME", "LD_LIBRARY_PATH")


class FdReactor(IReactorFDSet, IReactorProcess, IReactorTime):
    """
    All that master uses of a reactor.
    """


class Forked(Protocol):
    """
    A child, as far as its fork goes.
    """

    role: str
    n: int

    def has_started(self, pid: int, pidfd: int) -> None: ...

    def has_ended(self, status: int | None, why: str = "") -> None: ...

    def is_orphan(self) -> None: ...


class Forking(ProcessProtocol):
    """
    One fork server.

    @ivar pid: of it.
    @ivar is_ready: it has imported everything.
    @ivar ready: called when it has.
    @ivar lost: called once, when it is dead, with how it ended; all its
        children are orphans by then. C{""} if we had hung up.
    """

    def __init__(
        self,
        reactor: FdReactor,
        entry: str,
        preload: Sequence[str],
    ) -> None:
        """
        @param entry: see L{command<txmta.master.fork_server.command>}.
        """
        self.pid = 0
        self.is_ready = False
        self.ready: Callable[[], None] = lambda: None
        self.lost: Callable[[str], None] = lambda how: None
        self._hung_up = False
        self._children: dict[int, Forked] = {}
        self._reactor = reactor
        self._missed = 0
        self._hangs = ""
        ours, theirs = channel_pair()
        # Else the one that posix_spawn gets could be closed on exec.
        descriptors = {0: 0, 1: 1, 2: 2, CHANNEL: theirs.fileno()}
        line = command(entry, preload)
        try:
            # No uid, gid or path: a spawn is then half as dear as a fork.
            process = reactor.spawnProcess(
                self, line[0], line, env=_environment(), childFDs=descriptors
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._process = process
        self.pid = process.pid
        handlers: Handlers = {
            "ready": (Schema({}), self._is_ready),
            "beat": (Schema({}), self._lives),
            "started": (Schema({"n": _N, "pid": Number(2, 2**31)}), self._started),
            "failed": (Schema({"n": _N, "text": Text(500)}), self._failed),
            "ended": (Schema({"n": _N, "status": Number(-255, 255)}), self._ended),
        }
        # That it is gone is told by its exit.
        self._channel = Channel(ours, reactor, handlers, lambda reason: None, 1)
        self._limit: IDelayedCall = reactor.callLater(
            START_LIMIT, self._give_up, f"not ready after {START_LIMIT:g} seconds"
        )

    def fork(self, child: Forked, descriptors: Mapping[str, int]) -> None:
        """
        @param descriptors: C{settings} among them; they stay the caller's,
            who may close them at once.
        """
        self._children[child.n] = child
        self._channel.send(
            {"t": "fork", "role": child.role, "n": child.n, "names": [*descriptors]},
            tuple(descriptors.values()),
        )

    def hang_up(self) -> None:
        """
        Let it end, and take along whom it has forked.
        """
        self._hung_up = True
        self._unwatch()
        self._channel.close()

    # What it tells.

    def _is_ready(self, _record: Record, _descriptors: Sequence[int]) -> None:
        self.is_ready = True
        self._unwatch()
        self._beat()
        self.ready()

    def _started(self, record: Record, descriptors: Sequence[int]) -> None:
        child = self._children.get(int(str(record["n"])))
        for each in descriptors:
            if child is None:
                os.close(each)
            else:
                child.has_started(int(str(record["pid"])), each)

    def _failed(self, record: Record, _descriptors: Sequence[int]) -> None:
        self._forget(record, None, str(record["text"]))

    def _ended(self, record: Record, _descriptors: Sequence[int]) -> None:
        self._forget(record, int(str(record["status"])))

    def _forget(self, record: Record, status: int | None, why: str = "") -> None:
        child = self._children.pop(int(str(record["n"])), None)
        if child is not None:
            child.has_ended(status, why)

    # One that hangs.

    def _beat(self) -> None:
        if self._missed == MISSED:
            self._give_up(f"has not answered for {MISSED * INTERVAL:g} seconds")
            return
        self._missed += 1
        self._channel.send({"t": "beat"})
        self._limit = self._reactor.callLater(INTERVAL, self._beat)

    def _lives(self, _record: Record, _descriptors: Sequence[int]) -> None:
        self._missed = 0

    def _give_up(self, why: str) -> None:
        # Else nobody would even hear of the ends of children.
        self._hangs = why
        with contextlib.suppress(ProcessExitedAlready):
            self._process.signalProcess("KILL")

    def _unwatch(self) -> None:
        if self._limit.active():
            self._limit.cancel()

    # For the reactor.

    def processEnded(self, reason: Failure) -> None:
        self._unwatch()
        self._channel.doRead()  # what it said last
        self._channel.close()
        orphans, self._children = [*self._children.values()], {}
        for child in orphans:
            child.is_orphan()
        self.lost("" if self._hung_up else self._hangs or str(reason.value))


def _environment() -> dict[str, str]:
    # The notify socket above all is not for children.
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
