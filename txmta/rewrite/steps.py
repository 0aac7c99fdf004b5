"""
Steps that seldom have to wait.

Owns: running a coroutine to its end at once, if nothing in it waits, for a small
    part of what C{Deferred.fromCoroutine} costs; its result is no Deferred then.
Knows nothing of: what the steps are.

Errors: what the steps raise; or the Deferred fails with it.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")

Steps = Coroutine[Deferred[Any], Any, T]


def at_once(steps: Steps[T]) -> T | Deferred[T]:
    """
    @return: the result; a Deferred only if the steps wait for one.
    """
    try:
        waiting = steps.send(None)
    except StopIteration as e:
        result: T = e.value
        return result
    return Deferred.fromCoroutine(_rest(steps, waiting))


def _rest(
    steps: Steps[T], waiting: Deferred[Any]
) -> Generator[Deferred[Any], object, T]:
    try:
        while True:
            try:
                yield waiting
            except Exception as e:
                waiting = steps.throw(e)
            else:
                # They take the result from the Deferred themselves.
                waiting = steps.send(None)
    except StopIteration as e:
        result: T = e.value
        return result
