"""
One queue manager follows another in the same process.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import World, busy, sent
from txmta.model import AddressClass, QueueName, Route
from txmta.queue.manager import QueueManager
from txmta.queue.succession import Succession


class SuccessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.world.start()
        self.earlier: Succession | None = None

    def hand_over(self, start: bool = True) -> Succession:
        """
        Let another queue manager follow.
        """
        world = self.world
        old, heir = world.manager, Succession(world.clock)
        heir.inherit(old.dispatcher, self.earlier)
        self.successResultOf(old.drain())
        # As a store of its own has it.
        for row in world.store.rows.values():
            row.claimed = None
        world.store._doorbells.clear()
        world.elsewhere = self.earlier = heir
        world.manager = world.make_manager()
        if start:
            world.start()
        return heir

    def test_in_hand(self) -> None:
        """
        What is in hand is not delivered again; its outcome is recorded, and
        then its place is free.
        """
        world = self.world
        world.processes["smtp"] = 1
        first, second = world.put("a@one"), world.put("b@two")
        self.assertEqual(len(world.agent.hands), 2)
        heir = self.hand_over()
        third = world.put("c@three")
        attempts = world.agent.attempts
        self.assertEqual(attempts, ["a@one", "b@two"])
        finished = heir.finished()
        for hand in world.agent.hands[:]:
            self.assertNoResult(finished)
            self.assertEqual(world.agent.attempts, attempts)
            hand.end()
        self.successResultOf(finished)
        self.assertIsNone(world.queue(first))
        self.assertIsNone(world.queue(second))
        self.assertEqual(world.agent.attempts, [*attempts, "c@three"])
        world.agent.hands[2].end()
        self.assertIsNone(world.queue(third))

    def test_others_go_on(self) -> None:
        """
        Other mail does not wait for it.
        """
        world = self.world
        world.put("a@one")
        self.hand_over()
        world.put("b@two")
        self.assertEqual(world.agent.attempts, ["a@one", "b@two"])

    def test_early(self) -> None:
        """
        An outcome may come before the next queue manager begins.
        """
        world = self.world
        queue_id = world.put("a@one")
        self.hand_over(start=False)
        world.agent.hands[0].end(busy)
        world.start()
        self.assertEqual(world.agent.attempts, ["a@one"])
        self.assertIs(world.queue(queue_id), QueueName.DEFERRED)

    def test_part(self) -> None:
        """
        What is final of a message is recorded before, and not delivered again.
        """
        world = self.world
        queue_id = world.put("a@one", "b@two")
        world.agent.hands[0].end()
        self.hand_over()
        self.assertEqual(world.agent.attempts, ["a@one", "b@two"])
        world.agent.hands[1].end()
        self.assertIsNone(world.queue(queue_id))

    def test_twice(self) -> None:
        """
        One more change while it is still in hand; the outcome comes in
        between, or later.
        """
        world = self.world
        first, second = world.put("a@one"), world.put("b@two")
        self.hand_over(start=False)
        world.agent.hands[0].end()
        world.start()
        before = self.earlier
        assert before is not None
        waiting = before.finished()
        self.hand_over()
        self.assertIsNone(world.queue(first))
        self.assertIsNotNone(world.queue(second))
        self.assertNoResult(waiting)
        world.agent.hands[1].end()
        self.successResultOf(waiting)
        self.assertIsNone(world.queue(second))
        self.assertEqual(world.agent.attempts, ["a@one", "b@two"])

    def test_kept_and_twice(self) -> None:
        """
        An outcome that nobody has asked for yet is passed on.
        """
        world = self.world
        queue_id = world.put("a@one")
        self.hand_over(start=False)
        world.agent.hands[0].end()
        self.hand_over()
        self.assertEqual(world.agent.attempts, ["a@one"])
        self.assertIsNone(world.queue(queue_id))

    def test_another_way(self) -> None:
        """
        An agent sends a recipient another way.
        """
        world = self.world
        world.resolver.routes["here"] = "local"
        queue_id = world.put("a@here")
        self.hand_over()
        route = Route(AddressClass.DEFAULT, "smtp", "one", "a@here")
        world.local.hands[0].end(
            lambda recipient: replace(sent(recipient), reroute=route)
        )
        self.assertEqual(world.agent.attempts, ["a@here"])
        world.agent.hands[0].end()
        self.assertIsNone(world.queue(queue_id))

    def test_failing(self) -> None:
        """
        An agent that fails: the recipients are tried later.
        """
        world = self.world
        queue_id = world.put("a@one")
        self.hand_over()
        world.agent.hands[0].ended.errback(ZeroDivisionError("oops"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIs(world.queue(queue_id), QueueName.DEFERRED)

    def test_limit(self) -> None:
        """
        Who stops does not wait for ever.
        """
        world = self.world
        world.put("a@one")
        heir = self.hand_over()
        finished = heir.finished(5)
        world.clock.advance(4)
        self.assertNoResult(finished)
        world.clock.advance(1)
        self.successResultOf(finished)

    def test_nothing(self) -> None:
        """
        An idle queue manager has nothing to pass on, and leaves no timer.
        """
        world = self.world
        old: QueueManager = world.manager
        heir = Succession(world.clock)
        heir.inherit(old.dispatcher, None)
        self.successResultOf(old.drain())
        self.successResultOf(heir.finished(5))
        self.assertEqual(world.clock.getDelayedCalls(), [])
