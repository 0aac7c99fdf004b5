"""
Do several things at once.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

T = TypeVar("T")


async def all_done(works: Sequence[Coroutine[Deferred[Any], Any, T]]) -> list[T]:
    """
    Wait until all have ended, also when one fails.

    @return: their results; or the first failure is raised.
    """
    if len(works) == 1:
        return [await works[0]]
    deferreds = [Deferred.fromCoroutine(work) for work in works]
    results = await DeferredList(deferreds, consumeErrors=True)
    for _, result in results:
        if isinstance(result, Failure):
            result.raiseException()
    return [result for _, result in results]
