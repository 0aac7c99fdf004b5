"""
Tests of the queue manager over days: when it tries again and when it gives up,
clocks that are set, restarts.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import START, World, busy, no_user, refused, sent
from txmta.errors import TableUnavailable
from txmta.events import Expired, Warn
from txmta.model import Outcome, QueueName, Recipient

DAY = 86400


def busy_there(recipient: Recipient) -> Outcome:
    """
    Only the original is deferred: what goes back to the sender is delivered.
    """
    return (busy if recipient.address.endswith("@there") else sent)(recipient)


def postfix_attempts(
    arrival: float,
    lifetime: float,
    run_delay: float = 300,
    least: float = 300,
    most: float = 4000,
) -> list[float]:
    """
    When Postfix tries a message that is always deferred, in seconds since its
    start: the queue is scanned every C{run_delay}; a message that fails at age
    C{a} is due C{a} seconds later, at least C{least} and at most C{most}; the
    attempt at which it is too old is its last (qmgr_active.c).
    """
    attempts = [arrival]
    while attempts[-1] - arrival < lifetime:
        age = attempts[-1] - arrival
        due = attempts[-1] + min(max(age, least), most)
        attempts.append(-(-due // run_delay) * run_delay)
    return attempts


class ScheduleTests(SynchronousTestCase):
    def test_by_hand(self) -> None:
        """
        The first attempts as reckoned by hand, so that we do not only compare
        one formula with another.
        """
        self.assertEqual(
            postfix_attempts(0, DAY)[:10],
            [0, 300, 600, 1200, 2400, 4800, 9000, 13200, 17400, 21600],
        )
        self.assertEqual(
            postfix_attempts(15, DAY)[:8],
            [15, 600, 1200, 2400, 4800, 9000, 13200, 17400],
        )
        five_days = postfix_attempts(0, 5 * DAY)
        self.assertEqual((len(five_days), five_days[-1]), (108, 433200))

    def test_five_days(self) -> None:
        """
        A message that is deferred for five days is tried exactly when Postfix
        would try it, whether it came with a scan or between two; it expires
        with the last of these attempts, and is returned.
        """
        for arrival in (0, 15):
            with self.subTest(arrival=arrival):
                world = World()
                world.agent.answer = busy_there
                world.start()
                begin = world.clock.seconds()
                world.run(arrival)
                queue_id = world.put("to@there")
                expected = postfix_attempts(arrival, 5 * DAY)
                world.run(expected[-1] - arrival - 5, step=5)
                self.assertEqual(world.queue(queue_id), QueueName.DEFERRED)
                self.assertEqual(world.sink.of(Expired), [])
                world.run(DAY, step=5)
                self.assertEqual(world.store.rows, {})
                self.assertEqual(len(world.sink.of(Expired)), 1)
                self.assertEqual(world.agent.attempts[-1], "sender@example.com")
                tried = [t - begin for t in world.agent.times[:-1]]
                self.assertEqual(tried, expected)

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
        begin = world.clock.seconds()
        world.agent.answer = busy
        world.put("a@one", sender="")
        world.run(2 * DAY, 50)
        self.assertEqual(
            [t - begin for t in world.agent.times],
            postfix_attempts(0, DAY, 100, 700, 10800),
        )

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
        world.agent.answer = busy_there
        world.start()
        world.put("a@x", "b@there", "c@z")
        world.run(400, step=5)
        self.assertEqual(world.agent.attempts.count("a@x"), 1)
        self.assertEqual(world.agent.attempts.count("c@z"), 1)
        self.assertEqual(world.agent.attempts.count("b@there"), 2)


class ExpiryTests(SynchronousTestCase):
    def test_one_attempt(self) -> None:
        """
        maximal_queue_lifetime = 0 means one attempt.
        """
        world = World(maximal_queue_lifetime="0")
        world.agent.answer = busy_there
        world.start()
        world.put("to@there")
        self.assertEqual(world.agent.attempts, ["to@there", "sender@example.com"])
        self.assertEqual(world.store.rows, {})

    def test_asked_to_expire(self) -> None:
        """
        What the administrator lets expire (postsuper -e) is tried once more,
        soon, and returned, whatever its age.
        """
        world = World()
        world.agent.answer = busy_there
        world.start()
        queue_id = world.put("to@there")
        self.successResultOf(world.store.expire([queue_id]))
        world.run(10)
        self.assertEqual(
            world.agent.attempts, ["to@there", "to@there", "sender@example.com"]
        )
        self.assertEqual(world.store.rows, {})

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


class AttemptFirstTests(SynchronousTestCase):
    """
    No message expires without an attempt since start.
    """

    def setUp(self) -> None:
        self.use()

    def use(self) -> None:
        """
        A message that grew too old while we were down.
        """
        self.world = World()
        self.queue_id = self.world.put("to@there")
        self.world.clock.advance(30 * DAY)

    def test_tried(self) -> None:
        """
        It is tried before it may expire.
        """
        self.world.agent.answer = sent
        self.world.restart()
        self.assertEqual(self.world.agent.attempts, ["to@there"])
        self.assertEqual(self.world.sink.of(Expired), [])
        self.assertEqual(self.world.store.rows, {})

    def test_returned_then(self) -> None:
        """
        If that attempt is deferred, it was the last.
        """
        self.world.agent.answer = busy_there
        self.world.restart()
        self.assertIsNone(self.world.queue(self.queue_id))
        self.assertIn(
            f"qmgr: {self.queue_id}: from=<sender@example.com>, status=expired, "
            "returned to sender",
            self.world.sink.lines(),
        )
        self.assertEqual(len(self.world.sink.of(Expired)), 1)
        self.assertEqual(self.world.agent.attempts, ["to@there", "sender@example.com"])

    def test_own_trouble(self) -> None:
        """
        A table that is down since start, or a transport that is missing, is no
        attempt, and lets nothing expire before a whole lifetime is over.
        """
        for trouble in (TableUnavailable("ldap:x", "down"), "none"):
            with self.subTest(trouble=trouble):
                self.use()
                self.world.resolver.routes["there"] = trouble
                self.world.restart()
                self.world.run(4 * DAY, 600)
                self.assertEqual(self.world.queue(self.queue_id), QueueName.DEFERRED)
                self.assertEqual(self.world.sink.of(Expired), [])
                self.world.run(1.1 * DAY, 600)
                self.assertEqual(len(self.world.sink.of(Expired)), 1)


class ClockTests(SynchronousTestCase):
    """
    A wall clock that is set by a day, either way, changes no delivery.
    """

    def course(
        self,
        jumps: dict[int, int],
        lifetime: str = "6h",
        hours: int = 10,
        step: int = 5,
    ) -> tuple[list[tuple[float, str]], int]:
        """
        @param jumps: by how much the wall clock is set, by second since start.
        @return: all attempts, when and for whom; how many messages expired.
        """
        world = World(maximal_queue_lifetime=lifetime)
        world.agent.answer = busy_there
        world.start()
        begin = world.clock.seconds()
        for second in range(0, hours * 3600, step):
            for at in range(second, second + step):
                world.wall += jumps.get(at, 0)
                if at in (15, 5000, 10_000):
                    world.put(f"to{at}@there")
            world.run(step)
        attempts = [
            (time - begin, address)
            for time, hand in zip(world.agent.times, world.agent.hands, strict=True)
            for address in hand.addresses
        ]
        return attempts, len(world.sink.of(Expired))

    def test_jumps(self) -> None:
        """
        Mail from before and after is tried and expires at the same moments as
        if nobody had touched the clock.
        """
        steady, expired = self.course({})
        self.assertGreater(len(steady), 20)
        self.assertEqual(expired, 3)
        self.assertIn("sender@example.com", [address for _, address in steady])
        for when in (10, 1000, 7000):
            for jump in (DAY, -DAY):
                with self.subTest(when=when, jump=jump):
                    self.assertEqual(self.course({when: jump}), (steady, expired))

    def test_there_and_back(self) -> None:
        """
        Nor does one change anything that is set back while mail waits.
        """
        steady = self.course({})
        for jumps in (
            {10: DAY, 7000: -DAY},
            {10: -DAY, 7000: DAY},
            {1000: -DAY, 7000: 2 * DAY},
        ):
            with self.subTest(jumps=jumps):
                self.assertEqual(self.course(jumps), steady)

    def test_shorter_than_a_lifetime(self) -> None:
        """
        The same where the jump alone makes nothing expire.
        """
        steady = self.course({}, "2d", 80, 100)
        self.assertEqual(steady[1], 3)
        for jumps in (
            {14_400: DAY},
            {14_400: -DAY},
            {14_400: DAY, 32_400: -DAY},
            {14_400: -DAY, 32_400: 2 * DAY},
        ):
            with self.subTest(jumps=jumps):
                self.assertEqual(self.course(jumps, "2d", 80, 100), steady)

    def test_flush_after_a_jump(self) -> None:
        """
        A flush, of all or of one, works while the wall clock is wrong.
        """
        for jump in (DAY, -DAY):
            for one in (False, True):
                with self.subTest(jump=jump, one=one):
                    world = World()
                    world.start()
                    world.agent.answer = busy
                    queue_id = world.put("to@there")
                    world.wall += jump
                    world.run(10)
                    flushed = world.manager.flush([queue_id] if one else None)
                    self.successResultOf(flushed)
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
        After kill -9 what was not recorded is tried again, and nothing else;
        what was deferred keeps its time.
        """
        world = World()
        world.start()
        world.put("done@one")
        world.agent.hands[0].end()
        waiting = world.put("busy@two")
        world.agent.hands[1].end(busy)
        world.put("hand@three")
        world.run(1)
        due = world.row(waiting).due
        world.restart()
        self.assertEqual(world.agent.attempts[3:], ["hand@three"])
        world.agent.hands[3].end()
        world.run(250, step=5)
        self.assertEqual(len(world.agent.hands), 4)
        self.assertEqual(world.row(waiting).due, due)
        world.run(400, step=5)
        self.assertEqual(world.agent.attempts[4:], ["busy@two"])

    def test_recipients_not_recorded(self) -> None:
        """
        So with the recipients of one message.
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
