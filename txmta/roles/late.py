"""
The queue for a process that hardly ever has mail to put in.

Owns: opening it when the first message comes.
Knows nothing of: what that says.

Errors: L{StoreUnavailable<txmta.errors.StoreUnavailable>}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from txmta.interfaces import IIncoming, IQueueEntrance
from txmta.model import Envelope, Reply
from txmta.queue.store.entrance import Entrance


@implementer(IQueueEntrance)
class LateEntrance:
    """
    An smtp process reads the queue; a transcript for the postmaster is all
    that it puts in. Nobody is told: the queue manager finds it within seconds.
    """

    def __init__(self, make: Callable[[], Entrance]) -> None:
        """
        @param make: gives an entrance that is not started.
        """
        self._entrance = make()
        self._open = False

    def new_id(self) -> str:
        """
        @raise StoreUnavailable: the queue cannot be opened.
        """
        return self._opened().new_id()

    def open(self, envelope: Envelope) -> IIncoming:
        return self._opened().open(envelope)

    def refusal(self) -> Reply | None:
        return self._opened().refusal()

    def free_space(self) -> int | None:
        return self._entrance.free_space()

    def listen(self, doorbell: Callable[[Sequence[str]], None]) -> None:
        self._entrance.listen(doorbell)

    def stop(self) -> Deferred[None]:
        """
        As L{Entrance.stop}, if it was ever opened.
        """
        return self._entrance.stop() if self._open else succeed(None)

    def _opened(self) -> Entrance:
        if not self._open:
            self._entrance.start()
            self._open = True
        return self._entrance
