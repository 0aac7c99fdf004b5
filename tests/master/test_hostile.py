"""
What a process that somebody else has taken over can say to the queue manager:
nothing beyond its role, and nothing that outlives it.

The real L{txmta.master.remote_agent} and L{txmta.master.elsewhere}; the test
plays the process.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.master.pairs import Pair
from tests.master.test_wire import make_request
from txmta.interfaces import IContent
from txmta.master import elsewhere as elsewhere_module
from txmta.master import wire as wire_module
from txmta.master.elsewhere import WorkElsewhere
from txmta.master.frames import Record
from txmta.master.link import Link
from txmta.master.records import Schema
from txmta.master.remote_agent import RemoteAgents
from txmta.master.wire import RequestReader, encode_request
from txmta.master.wire_fields import MAX_TEXTS, PART, BadDelivery, CheckedByReader
from txmta.master.wire_reports import encode_outcome
from txmta.master.wire_work import OWN_KEYS, InHandElsewhere, encode_working
from txmta.model import Action, Forward, Outcome, Recipient

ID = "4cQzBn0dLYz1s"
SENT = Outcome(3, Action.DELIVERED, "2.0.0", "delivered")


class HostileCase(SynchronousTestCase):
    """
    A queue manager with processes for smtp and local.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.time = cast(IReactorTime, self.clock)
        self.warned: list[str] = []
        self.taken: list[Outcome | None] = []
        self.elsewhere = WorkElsewhere(self.time)
        self.smtp = RemoteAgents(self.time, self.warned.append, self.elsewhere)
        self.local = RemoteAgents(self.time, self.warned.append, self.elsewhere)
        self.by_smtp = self.smtp.agent("smtp", "smtp", onward=False)
        self.by_local = self.local.agent("local", "local", onward=True)
        self.elsewhere.ready()

    def process(self, group: RemoteAgents) -> Pair:
        """
        @return: C{links[1]} is the end that the test plays.
        """
        link = Link(
            "qmgr",
            {
                "hello": (Schema({}), lambda record: None),
                "left": (Schema({}), lambda record: None),
                "deliver": (CheckedByReader(), lambda record: None),
                "recipients": (CheckedByReader(), lambda record: None),
            },
            self.time,
            lost=lambda reason: None,
        )
        name = "smtp.1" if group is self.smtp else "local.1"
        return Pair(self.clock, group.link(name), link)

    def say(self, pair: Pair, *records: Record) -> None:
        link = pair._links[1]
        assert link is not None
        for record in records:
            link.send(record)
        pair.run()

    def working(
        self, key: int = 0, transport: str = "smtp", queue_id: str = ID, n: int = 3
    ) -> Record:
        each = InHandElsewhere(OWN_KEYS + key, queue_id, transport, "x.example", [n])
        (record,) = encode_working(each)
        return record

    def outcome(self, key: int = 0, outcome: Outcome = SENT) -> list[Record]:
        return encode_outcome(OWN_KEYS + key, outcome)


class OpenTests(HostileCase):
    def test_told_twice(self) -> None:
        """
        A process that says twice that it has told everything counts once: when
        it is gone, nothing is given to it any more, and others get its work.
        """
        bad, good = self.process(self.smtp), self.process(self.smtp)
        self.say(bad, {"t": "worked"}, {"t": "worked"})
        self.say(good, {"t": "worked"})
        self.assertIn("smtp.1 dropped", self.warned[0])
        self.assertEqual(len(self.smtp._ends), 1)
        reported: list[Outcome] = []
        ending = self.by_smtp.deliver(
            make_request(Recipient(3, "a", "a")), reported.append
        )
        good.run()
        (end,) = self.smtp._ends
        (key,) = end.hands
        self.say(good, *encode_outcome(key, SENT), {"t": "done", "key": key})
        self.successResultOf(ending)
        self.assertEqual(reported, [SENT])

    def test_open_after_leaving(self) -> None:
        """
        Nor is anything given to one that said it leaves.
        """
        pair = self.process(self.smtp)
        self.say(pair, {"t": "leaving"}, {"t": "worked"})
        self.assertEqual(self.smtp._ends, [])


class OtherRoleTests(HostileCase):
    def test_in_front_of_local(self) -> None:
        """
        An smtp process that claims what local has in hand, and says so first,
        does not make local's word count less: no mail is delivered twice.
        """
        bad, good = self.process(self.smtp), self.process(self.local)
        self.say(bad, self.working(), {"t": "worked"})
        self.say(good, self.working(transport="local"), {"t": "worked"})
        self.assertTrue(
            self.elsewhere.claim(ID, 3, "local", self.taken.append),
        )
        self.say(bad, *self.outcome(outcome=replace(SENT, reason="lies")))
        self.assertEqual(self.taken, [])
        self.say(good, *self.outcome())
        self.assertEqual(self.taken, [SENT])

    def test_ends_in_front_of_local(self) -> None:
        """
        Nor does its end.
        """
        bad, good = self.process(self.smtp), self.process(self.local)
        self.say(bad, self.working())
        self.say(good, self.working(transport="local"), *self.outcome())
        bad.kill(1)
        self.assertTrue(self.elsewhere.claim(ID, 3, "local", self.taken.append))
        self.assertEqual(self.taken, [SENT])
        self.assertEqual(self.elsewhere._held, {})


