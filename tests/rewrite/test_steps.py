"""
Tests of L{txmta.rewrite.steps}.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from txmta.rewrite.steps import at_once


async def total(*parts: Deferred[int]) -> int:
    found = 0
    for part in parts:
        found += await part
    return found


class StepsTests(SynchronousTestCase):
    def test_at_once(self) -> None:
        """
        What need not wait gives its result, or raises.
        """
        self.assertEqual(at_once(total()), 0)
        self.assertEqual(at_once(total(succeed(1), succeed(2))), 3)

        async def broken() -> int:
            raise ValueError("x")

        self.assertRaises(ValueError, at_once, broken())

    def test_later(self) -> None:
        """
        What must wait gives a Deferred, that waits for each in turn.
        """
        first: Deferred[int] = Deferred()
        second: Deferred[int] = Deferred()
        answer = at_once(total(succeed(1), first, second))
        assert isinstance(answer, Deferred)
        first.callback(2)
        self.assertNoResult(answer)
        second.callback(3)
        self.assertEqual(self.successResultOf(answer), 6)

    def test_fails_later(self) -> None:
        """
        A failure is raised in the steps, which may go on.
        """
        first: Deferred[int] = Deferred()
        second: Deferred[int] = Deferred()

        async def careful() -> int:
            try:
                await first
            except ValueError:
                return await second
            return 0

        answer = at_once(careful())
        assert isinstance(answer, Deferred)
        first.errback(ValueError("x"))
        self.assertNoResult(answer)
        second.errback(KeyError("y"))
        self.failureResultOf(answer, KeyError)
