"""
Tests of L{txmta.queue.router}: messages that an access table sends through a filter.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import World, sent


class ThroughTests(SynchronousTestCase):
    def test_all_go_there(self) -> None:
        """
        Whatever their addresses are; without destination to their domains.
        """
        for content_filter, expected in (
            ("smtp:[127.0.0.1]:10025", {"[127.0.0.1]:10025"}),
            ("smtp:", {"here", "b.test"}),
            ("smtp", {"here", "b.test"}),
        ):
            world = World()
            world.resolver.routes["here"] = "local"
            world.agent.answer = sent
            world.start()
            world.put("a@here", "x@b.test", filter=content_filter)
            hops = {hand.request.nexthop for hand in world.agent.hands}
            self.assertEqual(hops, expected)
            self.assertEqual(world.store.rows, {})

    def test_no_such_transport(self) -> None:
        """
        Is no reason to give it to anybody else.
        """
        world = World()
        world.agent.answer = sent
        world.start()
        queue_id = world.put("x@b.test", filter="scan:x")
        self.assertEqual(world.agent.hands, [])
        self.assertIn(queue_id, world.store.rows)
