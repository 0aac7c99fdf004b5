"""
New messages that come with the end of a recipient: L{txmta.queue.forward}.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import World, no_user, sent
from tests.queue.test_reroute import pass_to
from txmta.events import Delivery
from txmta.model import Action, Forward, Notify, Outcome, Recipient
from txmta.queue.store.memory import Row

ONWARD = (Forward("s@x.test", ("far@x.test",), b"Delivered-To: a@here\r\n"),)


class OnwardTests(SynchronousTestCase):
    def world(self, **settings: str) -> World:
        world = World(**settings)
        world.resolver.routes["here"] = "local"
        world.start()
        return world

    def far(self, world: World, queue_id: str) -> int:
        """
        @return: how many messages to far@x.test there are.
        """
        others = world.others(queue_id)
        return sum(
            any(r.address == "far@x.test" for r in other.envelope.recipients)
            for other in others
        )

    def rerouted(self) -> tuple[World, str]:
        world = self.world()
        passing = pass_to("smtp", "[hub]:24")
        world.local.answer = lambda r: replace(passing(r), forward=ONWARD)
        return world, world.put("a@here")

    def test_with_the_end_elsewhere(self) -> None:
        """
        A recipient that goes another way, and something that is forwarded:
        that is inserted when the other transport has delivered.
        """
        world, queue_id = self.rerouted()
        self.assertEqual(self.far(world, queue_id), 0)
        world.agent.hands[0].end(sent)
        self.assertEqual(self.far(world, queue_id), 1)

    def test_tried_again(self) -> None:
        """
        While the other transport defers, nothing is forwarded: each attempt
        would forward it again.
        """
        world, queue_id = self.rerouted()

        def later(recipient: Recipient) -> Outcome:
            return Outcome(recipient.n, Action.DELAYED, "4.2.0", "later")

        world.agent.hands[0].end(later)
        self.assertEqual(self.far(world, queue_id), 0)

    def failed(self, recipient: Recipient) -> Outcome:
        return replace(no_user(recipient), forward=ONWARD)

    def test_failed(self) -> None:
        """
        A failure of one branch: bounced with its own words, and the others
        forwarded.
        """
        world = self.world()
        world.local.answer = self.failed
        queue_id = world.put("a@here")
        self.assertEqual(self.far(world, queue_id), 1)
        (delivery,) = [
            d for d in world.sink.of(Delivery) if d.recipient.address == "a@here"
        ]
        self.assertIs(delivery.outcome.action, Action.FAILED)
        self.assertNotIn("forwarded", delivery.outcome.reason)

    def test_bounce_to(self) -> None:
        """
        The owner of a list gets the bounce of its command, whatever the
        sender wants to hear; the sender gets those of the others.
        """
        world = self.world()

        def answer(recipient: Recipient) -> Outcome:
            outcome = no_user(recipient)
            return (
                replace(outcome, bounce_to="owner@owner.test")
                if recipient.n
                else outcome
            )

        world.local.answer = answer
        world.resolver.routes["owner.test"] = "smtp"  # where notices stay
        addresses = ("a@here", "list@here")
        never = int(Notify.NEVER)
        recipients = [Recipient(n, a, a, "", never) for n, a in enumerate(addresses)]
        queue_id = world.put(recipients=recipients)
        (bounce,) = world.others(queue_id)
        self.assertEqual(self.to(bounce), "owner@owner.test")
        self.assertEqual(bounce.envelope.sender, "")
        queue_id = world.put(*addresses)
        found = {
            self.to(b): b.content
            for b in world.others(queue_id, bounce.envelope.queue_id)
        }
        self.assertEqual(set(found), {"owner@owner.test", "sender@example.com"})
        self.assertIn(b"<list@here>", found["owner@owner.test"])
        self.assertNotIn(b"<a@here>", found["owner@owner.test"])

    def to(self, row: Row) -> str:
        return row.envelope.recipients[0].address

    def test_soft_bounce(self) -> None:
        world = self.world(soft_bounce="yes")
        world.local.answer = self.failed
        queue_id = world.put("a@here")
        self.assertEqual(self.far(world, queue_id), 0)
