"""
Tests of when the queue manager tries again, and when it gives up.
"""

from __future__ import annotations

from math import ceil

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import World, busy, no_user, sent
from txmta.errors import TableUnavailable
from txmta.events import Expired
from txmta.model import QueueName

DAY = 86400


def postfix_times(arrival: int, lifetime: int) -> list[int]:
    """
    @return: when Postfix would try a message that is always deferred, in
        seconds since its start, with default settings: the delay is the age
        between 300 and 4000 seconds, and the deferred queue is scanned every
        300 seconds.
    """
    times = [arrival]
    while times[-1] - arrival < lifetime:
        due = times[-1] + min(max(times[-1] - arrival, 300), 4000)
        times.append(ceil(due / 300) * 300)
    return times


def times(world: World, since: float) -> list[int]:
    return [round(t - since) for t in world.agent.times]


class ScheduleTests(SynchronousTestCase):
    def test_first_day(self) -> None:
        """
        The first attempts, reckoned by hand.
        """
        self.assertEqual(
            postfix_times(15, DAY)[:8], [15, 600, 1200, 2400, 4800, 9000, 13200, 17400]
        )

    def test_five_days(self) -> None:
        """
        A message that is deferred for five days is tried when Postfix would
        try it, expires with the last of these attempts, and is bounced.
        """
        world = World()
        world.agent.answer = busy
        world.start()
        begin = world.clock.seconds()
        world.run(15)
        queue_id = world.put("to@there")
        world.run(5 * DAY - 600, step=5)
        self.assertEqual(world.queue(queue_id), QueueName.DEFERRED)
        self.assertEqual(world.sink.of(Expired), [])
        expected = postfix_times(15, 5 * DAY)
        world.agent.answer = lambda r: (busy if r.address == "to@there" else sent)(r)
        world.run(5 * DAY + 9000 - (world.clock.seconds() - begin), step=5)
        self.assertIsNone(world.queue(queue_id))
        self.assertEqual(len(world.sink.of(Expired)), 1)
        tried = [
            time
            for time, hand in zip(times(world, begin), world.agent.hands, strict=True)
            if hand.addresses == ["to@there"]
        ]
        self.assertEqual(tried, expected)
        self.assertEqual(world.agent.attempts[-1], "sender@example.com")

    def test_delivered_at_last(self) -> None:
        """
        When the destination takes it, the message is gone.
        """
        world = World()
        world.agent.answer = busy
        world.start()
        queue_id = world.put("to@there")
        world.run(DAY, step=5)
        world.agent.answer = sent
        world.run(4500, step=5)
        self.assertIsNone(world.queue(queue_id))
        self.assertEqual(world.others(), [])

    def test_only_who_is_left(self) -> None:
        """
        Only the recipients that were deferred are tried again.
        """
        world = World()
        world.agent.answer = lambda r: (busy if r.address == "b@y" else sent)(r)
        world.start()
        world.put("a@x", "b@y", "c@z")
        world.run(400, step=5)
        self.assertEqual(world.agent.attempts.count("a@x"), 1)
        self.assertEqual(world.agent.attempts.count("c@z"), 1)
        self.assertEqual(world.agent.attempts.count("b@y"), 2)


class ClockTests(SynchronousTestCase):
    def course(self, *jumps: tuple[int, int]) -> list[tuple[int, str]]:
        """
        @param jumps: at which second since start the wall clock is set, and by
            how much.
        @return: all attempts, when and for whom.
        """
        world = World(maximal_queue_lifetime="6h")
        world.agent.answer = lambda r: (sent if r.address[0] == "s" else busy)(r)
        world.start()
        begin = world.clock.seconds()
        left = dict(jumps)
        for second in range(0, 10 * 3600, 5):
            world.wall += left.pop(second, 0)
            if second in (15, 5000, 10_000):
                world.put(f"to{second}@there")
            world.run(5)
        return [
            (round(time - begin), address)
            for time, hand in zip(world.agent.times, world.agent.hands, strict=True)
            for address in hand.addresses
        ]

    def test_jumps(self) -> None:
        """
        A wall clock that is set by a day, either way, before or after a
        message came, changes no attempt and no expiry.
        """
        steady = self.course()
        self.assertGreater(len(steady), 20)
        self.assertIn("sender@example.com", [address for _, address in steady])
        for when in (10, 1000, 7000):
            for jump in (DAY, -DAY):
                with self.subTest(when=when, jump=jump):
                    self.assertEqual(self.course((when, jump)), steady)

    def test_there_and_back(self) -> None:
        """
        Nor one that is set, and set back while the message waits.
        """
        steady = self.course()
        self.assertEqual(self.course((10, DAY), (7000, -DAY)), steady)
        self.assertEqual(self.course((10, -DAY), (7000, DAY)), steady)

    def test_flush_after_a_jump(self) -> None:
        """
        A flush works while the wall clock is wrong, either way.
        """
        for jump in (DAY, -DAY):
            with self.subTest(jump=jump):
                world = World()
                world.agent.answer = busy
                world.start()
                queue_id = world.put("to@there")
                world.wall += jump
                world.run(10)
                self.successResultOf(world.manager.flush([queue_id]))
                world.run(10)
                self.assertEqual(len(world.agent.attempts), 2)


