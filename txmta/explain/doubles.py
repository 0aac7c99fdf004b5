"""
What stands for a network, a queue and cleanup while a server is only asked.

Owns: these doubles, which keep nothing; a reactor of our own.
Knows nothing of: questions and answers.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.epollreactor import EPollReactor
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.events import Event
from txmta.interfaces import ICleanup, ICleanupMessage, IEventSink
from txmta.log.postfix import line
from txmta.model import Envelope, Reply
from txmta.smtp.access.check import Check, Tracer
from txmta.smtp.access.policy import Policy

ACCEPTED = Reply(250, "2.0.0", "Ok")


@implementer(IEventSink)
class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def emit(self, event: Event) -> None:
        self.lines.append(f"{event.program}: {line(event)}")


@implementer(ICleanupMessage)
class _Message:
    """
    Content that is taken, and goes nowhere.
    """

    def write(self, block: bytes) -> None:
        pass

    def finish(self) -> Reply:
        return ACCEPTED

    def abort(self) -> None:
        pass

    def amend(self, envelope: Envelope) -> None:
        pass


@implementer(ICleanup)
class NoCleanup:
    def open(self, envelope: Envelope, submission: object = None) -> Any:
        return _Message()


class NoStore:
    """
    As much of a queue as a session asks for.
    """

    def new_id(self) -> str:
        return "EXPLAIN"

    def refusal(self) -> None:
        return None

    def free_space(self) -> int:
        return 1 << 60


class Watching:
    """
    A policy that is watched; else the same.
    """

    def __init__(self, policy: Policy, tracer: Tracer) -> None:
        self._policy = policy
        self._tracer = tracer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def judge(self, check: Check) -> Reply | Deferred[Reply | None] | None:
        return self._policy.judge(check, self._tracer)


def with_reactor(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """
    Run something that may wait for others.

    @param work: given a reactor.
    @return: its result.
    """
    reactor = EPollReactor()
    results: list[Any] = []

    def begin() -> None:
        done = ensureDeferred(work(reactor))
        done.addBoth(results.append)
        done.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    return result
