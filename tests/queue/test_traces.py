"""
Reports of sendmail -bv and -v: L{txmta.queue.traces} and what the queue manager
does with messages that ask for them. What is expected was seen with Debian's
Postfix 3.7.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import busy, no_user
from tests.queue.test_notifier import to
from tests.queue.test_telling import TellingCase, fields, subject, told
from txmta.model import Action, Branch, Forward, Outcome, Trace
from txmta.queue.traces import traces


class WordsTests(SynchronousTestCase):
    def test_expanded(self) -> None:
        """
        Whoever is told all and asked for success too hears once that an alias was
        expanded, and where a local one has sent the message.
        """
        alias, virtual = to("a@here", 2), to("v@here", 2, 1)
        forward = Forward("s@x.test", ("x@a",), b"")
        kept = Outcome(*(0, Action.EXPANDED, "2.0.0", "forwarded as Q", "local"))
        both = [
            (alias, replace(kept, forward=(forward,))),
            (virtual, Outcome(1, Action.EXPANDED, "2.0.0", "alias expanded")),
        ]
        self.assertEqual(
            [(r.address, o.action, o.reason) for r, o in traces(both, both)],
            [
                ("a@here", Action.RELAYED, "delivery via local: forwarded as Q"),
                ("a@here", Action.EXPANDED, "delivery via local: alias expanded"),
                ("v@here", Action.EXPANDED, "alias expanded"),
            ],
        )


class TraceTests(TellingCase):
    def put(self, trace: Trace, *addresses: str, **more: Any) -> str:
        recipients = [to(address, 0, n) for n, address in enumerate(addresses)]
        return self.world.put(recipients=recipients, trace=trace, **more)

    def test_probe(self) -> None:
        """
        Whatever is found of recipients is told at once, and nothing is left.
        """
        world = self.world
        queue_id = self.put(Trace.VERIFY, "a@one", "b@two", "c@three")
        good, hard, soft = world.agent.hands
        self.assertTrue(good.request.envelope.is_probe)
        good.end()
        hard.end(no_user)
        self.assertEqual(world.others(queue_id), [])
        soft.end(busy)
        self.assertNotIn(queue_id, world.store.rows)
        (report,) = world.store.rows.values()
        self.assertEqual(subject(report), "Mail Delivery Status Report")
        self.assertEqual(
            [(f["Action"], f["Status"]) for f in fields(report)],
            [
                ("deliverable", "2.0.0"),
                ("undeliverable", "5.1.1"),
                ("undeliverable", "4.2.0"),
            ],
        )

    def test_probe_brings_nothing_along(self) -> None:
        """
        A new message that an agent makes of a probe is not made; what else it
        would do is told place by place.
        """
        world = self.world
        world.resolver.routes["here"] = "local"
        forward = Forward("sender@example.com", ("x@a",), b"")
        places = (
            Branch("x@a", True, "2.0.0", "forwards to x@a"),
            Branch("y@here", False, "5.1.1", 'unknown user: "y"'),
        )
        world.local.answer = lambda r: Outcome(
            *(r.n, Action.EXPANDED, "2.0.0", "forwarded", "local"),
            forward=(forward,),
            branches=places,
        )
        self.put(Trace.VERIFY, "list@here")
        (report,) = world.store.rows.values()
        one, two = fields(report)
        self.assertEqual(told(report), ["x@a", "y@here"])
        self.assertEqual(one["Original-Recipient"], "rfc822;list@here")
        self.assertNotIn("Original-Recipient", two)
        self.assertEqual(two["Action"], "undeliverable")

    def test_probe_again(self) -> None:
        """
        After a crash all is asked once more, and the report is whole.
        """
        world = self.world
        queue_id = self.put(Trace.VERIFY, "a@one", "b@two")
        world.agent.hands[0].end()
        world.run(6)
        world.restart()
        for hand in world.agent.hands[2:]:
            hand.end()
        (report,) = world.others(queue_id)
        self.assertEqual(told(report), ["a@one", "b@two"])

    def test_soft_bounce(self) -> None:
        """
        An answer is no bounce.
        """
        self.use(soft_bounce="yes")
        self.put(Trace.VERIFY, "a@one")
        self.world.agent.hands[0].end(no_user)
        (report,) = self.world.store.rows.values()
        self.assertEqual(fields(report)[0]["Status"], "5.1.1")

    def test_record(self) -> None:
        """
        Each attempt is reported, besides what is always told; a list is relayed
        to, and the report says where.
        """
        world = self.world
        world.resolver.routes["here"] = "local"
        forward = Forward("sender@example.com", ("x@a",), b"")
        world.local.answer = lambda r: Outcome(
            r.n, Action.EXPANDED, "2.0.0", "forwarded", "local", forward=(forward,)
        )
        queue_id = self.put(Trace.RECORD, "a@one", "b@two", "list@here")
        world.local.answer = None  # notices stay in the queue
        good, bad = world.agent.hands[:2]
        good.end(no_user)
        bad.end(busy)
        notices = {subject(row): row for row in world.others(queue_id)}
        report = notices["Mail Delivery Status Report"]
        self.assertEqual(
            told(notices["Undelivered Mail Returned to Sender"]), ["a@one"]
        )
        found = {f["Final-Recipient"][8:]: f for f in fields(report)}
        self.assertEqual(
            {name: f["Action"] for name, f in found.items()},
            {"a@one": "failed", "b@two": "delayed", "list@here": "relayed"},
        )
        words = found["list@here"]["Diagnostic-Code"]
        self.assertIn("delivery via local: forwarded as ", words)
        (new,) = (
            row
            for row in world.others(queue_id)
            if row.envelope.recipients[0].address == "x@a"
        )
        self.assertEqual(new.envelope.trace, 0)

    def test_nobody_to_tell(self) -> None:
        """
        A probe of the null sender is reported to the postmaster, if he wants
        to hear of bounces of bounces.
        """
        self.use(notify_classes="2bounce")
        self.put(Trace.VERIFY, "a@one", sender="")
        self.world.agent.hands[0].end()
        (report,) = self.world.store.rows.values()
        self.assertEqual(report.envelope.recipients[0].original, "postmaster")
