"""
Find deferred messages that a wrong clock would keep waiting.

Owns: one look through the deferred queue after start.
Knows nothing of: why the clock was wrong.

A message is never deferred for longer than maximal_backoff_time. One that is
due later than that was stamped while the clock was ahead; nobody would try it
until then.

Sources: Postfix C{qmgr/qmgr_active.c} (qmgr_active_feed() on files with time
stamps in the future).

Errors: none leaves here; a look that fails is given up, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from txmta.interfaces import IQueueStore
from txmta.model import QueueName

#: Messages looked at together, and the pause in seconds before the next ones.
PAGE, PAUSE = 100, 0.1

#: Seconds of grace.
MARGIN = 60.0


async def rescue(
    store: IQueueStore, clock: IReactorTime, latest: float, stopped: Callable[[], bool]
) -> int:
    """
    Make messages due now that are due after C{latest}.

    @param latest: wall time.
    @param stopped: asked before each page.
    @return: how many there were.
    """
    after, found = "", 0
    while not stopped():
        page = await store.find(QueueName.DEFERRED, after, PAGE)
        late = [m.envelope.queue_id for m in page if m.due > latest]
        if late:
            found += await store.requeue(late)
        if len(page) < PAGE:
            break
        after = page[-1].envelope.queue_id
        pause: Deferred[None] = deferLater(clock, PAUSE, lambda: None)
        await pause
    return found
