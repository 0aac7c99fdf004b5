"""
Tests of L{txmta.queue.backoff}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.config.settings import Settings
from txmta.queue.backoff import MAX_SHIFTED, Backoff, SteadyTime
from txmta.queue.limits import backoff

DAY = 86400.0

DEFAULT = Backoff(300, 4000, 5 * DAY, 5 * DAY)

ages = st.floats(0, 100 * DAY)


class DelayTests(SynchronousTestCase):
    def test_formula(self) -> None:
        """
        The next attempt is as far away as the message is old, but no nearer
        than minimal_backoff_time and no farther than maximal_backoff_time.
        """
        delays = [DEFAULT.delay(age) for age in (0, 299, 301, 1234, 3999, 4001, DAY)]
        self.assertEqual(delays, [300, 300, 301, 1234, 3999, 4000, 4000])

    def test_arrival_in_the_future(self) -> None:
        """
        A stamp from a clock that was ahead delays nothing.
        """
        self.assertEqual(DEFAULT.delay(-DAY), 300)

    def test_contradiction(self) -> None:
        """
        A minimum above the maximum wins, as in Postfix.
        """
        self.assertEqual(Backoff(1000, 10, DAY, DAY).delay(500), 1000)

    @given(ages)
    def test_bounds(self, age: float) -> None:
        """
        No age leads out of the bounds.
        """
        self.assertTrue(300 <= DEFAULT.delay(age) <= 4000)

    @given(ages, ages)
    def test_monotonous(self, one: float, other: float) -> None:
        """
        Older mail never waits less than younger mail.
        """
        young, old = sorted((one, other))
        self.assertLessEqual(DEFAULT.delay(young), DEFAULT.delay(old))


class ExpiryTests(SynchronousTestCase):
    def test_lifetime(self) -> None:
        """
        A message that was tried expires when it is maximal_queue_lifetime
        old, and not a second before.
        """
        self.assertFalse(DEFAULT.expired(5 * DAY - 1, "a@b", True, 0))
        self.assertTrue(DEFAULT.expired(5 * DAY, "a@b", True, 0))

    def test_bounces(self) -> None:
        """
        Mail from the null sender has a lifetime of its own.
        """
        some = Backoff(300, 4000, 5 * DAY, DAY)
        self.assertTrue(some.expired(DAY, "", True, 0))
        self.assertFalse(some.expired(DAY, "a@b", True, 0))

    def test_bounce_lifetime_is_not_longer(self) -> None:
        """
        bounce_queue_lifetime above maximal_queue_lifetime is lowered to it.
        """
        settings = Settings.of(maximal_queue_lifetime="1d", bounce_queue_lifetime="3d")
        self.assertEqual(backoff(settings).bounce_lifetime, DAY)

    def test_own_trouble(self) -> None:
        """
        What nobody has tried does not expire, unless we have been up, and
        failing, for a lifetime.
        """
        self.assertFalse(DEFAULT.expired(50 * DAY, "a@b", False, 5 * DAY - 1))
        self.assertTrue(DEFAULT.expired(50 * DAY, "a@b", False, 5 * DAY))

    def test_one_attempt(self) -> None:
        """
        A lifetime of 0 means one attempt; our own trouble is no attempt.
        """
        once = Backoff(300, 4000, 0, 0)
        self.assertTrue(once.expired(0, "a@b", True, 0))
        self.assertFalse(once.expired(0, "a@b", False, 3999))


class SteadyTimeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ticks, self.wall = 50.0, 1_000_000.0
        self.time = SteadyTime(lambda: self.ticks, lambda: self.wall)

    def arrival(self, queue_id: str, stamp: float, new: bool) -> float:
        return self.time.arrival(queue_id, stamp, new, self.time.skew())

    def test_follows_the_monotonic_clock(self) -> None:
        """
        Steady time starts as wall time, and ignores what the wall clock does.
        """
        self.assertEqual(self.time.now(), 1_000_000)
        self.ticks += 10
        self.wall -= 5 * DAY
        self.assertEqual(self.time.now(), 1_000_010)
        self.assertEqual(self.time.uptime(), 10)

    def test_jitter_is_no_skew(self) -> None:
        """
        A second of difference is not a clock that was set.
        """
        self.wall += 1
        self.assertEqual(self.time.skew(), 0)
        self.wall += DAY
        self.assertEqual(self.time.skew(), DAY + 1)

    def test_stamps_of_a_clock_that_was_set(self) -> None:
        """
        Mail that came after the clock was set has the age that it has, now
        and at each later attempt, whatever the clock does meanwhile.
        """
        for jump in (DAY, -DAY):
            with self.subTest(jump=jump):
                self.wall += jump
                now = self.time.now()
                self.assertEqual(self.arrival("A", self.wall, True), now)
                stamp = self.wall
                self.wall -= jump
                self.assertEqual(self.arrival("A", stamp, False), now)
                self.time.forget("A")

    def test_old_stamps(self) -> None:
        """
        Mail that came before the clock was set is as old as its stamp says.
        """
        self.wall += DAY
        self.assertEqual(self.arrival("A", 999_000, False), 999_000)

    def test_forgetting(self) -> None:
        """
        A message that is gone is forgotten: its queue id says nothing any
        more.
        """
        self.wall += DAY
        stamp = self.wall
        self.arrival("A", stamp, True)
        self.time.forget("A")
        self.assertEqual(self.arrival("A", stamp, False), stamp)

    def test_bounded(self) -> None:
        """
        Only so many corrections are kept; mail whose correction is lost is
        taken for as young as it can be, and so never expires too early.
        """
        self.wall -= DAY
        stamp = self.wall
        for n in range(MAX_SHIFTED + 1):
            self.arrival(str(n), stamp, True)
        now = self.time.now()
        self.assertEqual(self.arrival("0", stamp, False), now)
        self.assertEqual(self.arrival("1", stamp, False), now)
        self.assertEqual(len(self.time._shift), MAX_SHIFTED)
