"""
What the queue manager is made from.

Owns: the list of it.
Knows nothing of: how it is used.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from txmta.config.settings import Settings
from txmta.interfaces import (
    IAddressResolver,
    IDeliveryAgent,
    IEventSink,
    IQueueStore,
    IWorkElsewhere,
)
from txmta.model import Envelope


@dataclass(frozen=True)
class QueueParts:
    """
    What a queue manager is made from.

    @ivar agents: delivery agents, by service name in master.cf.
    @ivar processes: maxproc of these services, where master.cf sets one; 0 is
        no limit.
    @ivar clock: monotonic.
    @ivar now: wall time.
    @ivar mail_date: a wall time, in whole seconds, as RFC 5322 has it.
    @ivar internal_head: the trace header of a message made here, in wire
        form.
    @ivar complete: completes the addresses in the value of a header.
    @ivar elsewhere: what agents of other processes have in hand.
    @ivar mapped: gives the envelope of a message made here with its addresses
        mapped, or fails with a L{MailError<txmta.errors.MailError>}; L{None} if
        there is nothing to map.
    """

    store: IQueueStore
    resolver: IAddressResolver
    agents: Mapping[str, IDeliveryAgent]
    processes: Mapping[str, int]
    settings: Settings
    clock: IReactorTime
    now: Callable[[], float]
    sink: IEventSink
    mail_date: Callable[[int], bytes]
    internal_head: Callable[[Envelope], bytes]
    complete: Callable[[str], str]
    elsewhere: IWorkElsewhere | None = None
    mapped: Callable[[Envelope], Awaitable[Envelope]] | None = None

    def ready(self) -> Deferred[None]:
        """
        @return: fires when messages may be dispatched.
        """
        ready = None if self.elsewhere is None else self.elsewhere.ready()
        return succeed(None) if ready is None else ready
