"""
What a trial with --allow-not-yet runs without is said again every hour.

Owns: how often, and the words.
Knows nothing of: what is not supported yet (L{txmta.config.check}).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from txmta.config.snapshot import Configuration

#: Seconds. Ours.
EVERY = 3600.0


def repeat_allowed(
    clock: IReactorTime,
    configuration: Callable[[], Configuration],
    warn: Callable[[str], None],
) -> LoopingCall:
    """
    Warn every hour, the first time in an hour, until the result is stopped.

    @param configuration: the one that counts at that time.
    """

    def say() -> None:
        for each in configuration().allowed:
            warn(each)

    call = LoopingCall(say)
    call.clock = clock
    call.start(EVERY, now=False)
    return call