class RestartTests(SynchronousTestCase):
    def test_repeats_what_was_not_recorded(self) -> None:
        """
        After a crash only recipients without a record are tried again.
        """
        world = World()
        world.start()
        queue_id = world.put("a@x", "b@y", "c@z")
        world.agent.hands[0].end(sent)
        world.run(10)  # a record of what is final
        world.agent.hands[1].end(sent)  # not recorded: c is not over
        before = len(world.agent.hands)
        world.restart()
        again = [a for hand in world.agent.hands[before:] for a in hand.addresses]
        self.assertEqual(again, ["b@y", "c@z"])
        for hand in world.agent.hands[before:]:
            hand.end(sent)
        self.assertIsNone(world.queue(queue_id))

    def test_nothing_twice(self) -> None:
        """
        What was recorded to the end is not found again; what was deferred
        keeps its time.
        """
        world = World()
        world.agent.answer = lambda r: (busy if r.address == "b@y" else sent)(r)
        world.start()
        world.put("a@x")
        waiting = world.put("b@y")
        world.run(1)
        due = world.row(waiting).due
        world.restart()
        world.run(250, step=5)
        self.assertEqual(world.agent.attempts, ["a@x", "b@y"])
        self.assertEqual(world.row(waiting).due, due)
        world.run(400, step=5)
        self.assertEqual(world.agent.attempts, ["a@x", "b@y", "b@y"])


class ExpiryTests(SynchronousTestCase):
    def old(self, **settings: str) -> tuple[World, str]:
        """
        A message of ten days ago, found at start.
        """
        world = World(**settings)
        world.wall -= 10 * DAY
        queue_id = world.put("to@there")
        world.wall += 10 * DAY
        world.manager = world.make_manager()
        return world, queue_id

    def test_attempt_first(self) -> None:
        """
        After ten days of outage a message is tried before it may expire.
        """
        world, queue_id = self.old()
        world.agent.answer = sent
        world.start()
        self.assertEqual(world.agent.attempts, ["to@there"])
        self.assertEqual(world.sink.of(Expired), [])
        self.assertIsNone(world.queue(queue_id))

    def test_attempt_fails(self) -> None:
        """
        If that attempt is deferred, it was the last.
        """
        world, queue_id = self.old()
        world.agent.answer = lambda r: (busy if r.address == "to@there" else sent)(r)
        world.start()
        self.assertIsNone(world.queue(queue_id))
        self.assertIn(
            f"qmgr: {queue_id}: from=<sender@example.com>, status=expired, returned to "
            "sender",
            world.sink.lines(),
        )
        self.assertEqual(world.agent.attempts, ["to@there", "sender@example.com"])

    def test_own_trouble_is_no_attempt(self) -> None:
        """
        A table that is down since start, an agent that fails or a transport
        that is missing let nothing expire.
        """
        for trouble in ("table", "transport"):
            with self.subTest(trouble=trouble):
                world, queue_id = self.old()
                world.resolver.routes["there"] = (
                    TableUnavailable("ldap:x", "down") if trouble == "table" else "none"
                )
                world.start()
                world.run(DAY, step=60)
                self.assertEqual(world.queue(queue_id), QueueName.DEFERRED)
                self.assertEqual(world.sink.of(Expired), [])

    def test_asked_to_expire(self) -> None:
        """
        What the administrator lets expire (postsuper -e) is tried once more,
        and returned, whatever its age.
        """
        world = World()
        world.agent.answer = lambda r: (busy if r.address == "to@there" else sent)(r)
        world.start()
        queue_id = world.put("to@there")
        self.successResultOf(world.store.expire([queue_id]))
        world.run(400, step=5)
        self.assertIsNone(world.queue(queue_id))
        self.assertEqual(
            world.agent.attempts, ["to@there", "to@there", "sender@example.com"]
        )

    def test_bounces_expire_sooner(self) -> None:
        """
        bounce_queue_lifetime holds for mail from the null sender.
        """
        world = World(bounce_queue_lifetime="1h")
        world.agent.answer = busy
        world.start()
        bounce = world.put("a@x", sender="")
        other = world.put("b@y")
        world.run(5400, step=5)
        self.assertIsNone(world.queue(bounce))
        self.assertEqual(world.queue(other), QueueName.DEFERRED)

    def test_one_attempt(self) -> None:
        """
        maximal_queue_lifetime = 0 means one attempt.
        """
        world = World(maximal_queue_lifetime="0")
        world.agent.answer = lambda r: (busy if r.address == "to@there" else sent)(r)
        world.start()
        queue_id = world.put("to@there")
        self.assertIsNone(world.queue(queue_id))
        self.assertEqual(world.agent.attempts.count("to@there"), 1)

    def test_failure_needs_no_age(self) -> None:
        """
        A permanent failure is told at once, not when the message expires.
        """
        world = World()
        world.agent.answer = lambda r: (no_user if r.address == "to@there" else sent)(r)
        world.start()
        world.put("to@there")
        self.assertEqual(world.agent.attempts, ["to@there", "sender@example.com"])
        self.assertEqual(world.sink.of(Expired), [])
