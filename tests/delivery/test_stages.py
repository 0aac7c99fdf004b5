"""
L{txmta.delivery.stages}
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.power import Power, PowerLost
from txmta.delivery.rights import Owner
from txmta.delivery.sequential import Sequential
from txmta.delivery.stages import MAX_TOGETHER, Last, Stages, Together, in_turn
from txmta.delivery.syncs import Synced

AMY, BOB, EVE = Owner(61001, 61001), Owner(61002, 61002), Owner(61003, 61003)


class Case(SynchronousTestCase):
    """
    @ivar seen: changes of rights, stages and syncs.
    @ivar broken: descriptors that cannot be synced.
    @ivar lost: nobody can be this user.
    """

    def setUp(self) -> None:
        self.seen: list[object] = []
        self.broken: dict[int, OSError] = {}
        self.lost: Owner | None = None
        self.loop = Sequential(lambda: 0.0)
        power = Power(Owner(1, 1), (self.become, self.back))
        self.together = Together(self.loop.in_thread, power, self.sync_all)

    def become(self, owner: Owner) -> None:
        if owner == self.lost:
            raise PowerLost("not today")
        self.seen.append(owner)

    def back(self) -> None:
        """
        Root again, whatever happened.
        """
        self.seen.append("root")

    def sync_all(self, descriptors: Sequence[int]) -> Synced:
        self.seen.append(list(descriptors))
        return [self.broken.get(each) for each in descriptors]

    def work(self, name: str, *wanted: Sequence[int]) -> Stages[list[OSError | None]]:
        """
        @param wanted: after each stage but the last.
        @return: its result is what became of all of them.
        """
        results: list[OSError | None] = []
        try:
            for n, descriptors in enumerate(wanted):
                self.seen.append(f"{name}{n}")
                results += yield descriptors
            self.seen.append(f"{name} end")
        finally:
            self.seen.append(f"{name} closed")
        return results


class InTurnTests(Case):
    def test_in_turn(self) -> None:
        self.broken[2] = OSError(errno.EIO, "x")
        results = in_turn(self.work("a", [1, 2], [3]), self.sync_all)
        self.assertEqual(results, [None, self.broken[2], None])
        self.assertEqual(self.seen, ["a0", [1, 2], "a1", [3], "a end", "a closed"])


class TogetherTests(Case):
    def test_side_by_side(self) -> None:
        """
        One sync for all, which is made with nobody's rights; each stage has
        those of its own user, and hears of its own descriptors.
        """
        self.broken[3] = OSError(errno.EIO, "x")
        amy = self.together.do(AMY, self.work("a", [1, 2], [5]))
        bob = self.together.do(BOB, self.work("b", [3], [6]))
        self.assertEqual(self.seen, [])
        self.loop.turn(0)
        self.assertEqual(self.successResultOf(amy), [None] * 3)
        self.assertEqual(self.successResultOf(bob), [self.broken[3], None])
        self.assertEqual(
            self.seen,
            [
                *(AMY, "a0", "root", BOB, "b0", "root", [1, 2, 3]),
                *(AMY, "a1", "root", BOB, "b1", "root", [5, 6]),
                *(AMY, "a end", "a closed", "root", BOB, "b end", "b closed", "root"),
            ],
        )

    def test_last(self) -> None:
        """
        Nobody's rights where nothing is left to do; but where a sync failed,
        there is.
        """
        self.broken[4] = OSError(errno.EIO, "x")
        done = [
            self.together.do(AMY, self.work("a", [1], Last((2,)))),
            self.together.do(BOB, self.work("b", [3], Last((4,)))),
        ]
        self.loop.turn(0)
        for each in done:
            self.successResultOf(each)
        self.assertEqual(
            self.seen[self.seen.index([2, 4]) + 1 :],
            ["a end", "a closed", BOB, "b end", "b closed", "root"],
        )

    def test_different_lengths(self) -> None:
        """
        Who is done, or wants nothing, holds up nobody.
        """
        done = [
            self.together.do(AMY, self.work("a")),
            self.together.do(BOB, self.work("b", [1], [2], [3])),
            self.together.do(EVE, self.work("e", [], [4])),
        ]
        self.loop.turn(0)
        results = [self.successResultOf(each) for each in done]
        self.assertEqual(results, [[], [None] * 3, [None]])
        syncs = [each for each in self.seen if isinstance(each, list)]
        self.assertEqual(syncs, [[1], [2, 4], [3]])

    def test_error(self) -> None:
        """
        Of one stage: only that work ends.
        """

        def bad() -> Stages[None]:
            yield [1]
            raise ZeroDivisionError

        wrong = self.together.do(AMY, bad())
        right = self.together.do(BOB, self.work("b", [2], [3]))
        self.loop.turn(0)
        self.failureResultOf(wrong, ZeroDivisionError)
        self.assertEqual(self.successResultOf(right), [None, None])

    def test_rights_are_lost(self) -> None:
        """
        No stage is done with other rights than its user's, also when they are
        lost half-way; what was open is closed.
        """
        amy = self.together.do(AMY, self.work("a", [1], [2]))
        bob = self.together.do(BOB, self.work("b", [3]))
        sync_all = self.together._sync_all

        def lose(descriptors: Sequence[int]) -> Synced:
            self.lost = AMY
            return sync_all(descriptors)

        self.together._sync_all = lose
        self.loop.turn(0)
        self.failureResultOf(amy, PowerLost)
        self.assertEqual(self.successResultOf(bob), [None])
        self.assertNotIn("a1", self.seen)
        self.assertIn("a closed", self.seen)

    def test_no_sync(self) -> None:
        """
        All that waited for it fail, and what comes later does not.
        """

        def broken(descriptors: Sequence[int]) -> Synced:
            raise MemoryError

        self.together._sync_all = broken
        done = [self.together.do(AMY, self.work("a", [1])) for _ in range(2)]
        self.loop.turn(0)
        for each in done:
            self.failureResultOf(each, MemoryError)
        self.assertNotIn("a end", self.seen)
        self.together._sync_all = self.sync_all
        later = self.together.do(BOB, self.work("b", [1]))
        self.loop.turn(0)
        self.assertEqual(self.successResultOf(later), [None])

    def test_bounded(self) -> None:
        """
        So many at once; the others come next, after what else was asked for.
        """
        done = [
            self.together.do(AMY, self.work("a", [n])) for n in range(MAX_TOGETHER + 1)
        ]
        other = self.loop.in_thread(int, "1")
        self.loop.turn(0)
        for each in done[:-1]:
            self.successResultOf(each)
        self.assertNoResult(done[-1])
        self.loop.turn(0)
        self.successResultOf(other)
        self.assertNoResult(done[-1])
        self.loop.turn(0)
        self.successResultOf(done[-1])
