"""
What a command says while it runs, how it ends, and when it has taken too long.

Owns: limits of time and output.
Knows nothing of: what it means for mail (L{txmta.delivery.sysexits}).

Errors: none.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txmta.delivery.programs import Child
from txmta.delivery.sysexits import MAX_OUTPUT, Ending

#: Octets of output that are thrown away as they come. Whoever says more is
#: listened to only L{HUSH} seconds apart, and has a full pipe between.
MAX_TALK = 16 << 20
HUSH = 0.01


class Hearing:
    """
    What a command says, and how it ends.

    @ivar ended: fires when it has ended.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._output = b""
        self._talk = 0
        self._status = 0
        self._child: Child | None = None
        self._pause: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._limit = 0.0
        self._timed_out = False
        self.ended: Deferred[None] = Deferred()

    def watch(self, child: Child, limit: float) -> None:
        """
        @param limit: seconds that C{child} may take for each step.
        """
        self._child, self._limit = child, limit
        if not self.ended.called:
            self._timer = self._clock.callLater(limit, self._too_long)

    def progress(self) -> None:
        """
        Time starts anew.
        """
        if self._timer is not None and self._timer.active():
            self._timer.reset(self._limit)

    def heard(self, data: bytes) -> None:
        """
        The program says something.
        """
        if len(self._output) < MAX_OUTPUT:
            self._output = (self._output + data)[:MAX_OUTPUT]
        self._talk += len(data)
        paused = self._pause is not None and self._pause.active()
        if self._talk > MAX_TALK and self._child is not None and not paused:
            self._child.hush(True)
            self._pause = self._clock.callLater(HUSH, self._child.hush, False)

    def end(self, status: int) -> None:
        """
        @param status: exit status, or minus a signal.
        """
        self._status = status
        for call in (self._timer, self._pause):
            if call is not None and call.active():
                call.cancel()
        self.ended.callback(None)

    @property
    def ending(self) -> Ending:
        """
        How it ended.
        """
        signal = max(0, -self._status)
        status = max(0, self._status)
        return Ending(status, signal, self._output, self._timed_out)

    def _too_long(self) -> None:
        self._timed_out = True
        if self._child is not None:
            self._child.kill()
