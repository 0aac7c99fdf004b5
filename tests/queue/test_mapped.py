"""
Mail made here is stored with its addresses mapped, or not at all.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import World, no_user, sent
from tests.queue.test_postmaster import transcript
from tests.queue.test_telling import TellingCase, fields
from txmta.errors import TableUnavailable
from txmta.events import Warn
from txmta.model import Action, Envelope, Forward, Notify, Outcome, Recipient
from txmta.queue.manager import QueueManager
from txmta.queue.postmaster import Postmaster


class MappedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = world = World()
        self.down = False
        world.parts = replace(world.parts, mapped=self.mapped)
        world.manager = QueueManager(world.parts)

    async def mapped(self, envelope: Envelope) -> Envelope:
        """
        Two recipients for each.
        """
        if self.down:
            raise TableUnavailable("ldap:x", "gone")
        recipients = [
            Recipient(2 * n + i, f"{i}.{each.address}", each.original)
            for n, each in enumerate(envelope.recipients)
            for i in range(2)
        ]
        return replace(envelope, recipients=tuple(recipients))

    def test_bounce(self) -> None:
        world = self.world
        world.start()
        world.agent.answer = lambda r: sent(r) if "." in r.address[:2] else no_user(r)
        world.put("x@a", sender="me@here")
        self.assertEqual(world.agent.attempts, ["x@a", "0.me@here", "1.me@here"])
        self.assertEqual(world.store.rows, {})

    def test_forward(self) -> None:
        """
        While tables cannot be asked nothing of the attempt is written down, and
        nobody gets the mail once more.
        """
        world = self.world
        world.start()
        world.resolver.routes["list@here"] = "local"
        forward = Forward("s@x", ("y@b",), b"")
        world.local.answer = lambda r: Outcome(
            r.n, Action.EXPANDED, "2.0.0", "forwarded", "local", forward=(forward,)
        )
        world.agent.answer = sent
        self.down = True
        queue_id = world.put("list@here")
        world.run(60)
        self.assertEqual(world.agent.attempts, [])
        self.assertEqual(list(world.store.rows), [queue_id])
        warnings = [each.text for each in world.sink.of(Warn)]
        self.assertIn("table ldap:x: gone", warnings[0])
        self.down = False
        world.run(60)
        self.assertEqual(world.local.attempts, ["list@here"])
        self.assertEqual(world.agent.attempts, ["0.y@b", "1.y@b"])
        self.assertEqual(world.store.rows, {})

    def test_postmaster(self) -> None:
        world = self.world
        Postmaster(world.parts).transcript(transcript())
        (row,) = world.store.rows.values()
        self.assertEqual(len(row.envelope.recipients), 2)
        self.down = True
        Postmaster(world.parts).transcript(transcript())
        self.assertEqual(len(world.store.rows), 1)
        self.assertIn("table ldap:x: gone", world.sink.of(Warn)[-1].text)


class ExpandedTests(TellingCase):
    def test_report(self) -> None:
        """
        A virtual alias that was expanded is reported once, and gets nothing.
        """
        world = self.world
        told = Notify.SUCCESS | Notify.EXPANDED
        recipients = (
            Recipient(0, "all@v", "All@v", "rfc822;All@v", told),
            Recipient(1, "x@a", "All@v", "rfc822;All@v", Notify.NEVER),
        )
        queue_id = world.put(recipients=recipients)
        (hand,) = world.agent.hands
        self.assertEqual([r.address for r in hand.request.recipients], ["x@a"])
        hand.end()
        self.assertNotIn(queue_id, world.store.rows)
        (report,) = world.store.rows.values()
        (found,) = fields(report)
        self.assertEqual(
            [found[name] for name in ("Action", "Status", "Final-Recipient")],
            ["expanded", "2.0.0", "rfc822; all@v"],
        )
        self.assertEqual(found["Original-Recipient"], "rfc822;All@v")