class KeptTests(HostileCase):
    """
    Outcomes of mail that nobody has asked for yet, or never will.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(elsewhere_module, "MAX_KEPT", 100_000)

    def fill(self, pair: Pair, outcome: Outcome, transport: str = "smtp") -> int:
        """
        @return: how many it got rid of.
        """
        for key in range(200):
            queue_id = f"X{id(pair)}X{key}"
            self.say(
                pair,
                self.working(key, transport, queue_id),
                *self.outcome(key, outcome),
            )
            if pair._links[0] is None:
                return key
        return 200

    def test_bounded(self) -> None:
        """
        What one role may have kept is bounded, long reasons and all, also over
        the end of one process and the next.
        """
        long = replace(SENT, reason="x" * 5000)
        count = self.fill(self.process(self.smtp), long)
        self.assertLess(count, 20)
        self.assertIn("smtp.1 dropped", self.warned[0])
        self.assertEqual(self.fill(self.process(self.smtp), long), 0)
        # Those of others count apart.
        self.assertGreater(self.fill(self.process(self.local), SENT, "local"), 100)

    def test_addresses_count(self) -> None:
        """
        So do the addresses of forwards, long ones and many.
        """
        for address, count in (("x" * 300, 80), ("x", 300)):
            forward = Forward("s", (address,) * count, b"")
            pair = self.process(self.local)
            told = self.fill(pair, replace(SENT, forward=(forward,)), "local")
            self.assertLess(told, 5)

    def test_refused_is_not_held(self) -> None:
        """
        A recipient whose outcome is refused is in nobody's hand.
        """
        pair = self.process(self.smtp)
        key = self.fill(pair, replace(SENT, reason="x" * 5000))
        for n, kept in ((key - 1, True), (key, False)):
            queue_id = f"X{id(pair)}X{n}"
            claimed = self.elsewhere.claim(queue_id, 3, "smtp", self.taken.append)
            self.assertEqual(claimed, kept)

    def test_room_again(self) -> None:
        """
        What was asked for makes room.
        """
        long = replace(SENT, reason="x" * 5000)
        pair = self.process(self.smtp)
        for key in range(100):
            queue_id = f"X{key}"
            self.say(
                pair, self.working(key, "smtp", queue_id), *self.outcome(key, long)
            )
            self.assertTrue(
                self.elsewhere.claim(queue_id, 3, "smtp", self.taken.append)
            )
        self.assertEqual(self.taken, [long] * 100)
        self.assertEqual(self.warned, [])


def no_content(key: int, queue_id: str) -> IContent:
    raise AssertionError("nobody reads it")


def ignore(key: int) -> None:
    """
    Nobody joins.
    """


class RequestTests(SynchronousTestCase):
    """
    A queue manager that was taken over, and asks for a delivery without end.
    """

    def test_long_addresses(self) -> None:
        """
        What an agent gathers of one request is bounded in characters, too, and
        no honest one is asked for that would not be taken.
        """
        reader = RequestReader(no_content, ignore)
        self.patch(wire_module, "MAX_ADDRESSES", 1_000_000)
        address = "x" * (MAX_TEXTS - 1)
        count = 0
        with self.assertRaises(BadDelivery):
            for count in range(1000):
                one = [[count, address]]
                reader.part({"t": "recipients", "key": 1, "recipients": one})
        self.assertLess(count, 45)
        many = [Recipient(n, "x" * 700, "x" * 700) for n in range(PART + 250)]
        self.assertRaises(BadDelivery, encode_request, 1, make_request(*many))
        few = many[: PART + 200]
        reader = RequestReader(no_content, ignore)
        *parts, last = encode_request(1, make_request(*few))
        for part in parts:
            reader.part(part)
        self.assertEqual(len(reader.whole(last)[1].recipients), len(few))

    def test_requests_count_apart(self) -> None:
        reader = RequestReader(no_content, ignore)
        self.patch(wire_module, "MAX_ADDRESSES", 1_000_000)
        for _ in range(5):
            many = [Recipient(n, "x" * 600, "x" * 600) for n in range(PART + 200)]
            *parts, last = encode_request(1, make_request(*many))
            for part in parts:
                reader.part(part)
            reader.whole(last)
