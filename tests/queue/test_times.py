"""
Tests of the queue manager over days: retries, expiry, clocks that are set,
restarts.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import START, World, busy, refused, sent
from txmta.errors import TableUnavailable
from txmta.events import Expired, Warn
from txmta.model import QueueName

DAY = 86400.0


def postfix_attempts(
    lifetime: float, run_delay: float, least: float, most: float
) -> list[float]:
    """
    Ages at which Postfix tries a message that came when a scan began: the
    queue is scanned every C{run_delay}; a message that fails at age C{a} is due
    C{a} seconds later, at least C{least} and at most C{most}; the attempt at
    which it is too old is its last (qmgr_active.c).
    """
    attempts = [0.0]
    while attempts[-1] < lifetime:
        due = attempts[-1] + min(max(attempts[-1], least), most)
        scans = -(-due // run_delay)
        attempts.append(scans * run_delay)
    return attempts


class DaysTests(SynchronousTestCase):
    def ages(self, world: World) -> list[float]:
        return [t - 100 for t in world.agent.times]

    def test_five_days(self) -> None:
        """
        Over five days a message is tried exactly when Postfix would try it,
        and then returned.
        """
        world = World()
        world.start()
        world.agent.answer = busy
        queue_id = world.put("a@one", sender="s@elsewhere")
        world.resolver.routes["elsewhere"] = "local"
        world.run(6 * DAY, 50)
        expected = postfix_attempts(5 * DAY, 300, 300, 4000)
        self.assertEqual(self.ages(world), expected)
        self.assertEqual(
            expected[:10],
            [0, 300, 600, 1200, 2400, 4800, 9000, 13200, 17400, 21600],
        )
        self.assertEqual((len(expected), expected[-1]), (108, 433200))
        self.assertIsNone(world.queue(queue_id))
        self.assertEqual(len(world.sink.of(Expired)), 1)
        self.assertEqual(world.local.attempts, ["s@elsewhere"])

    def test_other_numbers(self) -> None:
        """
        The parameters count, not only their defaults.
        """
        world = World(
            maximal_queue_lifetime="1d",
            queue_run_delay="100s",
            minimal_backoff_time="700s",
            maximal_backoff_time="3h",
        )
        world.start()
        world.agent.answer = busy
        world.put("a@one", sender="")
        world.run(2 * DAY, 50)
        self.assertEqual(self.ages(world), postfix_attempts(DAY, 100, 700, 10800))

    def test_one_try(self) -> None:
        """
        With a lifetime of 0 there is one attempt.
        """
        world = World(maximal_queue_lifetime="0")
        world.start()
        world.agent.answer = busy
        world.put("a@one", sender="")
        self.assertEqual(world.store.rows, {})
        self.assertEqual(len(world.agent.hands), 1)

    def test_administrator_expires(self) -> None:
        """
        After postsuper -e the next attempt is the last, at any age.
        """
        world = World()
        world.start()
        world.agent.answer = busy
        queue_id = world.put("a@one", sender="")
        self.successResultOf(world.store.expire([queue_id]))
        world.run(10)
        self.assertEqual(len(world.agent.hands), 2)
        self.assertEqual(world.store.rows, {})


class AttemptFirstTests(SynchronousTestCase):
    """
    No message expires without an attempt since start.
    """

    def setUp(self) -> None:
        self.world = World()
        self.queue_id = self.world.put("a@one", sender="")
        self.world.clock.advance(30 * DAY)

    def test_tried(self) -> None:
        """
        A message that grew too old while we were down is tried once.
        """
        self.world.agent.answer = sent
        self.world.restart()
        self.assertEqual(self.world.agent.attempts, ["a@one"])
        self.assertEqual(self.world.sink.of(Expired), [])
        self.assertEqual(self.world.store.rows, {})

    def test_returned_then(self) -> None:
        """
        If that fails, it is over.
        """
        self.world.agent.answer = busy
        self.world.restart()
        self.assertEqual(len(self.world.sink.of(Expired)), 1)

    def test_own_trouble(self) -> None:
        """
        A table that does not answer at start returns no mail at all.
        """
        self.world.resolver.routes["a@one"] = TableUnavailable("ldap:x", "down")
        self.world.restart()
        self.world.run(4 * DAY, 600)
        self.assertEqual(self.world.queue(self.queue_id), QueueName.DEFERRED)
        self.world.run(1.1 * DAY, 600)
        self.assertEqual(len(self.world.sink.of(Expired)), 1)


class ClockTests(SynchronousTestCase):
    """
    A wall clock that is set by a day, either way, changes no delivery.
    """

    def attempts(self, jumps: dict[int, float]) -> tuple[list[tuple[str, float]], int]:
        """
        @param jumps: by how much the clock is set, by hour.
        @return: (address, monotonic time) of each attempt, and how many
            messages expired.
        """
        world = World(maximal_queue_lifetime="2d")
        world.start()
        world.agent.answer = busy
        world.put("before@one", sender="")
        for hour in range(80):
            world.wall += jumps.get(hour, 0)
            if hour == 5:
                world.put("after@two", sender="")
            world.run(3600, 100)
        pairs = zip(world.agent.attempts, world.agent.times, strict=True)
        return list(pairs), len(world.sink.of(Expired))

    def test_jumps(self) -> None:
        """
        Mail from before and after is tried at the same moments, and expires
        at the same moment, as if nobody had touched the clock.
        """
        steady = self.attempts({})
        self.assertEqual(steady[1], 2)
        for jumps in ({4: DAY}, {4: -DAY}, {4: DAY, 9: -DAY}, {4: -DAY, 9: 2 * DAY}):
            with self.subTest(jumps=jumps):
                self.assertEqual(self.attempts(jumps), steady)

    def test_flush_after_a_jump(self) -> None:
        """
        A flush works while the clock is wrong.
        """
        for jump in (DAY, -DAY):
            world = World()
            world.start()
            world.agent.answer = busy
            world.put("a@one")
            world.wall += jump
            self.successResultOf(world.manager.flush())
            self.assertEqual(len(world.agent.hands), 2)

    def test_restart_after_a_jump(self) -> None:
        """
        A message that was deferred while the clock was a day ahead does not
        wait for that day after a restart.
        """
        world = World()
        world.start()
        world.agent.answer = busy
        queue_id = world.put("a@one")
        world.wall -= DAY
        world.restart()
        (warning,) = world.sink.of(Warn)
        self.assertIn("1 deferred messages were due in a distant", warning.text)
        self.assertLessEqual(world.row(queue_id).due, world.now())
        world.run(300, 10)
        self.assertEqual(len(world.agent.hands), 2)

    def test_rescue_looks_at_all(self) -> None:
        """
        The whole queue is looked through, one page at a time, and mail that
        is due in time is left alone.
        """
        world = World()
        world.start()
        world.agent.answer = busy
        ids = [world.put(f"u@d{n}") for n in range(250)]
        world.kill()
        for queue_id in ids[1:]:
            world.row(queue_id).due = START + DAY
        world.restart()
        world.run(1, 0.1)
        late = [i for i in ids if world.row(i).due > world.now()]
        self.assertEqual(late, ids[:1])


class RestartTests(SynchronousTestCase):
    def test_what_was_not_recorded(self) -> None:
        """
        After kill -9 what was not recorded is tried again, and nothing else.
        """
        world = World()
        world.start()
        world.put("done@one")
        world.agent.hands[0].end()
        world.put("busy@two")
        world.agent.hands[1].end(busy)
        world.put("hand@three")
        world.restart()
        self.assertEqual(world.agent.attempts[3:], ["hand@three"])

    def test_dead_destinations_are_forgotten(self) -> None:
        """
        A new manager has no grudges.
        """
        world = World()
        world.start()
        for n in range(5):
            world.put(f"u{n}@dead")
        for hand in world.agent.hands[:5]:
            hand.end(refused)
        world.put("dead@dead")
        self.assertEqual(len(world.agent.hands), 5)
        world.restart()
        world.put("new@dead")
        self.assertIn("new@dead", world.agent.attempts)
