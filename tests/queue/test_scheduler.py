"""
Tests of L{txmta.queue.scheduler}, and of the windows and lanes it is made of.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.config.settings import Settings
from txmta.model import Recipient
from txmta.queue.destination import Feedback, Limits, Window
from txmta.queue.lane import Job
from txmta.queue.limits import check, limits
from txmta.queue.scheduler import SUSPENDED, TransportQueue

DOWN = ("4.4.1", "connect to there: Connection refused")


def recipient(n: int, address: str = "") -> Recipient:
    address = address or f"r{n}@there.test"
    return Recipient(n, address, address)


def fill(queue: TransportQueue[str], nexthop: str, owner: str, count: int) -> None:
    for n in range(count):
        assert queue.add(nexthop, owner, recipient(n, f"{n}@{nexthop}"), 0.0) is None


def take(queue: TransportQueue[str], now: float = 0.0) -> list[Job[str]]:
    """
    @return: all deliveries that may start.
    """
    jobs = []
    while (job := queue.next(now)) is not None:
        jobs.append(job)
    return jobs


class WindowTests(SynchronousTestCase):
    def test_start(self) -> None:
        """
        An unknown destination gets initial_destination_concurrency, but never
        more than the limit.
        """
        self.assertEqual(Window(Limits()).size, 5)
        self.assertEqual(Window(Limits(concurrency=2)).size, 2)
        self.assertEqual(Window(Limits(concurrency=0)).size, 5)

    def test_grows(self) -> None:
        """
        Each success is worth one more, up to the limit.
        """
        window = Window(Limits(concurrency=8))
        window.busy = 8
        sizes = []
        for _ in range(5):
            window.succeeded()
            sizes.append(window.size)
        self.assertEqual(sizes, [6, 7, 8, 8, 8])

    def test_grows_only_where_used(self) -> None:
        """
        The window stays near what is in use.
        """
        window = Window(Limits())
        for _ in range(20):
            window.succeeded()
        self.assertEqual(window.size, 5)

    def test_feedback_by_concurrency(self) -> None:
        """
        With 1/concurrency a whole window of successes is worth one.
        """
        window = Window(Limits(positive=Feedback(1, "concurrency")))
        window.busy = 20
        for _ in range(10):
            window.succeeded()
        self.assertIn(window.size, (6, 7))

    def test_dies(self) -> None:
        """
        A whole window of failures, one after the other, makes a destination
        dead; it stays so for minimal_backoff_time.
        """
        window = Window(Limits(negative=Feedback(0)))
        self.assertEqual(
            [window.failed(10, DOWN) for _ in range(5)], [False] * 4 + [True]
        )
        self.assertEqual(window.dead(309), DOWN)
        self.assertIsNone(window.dead(310))

    def test_success_between(self) -> None:
        """
        A success ends the row of failures.
        """
        window = Window(Limits(negative=Feedback(0)))
        for _ in range(10):
            for _ in range(4):
                self.assertFalse(window.failed(0, DOWN))
            window.succeeded()

    def test_never_dies(self) -> None:
        """
        A cohort limit of 0 is no limit, and the window is never below one.
        """
        window = Window(Limits(failed_cohorts=0))
        for _ in range(100):
            self.assertFalse(window.failed(0, DOWN))
        self.assertEqual(window.size, 1)

    def test_rate_delay(self) -> None:
        """
        A rate delay means one delivery at a time.
        """
        window = Window(Limits(destination_delay=1))
        window.busy = 1
        window.succeeded()
        self.assertEqual(window.size, 1)


class FeedbackTests(SynchronousTestCase):
    def test_parse(self) -> None:
        """
        A number, or a number by the concurrency or its root.
        """
        for text, value in (
            ("1", 1),
            ("0.5", 0.5),
            ("1/concurrency", 0.0625),
            ("1 / sqrt_concurrency", 0.25),
            ("1/2", 0.5),
        ):
            self.assertAlmostEqual(Feedback.parse(text).value(16), value)

    def test_nonsense(self) -> None:
        """
        Anything else is refused, and found before start.
        """
        self.assertRaises(ValueError, Feedback.parse, "many")
        settings = Settings.of(smtp_destination_concurrency_positive_feedback="many")
        problems = check(settings, ["smtp", "relay"])
        self.assertEqual(len(problems), 1)
        self.assertIn("transport smtp", problems[0])


class LimitsTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """
        Postfix's numbers, and those that main.cf has for one transport.
        """
        found = limits(Settings.of(), "smtp", 100)
        self.assertEqual(found, Limits())
        self.assertEqual(limits(Settings.of(), "local", 7).concurrency, 2)
        self.assertEqual(limits(Settings.of(), "local", 7).recipients, 1)
        own = Settings.of(slow_destination_concurrency_limit="3")
        self.assertEqual(limits(own, "slow", 100).concurrency, 3)
        self.assertEqual(limits(own, "smtp", 100).concurrency, 20)


class QueueTests(SynchronousTestCase):
    def test_recipients_of_a_delivery(self) -> None:
        """
        Recipients of one message for one next hop go together, in order, at
        most destination_recipient_limit of them.
        """
        queue = TransportQueue[str]("smtp", Limits())
        fill(queue, "a", "M", 120)
        jobs = take(queue)
        self.assertEqual([len(j.recipients) for j in jobs], [50, 50, 20])
        self.assertEqual([r.n for j in jobs for r in j.recipients], list(range(120)))

    def test_messages_are_not_mixed(self) -> None:
        """
        A delivery is of one message.
        """
        queue = TransportQueue[str]("smtp", Limits())
        fill(queue, "a", "M", 2)
        fill(queue, "a", "N", 2)
        self.assertEqual(
            [(j.owner, len(j.recipients)) for j in take(queue)], [("M", 2), ("N", 2)]
        )

    def test_destinations_take_turns(self) -> None:
        """
        A destination with much mail does not keep another one waiting.
        """
        queue = TransportQueue[str]("smtp", Limits(processes=4))
        for n in range(50):
            fill(queue, "busy", f"M{n}", 1)
        fill(queue, "other", "N", 1)
        self.assertIn("other", [j.lane.nexthop for j in take(queue)[:2]])

    def test_messages_take_turns(self) -> None:
        """
        A message with 10,000 recipients does not keep another one waiting.
        """
        queue = TransportQueue[str]("smtp", Limits(processes=4))
        fill(queue, "a", "big", 10_000)
        fill(queue, "a", "small", 1)
        self.assertIn("small", [j.owner for j in take(queue)[:2]])

    def test_destination_concurrency(self) -> None:
        """
        No more deliveries to one destination than its window; one that ends
        makes room.
        """
        queue = TransportQueue[str]("smtp", Limits(concurrency=2))
        for n in range(5):
            fill(queue, "a", f"M{n}", 1)
        jobs = take(queue)
        self.assertEqual(len(jobs), 2)
        queue.done(jobs[0], 0.0)
        self.assertEqual(len(take(queue)), 1)

    def test_recipient_concurrency(self) -> None:
        """
        With recipient limit 1 the concurrency is that of a recipient: a slow
        mailbox keeps no other waiting.
        """
        queue = TransportQueue[str]("local", Limits(recipients=1, concurrency=2))
        for n in range(5):
            queue.add("here", f"M{n}", recipient(0, "slow@here"), 0.0)
        queue.add("here", "N", recipient(0, "quick@here"), 0.0)
        jobs = take(queue)
        self.assertEqual(
            Counter(j.recipients[0].address for j in jobs),
            {"slow@here": 2, "quick@here": 1},
        )
        queue.done(jobs[0], 0.0)
        self.assertEqual([j.owner for j in take(queue)], ["M2"])

    def test_processes(self) -> None:
        """
        No more deliveries by one transport than its maxproc in master.cf.
        """
        queue = TransportQueue[str]("smtp", Limits(processes=3))
        for n in range(9):
            fill(queue, f"d{n}", "M", 1)
        self.assertEqual(len(take(queue)), 3)

    def test_transport_rate_delay(self) -> None:
        """
        transport_rate_delay lies between any two deliveries.
        """
        queue = TransportQueue[str]("smtp", Limits(transport_delay=10))
        fill(queue, "a", "M", 1)
        fill(queue, "b", "M", 1)
        self.assertEqual(len(take(queue, 100)), 1)
        self.assertEqual(queue.wake(100), 110)
        self.assertEqual(len(take(queue, 109)), 0)
        self.assertEqual(len(take(queue, 110)), 1)

    def test_destination_rate_delay(self) -> None:
        """
        destination_rate_delay lies between the deliveries to a destination.
        """
        queue = TransportQueue[str]("smtp", Limits(destination_delay=10))
        fill(queue, "a", "M", 1)
        fill(queue, "a", "N", 1)
        [job] = take(queue, 100)
        queue.succeeded(job)
        queue.done(job, 103)
        self.assertEqual(take(queue, 112), [])
        self.assertEqual(queue.wake(103), 113)
        self.assertEqual([j.owner for j in take(queue, 113)], ["N"])

    def test_dead_destination(self) -> None:
        """
        What waits for a destination that died is given back with the reason,
        more is not taken, others go on; after minimal_backoff_time it is
        tried again.
        """
        queue = TransportQueue[str]("smtp", Limits(initial=1))
        fill(queue, "dead", "M", 60)
        fill(queue, "well", "N", 1)
        jobs = take(queue)
        dead = next(j for j in jobs if j.lane.nexthop == "dead")
        queue.failed(dead, DOWN, 0.0)
        for job in jobs:
            queue.done(job, 0.0)
        reason = ("4.4.1", SUSPENDED + DOWN[1])
        self.assertEqual([r for _, _, r in queue.refused], [reason] * 10)
        self.assertEqual(queue.add("dead", "O", recipient(0), 299), reason)
        self.assertIsNone(queue.add("well", "O", recipient(0), 299))
        self.assertIsNone(queue.add("dead", "O", recipient(0), 300))
        self.assertEqual(
            Counter(j.lane.nexthop for j in take(queue, 300)), {"well": 1, "dead": 1}
        )

    def test_dead_recipient(self) -> None:
        """
        With recipient limit 1 only the recipient is dead.
        """
        queue = TransportQueue[str]("local", Limits(recipients=1, initial=1))
        fill(queue, "here", "M", 1)
        [job] = take(queue)
        queue.failed(job, DOWN, 0.0)
        queue.done(job, 0.0)
        self.assertIsNotNone(queue.add("here", "N", recipient(0, "0@here"), 1.0))
        self.assertIsNone(queue.add("here", "N", recipient(1, "1@here"), 1.0))

    def test_dead_recipient_gives_back(self) -> None:
        """
        What waits for a dead recipient is given back when it dies, not when
        it may be tried again.
        """
        queue = TransportQueue[str]("local", Limits(recipients=1, initial=1))
        for owner in ("M", "N"):
            queue.add("here", owner, recipient(0, "slow@here"), 0.0)
        [job] = take(queue)
        queue.failed(job, DOWN, 0.0)
        queue.done(job, 0.0)
        self.assertEqual([owner for owner, _, _ in queue.refused], ["N"])

    def test_forgets_the_dead(self) -> None:
        """
        A dead destination is forgotten when it may be tried again.
        """
        for per in (1, 50):
            queue = TransportQueue[str]("smtp", Limits(recipients=per, initial=1))
            fill(queue, "dead", "M", 1)
            [job] = take(queue)
            queue.failed(job, DOWN, 0.0)
            queue.done(job, 0.0)
            self.assertEqual(len(queue._lanes), 1)
            self.assertEqual(queue.wake(0.0), 300)
            self.assertEqual(take(queue, 300), [])
            self.assertEqual(queue._lanes, {})

    def test_broken_transport(self) -> None:
        """
        A broken transport gives back all that waits, and rests for
        transport_retry_time.
        """
        queue = TransportQueue[str]("smtp", Limits(initial=1))
        fill(queue, "a", "M", 1)
        fill(queue, "a", "N", 1)
        fill(queue, "b", "N", 1)
        job = queue.next(0.0)
        assert job is not None
        queue.broken(("4.3.0", "no"), 0.0)
        queue.done(job, 0.0)
        self.assertEqual(len(queue.refused), 2)
        self.assertEqual(queue.add("c", "M", recipient(0), 59), ("4.3.0", "no"))
        self.assertIsNone(queue.add("c", "M", recipient(0), 60))

    def test_revive(self) -> None:
        """
        A flush forgets what is dead or broken.
        """
        queue = TransportQueue[str]("smtp", Limits(initial=1))
        fill(queue, "a", "M", 1)
        [job] = take(queue)
        queue.failed(job, DOWN, 0.0)
        queue.broken(("4.3.0", "no"), 0.0)
        queue.done(job, 0.0)
        queue.revive(1.0)
        self.assertIsNone(queue.add("a", "M", recipient(0), 1.0))
        self.assertEqual(len(take(queue, 1.0)), 1)

    def test_forgets(self) -> None:
        """
        Nothing is remembered of destinations about which nothing is known.
        """
        for per in (1, 50):
            queue = TransportQueue[str]("smtp", Limits(recipients=per))
            for n in range(100):
                fill(queue, f"d{n}", "M", 3)
            while jobs := take(queue):
                for job in jobs:
                    queue.succeeded(job)
                    queue.done(job, 0.0)
            self.assertEqual(queue._lanes, {})


class Run:
    """
    A transport under mail and outcomes that hypothesis picks.
    """

    def __init__(self, some: Limits) -> None:
        self.limits = some
        self.queue = TransportQueue[int]("smtp", some)
        self.now = 0.0
        self.going: list[Job[int]] = []
        self.added: Counter[tuple[int, int]] = Counter()
        self.ended: Counter[tuple[int, int]] = Counter()
        self.per_window: Counter[int] = Counter()

    def add(self, owner: int, n: int, hop: int) -> None:
        who = recipient(n, f"u{n % 7}@{hop}")
        self.added[owner, n] += 1
        if self.queue.add(f"hop{hop}", owner, who, self.now) is not None:
            self.ended[owner, n] += 1

    def pump(self) -> None:
        while (job := self.queue.next(self.now)) is not None:
            self.going.append(job)
            for r in job.recipients:
                self.ended[job.owner, r.n] += 1
            self.check(job)
        for owner, r, _ in self.queue.refused:
            self.ended[owner, r.n] += 1
        self.queue.refused.clear()

    def check(self, job: Job[int]) -> None:
        some = self.limits
        assert len(self.going) <= some.processes
        assert self.queue.busy == len(self.going)
        assert len(job.recipients) <= some.recipients
        same = sum(j.window is job.window for j in self.going)
        assert same == job.window.busy <= some.concurrency

    def end(self, which: int, what: str) -> None:
        if not self.going:
            return
        job = self.going.pop(which % len(self.going))
        if what == "fail":
            self.queue.failed(job, DOWN, self.now)
        elif what == "broken":
            self.queue.broken(DOWN, self.now)
        else:
            self.queue.succeeded(job)
        self.queue.done(job, self.now)

    def finish(self) -> None:
        for _ in range(10_000):
            self.pump()
            if self.going:
                self.end(0, "ok")
                continue
            wake = self.queue.wake(self.now)
            if wake is None:
                return
            self.now = max(self.now, wake)
        raise AssertionError("it never ends")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 5), st.integers(0, 3)),
        st.tuples(st.just("ok"), st.integers(0, 50), st.just(0)),
        st.tuples(st.just("fail"), st.integers(0, 50), st.just(0)),
        st.tuples(st.just("broken"), st.integers(0, 50), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 400), st.just(0)),
        st.tuples(st.just("revive"), st.just(0), st.just(0)),
    ),
    max_size=60,
)

some_limits = st.builds(
    Limits,
    initial=st.integers(1, 6),
    concurrency=st.integers(1, 4),
    failed_cohorts=st.integers(0, 2),
    recipients=st.integers(1, 3),
    destination_delay=st.sampled_from([0.0, 0.0, 5.0]),
    transport_delay=st.sampled_from([0.0, 0.0, 1.0]),
    processes=st.integers(1, 5),
)


class PropertyTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(some_limits, steps)
    def test_nothing_lost(self, some: Limits, what: list[tuple[str, int, int]]) -> None:
        """
        Whatever comes and goes, no limit is passed, and every recipient is
        dispatched or given back, exactly once.
        """
        run = Run(some)
        for n, (kind, a, b) in enumerate(what):
            if kind == "add":
                run.add(a, n, b)
            elif kind == "wait":
                run.now += a
            elif kind == "revive":
                run.queue.revive(run.now)
            else:
                run.end(a, kind)
            run.pump()
        run.finish()
        self.assertEqual(run.ended, run.added)

    @settings(max_examples=100, deadline=None)
    @given(st.integers(1, 4), st.lists(st.integers(1, 40), min_size=2, max_size=6))
    def test_no_starvation(self, processes: int, loads: list[int]) -> None:
        """
        Between two deliveries to one next hop that has mail waiting, every
        other next hop gets at most one.
        """
        queue = TransportQueue[str]("smtp", Limits(processes=processes, recipients=2))
        left = {f"hop{n}": -(-load // 2) for n, load in enumerate(loads)}
        for hop, load in zip(left, loads, strict=True):
            fill(queue, hop, "M", load)
        since: dict[str, Counter[str]] = {hop: Counter() for hop in left}
        while job := queue.next(0.0):
            hop = job.lane.nexthop
            left[hop] -= 1
            for waiting in left:
                if waiting != hop and left[waiting]:
                    since[waiting][hop] += 1
                    self.assertLessEqual(since[waiting][hop], 1)
            since[hop].clear()
            queue.succeeded(job)
            queue.done(job, 0.0)
        self.assertEqual(set(left.values()), {0})


class JoinedTests(SynchronousTestCase):
    """
    Deliveries that only wait to be written with others.
    """

    def setUp(self) -> None:
        self.limits = Limits(concurrency=2, recipients=1, processes=4)
        self.queue = TransportQueue[str]("local", self.limits)

    def fill(self, count: int) -> None:
        for n in range(count):
            self.queue.add("here.test", f"m{n}", recipient(0, "r@here.test"), 0.0)

    def test_place(self) -> None:
        """
        Each gives its place at the destination to another one, once; in the
        transport it keeps it.
        """
        self.fill(9)
        first, second = take(self.queue)
        self.queue.joined(second, 0.0)
        self.queue.joined(second, 0.0)
        (third,) = take(self.queue)
        self.queue.joined(third, 0.0)
        self.assertEqual(len(take(self.queue)), 1)
        self.queue.joined(first, 0.0)
        self.assertEqual(take(self.queue), [])

    def test_over(self) -> None:
        """
        When it is over it gives back its place in the transport only.
        """
        self.fill(9)
        jobs = take(self.queue)
        for job in jobs:
            self.queue.joined(job, 0.0)
        self.assertEqual(len(take(self.queue)), 2)
        for job in jobs:
            self.queue.succeeded(job)
            self.queue.done(job, 0.0)
        self.assertEqual(take(self.queue), [])
        self.assertEqual(self.queue.busy, 2)

    def test_forgotten(self) -> None:
        """
        The lane may be gone by then, and another one in its place.
        """
        self.fill(1)
        (old,) = take(self.queue)
        self.queue.joined(old, 0.0)
        self.fill(3)
        self.assertEqual(len(take(self.queue)), 2)
        self.queue.done(old, 0.0)
        self.assertEqual(take(self.queue), [])

    def test_rate_delay(self) -> None:
        """
        With destination_rate_delay the next one has to wait for its end.
        """
        limits = Limits(concurrency=2, recipients=1, destination_delay=1.0)
        self.queue = TransportQueue("local", limits)
        self.fill(2)
        (job,) = take(self.queue)
        self.queue.joined(job, 0.0)
        self.assertEqual(take(self.queue), [])
