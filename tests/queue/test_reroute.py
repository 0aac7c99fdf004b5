"""
Tests of L{txmta.queue.router}: recipients that an agent sends another way
(mailbox_transport, fallback_transport).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import HOST, World, no_user, sent
from txmta.events import Delivery, Warn
from txmta.model import Action, AddressClass, Outcome, QueueName, Recipient, Route
from txmta.queue.router import MAX_REROUTES


def pass_to(transport: str, nexthop: str = HOST) -> Callable[[Recipient], Outcome]:
    """
    @return: an agent's answer: every recipient goes that way instead.
    """

    def answer(recipient: Recipient) -> Outcome:
        route = Route(AddressClass.LOCAL, transport, nexthop, recipient.address)
        return Outcome(recipient.n, Action.DELIVERED, "2.0.0", "x", reroute=route)

    return answer


class RerouteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = world = World()
        world.resolver.routes["here"] = "local"
        world.local.answer = pass_to("smtp", "[hub]:24")

    def test_goes_there(self) -> None:
        """
        The other transport delivers, and only it is in the log.
        """
        world = self.world
        world.agent.answer = sent
        world.start()
        world.put("a@here")
        (hand,) = world.agent.hands
        self.assertEqual(hand.request.nexthop, "[hub]:24")
        self.assertEqual(hand.request.transport, "smtp")
        (delivery,) = world.sink.of(Delivery)
        self.assertEqual(delivery.program, "smtp")
        self.assertEqual(world.store.rows, {})
        self.assertEqual(world.manager.active, {})

    def test_refused_there(self) -> None:
        """
        What the other transport says is what the sender is told.
        """
        world = self.world
        world.start()
        queue_id = world.put("a@here")
        world.agent.hands[0].end(no_user)
        (bounce,) = world.others(queue_id)
        self.assertIn(b"Status: 5.1.1\r\n", bounce.content)

    def test_limits(self) -> None:
        """
        Those of the other transport hold; what waits for it goes together.
        """
        world = World(default_destination_concurrency_limit="1")
        world.resolver.routes["here"] = "local"
        world.local.answer = pass_to("smtp", "[hub]:24")
        world.start()
        world.put("a@here", "b@here", "c@here")
        (hand,) = world.agent.hands
        self.assertEqual(hand.addresses, ["a@here"])
        hand.end()
        self.assertEqual(world.agent.hands[1].addresses, ["b@here", "c@here"])
        world.agent.hands[1].end()
        self.assertEqual(world.store.rows, {})

    def test_unknown_transport(self) -> None:
        """
        Our own mistake: deferred with 4.3.5, and a warning.
        """
        world = self.world
        world.local.answer = pass_to("cyrus")
        world.start()
        queue_id = world.put("a@here")
        row = world.row(queue_id)
        self.assertIs(row.queue, QueueName.DEFERRED)
        self.assertEqual(row.reasons, {0: "4.3.5 mail transport unavailable"})
        (warning,) = world.sink.of(Warn)
        self.assertIn("transport cyrus", warning.text)

    def test_circle(self) -> None:
        """
        A transport that passes a recipient to itself ends, with 4.3.5.
        """
        world = self.world
        world.local.answer = pass_to("local")
        world.start()
        queue_id = world.put("a@here")
        self.assertEqual(len(world.local.hands), MAX_REROUTES + 1)
        self.assertEqual(world.row(queue_id).reasons[0][:5], "4.3.5")
        world.local.answer = sent
        world.run(400)
        self.assertEqual(world.store.rows, {})

    def test_crash(self) -> None:
        """
        Nothing was written down: the first agent is asked again.
        """
        world = self.world
        world.start()
        world.put("a@here")
        self.assertEqual(len(world.agent.hands), 1)
        world.restart()
        self.assertEqual(len(world.local.hands), 2)
        self.assertEqual(len(world.agent.hands), 2)
        world.agent.hands[1].end()
        self.assertEqual(world.store.rows, {})

    def test_others_of_the_message(self) -> None:
        """
        Recipients that stay are not held up, and nobody is told twice.
        """
        world = self.world
        passing = world.local.answer
        assert passing is not None
        world.local.answer = lambda r: passing(r) if r.n == 0 else no_user(r)
        world.start()
        queue_id = world.put("a@here", "b@here")
        self.assertEqual(world.others(queue_id), [])
        world.agent.hands[0].end()
        (bounce,) = world.others(queue_id)
        self.assertIn(b"<b@here>: ", bounce.content)
        self.assertNotIn(b"<a@here>", bounce.content)
