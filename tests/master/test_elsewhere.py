"""
Tests for L{txmta.master.elsewhere}, and for what processes that deliver may
say of their work.
"""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.master.pairs import Pair
from tests.master.test_wire import make_request
from tests.master.test_wire_reports import SENT
from txmta.errors import StoreUnavailable
from txmta.master import elsewhere as elsewhere_module
from txmta.master.elsewhere import PATIENCE, WorkElsewhere
from txmta.master.frames import Record
from txmta.master.link import Link
from txmta.master.records import Schema
from txmta.master.remote_agent import RemoteAgents
from txmta.master.remote_end import Carry
from txmta.master.wire_fields import CheckedByReader
from txmta.master.wire_reports import encode_outcome
from txmta.master.wire_work import OWN_KEYS, InHandElsewhere, encode_working
from txmta.model import Action, DeliveryRequest, Forward, Outcome, Recipient

ID = "4cQzBn0dLYz1s"
KEY = OWN_KEYS + 5


class ElsewhereCase(SynchronousTestCase):
    """
    A queue manager with processes for smtp and local, which the test plays.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.time = cast(IReactorTime, self.clock)
        self.warned: list[str] = []
        self.taken: list[Outcome | None] = []
        self.descriptors: list[int] = []
        self.elsewhere = WorkElsewhere(self.time)
        self.smtp = self.group("smtp", onward=False)
        self.local = self.group("local", onward=True)

    def group(
        self, name: str, onward: bool, carry: Carry | None = None
    ) -> RemoteAgents:
        group = RemoteAgents(self.time, self.warned.append, self.elsewhere, carry)
        self.agent = group.agent(name, name, onward)
        return group

    def process(self, group: RemoteAgents, carriers: tuple[str, ...] = ()) -> Pair:
        """
        @return: C{links[1]} is the end that the test plays.
        """

        def took(record: Record) -> None:
            if carriers:
                self.descriptors.append(link.take_descriptor())

        link = Link(
            "qmgr",
            {
                "hello": (Schema({}), lambda record: None),
                "left": (Schema({}), lambda record: None),
                "deliver": (CheckedByReader(), took),
                "recipients": (CheckedByReader(), lambda record: None),
            },
            self.time,
            lost=lambda reason: None,
            carriers=carriers,
        )
        return Pair(self.clock, group.link("smtp.1"), link)

    def say(self, pair: Pair, *records: Record) -> None:
        link = pair._links[1]
        assert link is not None
        for record in records:
            link.send(record)
        pair.run()

    def working(self, transport: str = "smtp", key: int = KEY) -> Record:
        each = InHandElsewhere(key, ID, transport, "x.example", [3])
        return next(iter(encode_working(each)))

    def claim(self, transport: str = "smtp", n: int = 3) -> bool:
        return self.elsewhere.claim(ID, n, transport, self.taken.append)


class ReadyTests(ElsewhereCase):
    def test_nobody(self) -> None:
        self.assertIsNone(self.elsewhere.ready())

    def test_all_answer(self) -> None:
        one, other = self.process(self.smtp), self.process(self.local)
        ready = self.elsewhere.ready()
        assert ready is not None
        self.say(one, {"t": "worked"})
        self.assertNoResult(ready)
        other.kill(1)
        self.successResultOf(ready)
        self.assertIsNone(self.elsewhere.ready())

    def test_not_for_ever(self) -> None:
        self.process(self.smtp)
        ready = self.elsewhere.ready()
        assert ready is not None
        self.clock.advance(PATIENCE - 0.1)
        self.assertNoResult(ready)
        self.clock.advance(0.2)
        self.successResultOf(ready)


class HoldTests(ElsewhereCase):
    def test_kept(self) -> None:
        """
        An outcome that came before anybody asked is there when somebody does,
        and once.
        """
        pair = self.process(self.smtp)
        done: Record = {"t": "done", "key": KEY}
        self.say(pair, self.working(), *encode_outcome(KEY, SENT), done)
        self.assertFalse(self.claim(n=4))
        self.assertTrue(self.claim())
        self.assertEqual(self.taken, [SENT])
        self.assertFalse(self.claim())
        self.assertEqual(self.elsewhere._held, {})

    def test_later(self) -> None:
        pair = self.process(self.smtp)
        self.say(pair, self.working())
        self.assertTrue(self.claim())
        self.assertEqual(self.taken, [])
        self.say(pair, *encode_outcome(KEY, SENT))
        self.assertEqual(self.taken, [SENT])
        self.assertEqual(self.elsewhere._held, {})

    def test_given_up(self) -> None:
        """
        Whoever waits hears of it; whoever asks later finds nothing.
        """
        for ends in ("done", "lost"):
            for asked in (True, False):
                self.taken.clear()
                pair = self.process(self.smtp)
                self.say(pair, self.working())
                if asked:
                    self.claim()
                if ends == "done":
                    self.say(pair, {"t": "done", "key": KEY})
                else:
                    pair.kill(1)
                self.assertEqual(self.taken, [None] if asked else [])
                self.assertFalse(self.claim())
                self.assertEqual(self.elsewhere._held, {})

    def test_of_another_role(self) -> None:
        """
        Who sends mail on cannot hold up local users' mail, nor say that they
        got it.
        """
        pair = self.process(self.smtp)
        self.say(pair, self.working(), *encode_outcome(KEY, SENT))
        self.assertFalse(self.claim("local"))
        self.assertFalse(self.claim("unknown"))
        self.assertEqual(self.taken, [])


class LieTests(ElsewhereCase):
    def refused(self, *records: Record, group: RemoteAgents | None = None) -> None:
        """
        The link ends at the last record, with a line in the log.
        """
        pair = self.process(group or self.smtp)
        self.say(pair, *records[:-1])
        self.assertEqual(self.warned, [])
        self.say(pair, records[-1])
        (line,) = self.warned
        self.assertIn("smtp.1", line)
        self.assertEqual(self.elsewhere._held, {})
        self.warned.clear()

    def test_working(self) -> None:
        self.elsewhere.ready()
        self.refused(self.working("local"))
        self.refused(self.working(key=OWN_KEYS - 1))
        self.refused({"t": "worked"}, self.working())
        self.refused(self.working(), {**self.working(), "queue_id": "A"})
        self.refused({"t": "hello"})

    def test_too_much(self) -> None:
        """
        What one process may have in hand is bounded.
        """
        self.patch(elsewhere_module, "MAX_HELD", 10)
        records = [{**self.working(), "numbers": [n]} for n in range(11)]
        self.refused(*records)

    def test_memory(self) -> None:
        """
        As much as one process may tell of takes at most 40 MB here.
        """
        count = 5000
        numbers = [*range(count)]
        each = InHandElsewhere(KEY, ID, "smtp", "x.example", numbers)
        records = [*encode_working(each)]
        process = self.process(self.smtp)
        self.elsewhere.ready()
        self.say(process)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.say(process, *records)
        for number in numbers:
            self.assertTrue(self.claim(n=number))
        used, _ = tracemalloc.get_traced_memory()
        self.assertLess(used / count * elsewhere_module.MAX_HELD, 40e6)

    def test_unknown(self) -> None:
        """
        Nobody asked for it.
        """
        for key in (1, KEY):
            (outcome,) = encode_outcome(key, SENT)
            self.refused(outcome)
            self.refused({"t": "done", "key": key})
            failed = {"t": "failed", "key": key, "kind": "agent", "reason": "x"}
            self.refused(failed)
            forward = replace(SENT, forward=(Forward("s", ("a",), b""),))
            self.refused(encode_outcome(key, forward)[0])
        self.refused({"t": "joins", "key": 1})

    def test_done(self) -> None:
        """
        The end of a delivery names it, and says nothing else.
        """
        bad: object
        for bad in (None, -1, 1 << 53, "1", 1.0, True, [KEY]):
            self.refused(self.working(), {"t": "done", "key": bad})
        self.refused(self.working(), {"t": "done"})
        self.refused(self.working(), {"t": "done", "key": KEY, "more": 1})

    def test_beyond_its_role(self) -> None:
        """
        An smtp process makes no new messages, neither in its deliveries nor in
        those that it says it had.
        """
        forward = replace(SENT, forward=(Forward("s", ("a",), b""),))
        records = encode_outcome(KEY, forward)
        self.refused(self.working(), records[0])
        pair = self.process(self.local)
        self.say(pair, self.working("local"), *records)
        self.assertTrue(self.claim("local"))
        self.assertEqual(self.taken, [forward])

    def test_twice(self) -> None:
        (outcome,) = encode_outcome(KEY, SENT)
        pair = self.process(self.smtp)
        self.say(pair, self.working(), outcome, outcome)
        self.assertEqual(len(self.warned), 1)

    def test_joins_twice(self) -> None:
        """
        A delivery gives up its place at the destination once.
        """
        joined: list[None] = []
        self.elsewhere.ready()
        pair = self.process(self.smtp)
        agent = self.smtp.agent("smtp", "smtp", onward=False)
        self.say(pair, {"t": "worked"})
        request = make_request(joins=lambda: joined.append(None))
        agent.deliver(request, self.taken.append)
        self.say(pair, {"t": "joins", "key": 0}, {"t": "joins", "key": 0})
        self.assertEqual(joined, [None])

    def test_of_others(self) -> None:
        """
        One process says nothing of what another has in hand.
        """
        self.elsewhere.ready()
        one, other = self.process(self.smtp), self.process(self.smtp)
        self.say(one, {"t": "worked"})
        self.group("smtp", onward=False)
        reported: list[Outcome] = []
        agent = self.smtp.agent("smtp", "smtp", onward=False)
        ending = agent.deliver(make_request(Recipient(3, "a", "a")), reported.append)
        one.run()
        self.say(other, {"t": "worked"}, *encode_outcome(0, SENT))
        self.assertEqual(reported, [])
        self.assertEqual(len(self.warned), 1)
        self.assertNoResult(ending)
        self.say(one, *encode_outcome(0, SENT), {"t": "done", "key": 0})
        self.assertEqual(reported, [SENT])
        self.successResultOf(ending)


class CarryTests(ElsewhereCase):
    """
    The content goes with the request, for those who cannot read the queue.
    """

    def deliver(
        self, carry: Callable[[DeliveryRequest], int | Deferred[int]]
    ) -> tuple[Pair, Deferred[None], list[Outcome]]:
        group = self.group("mailbox", True, carry)
        agent = self.agent
        pair = self.process(group, ("deliver",))
        self.elsewhere.ready()
        self.say(pair, {"t": "worked"})
        reported: list[Outcome] = []
        ending = agent.deliver(make_request(Recipient(3, "a", "a")), reported.append)
        pair.run()
        return pair, ending, reported

    def content(self) -> int:
        descriptor = os.memfd_create("test")
        os.write(descriptor, b"content")
        return descriptor

    def test_goes_along(self) -> None:
        for later in (True, False):
            made = self.content()
            pair, ending, reported = self.deliver(
                lambda request, made=made, later=later: (  # type: ignore[misc]
                    succeed(made) if later else made
                )
            )
            descriptor = self.descriptors.pop()
            self.assertEqual(os.pread(descriptor, 100, 0), b"content")
            os.close(descriptor)
            self.assertRaises(OSError, os.fstat, made)
            key = cast(int, pair.passed[-1]["key"])
            self.say(pair, *encode_outcome(key, SENT), {"t": "done", "key": key})
            self.successResultOf(ending)
            self.assertEqual(reported, [SENT])
            pair.kill(1)

    def test_no_content(self) -> None:
        """
        Trouble of the queue is told as it is.
        """

        def broken(request: DeliveryRequest) -> int:
            raise StoreUnavailable("the disk is gone")

        def late(request: DeliveryRequest) -> Deferred[int]:
            return fail(StoreUnavailable("the disk is gone"))

        for carry in (broken, late):
            pair, ending, _reported = self.deliver(carry)
            self.failureResultOf(ending, StoreUnavailable)
            pair.kill(1)

    def test_process_ended(self) -> None:
        """
        Content that comes when the process has ended is closed; another one
        gets its own.
        """
        waiting: list[Deferred[int]] = []

        def carry(request: DeliveryRequest) -> Deferred[int]:
            waiting.append(Deferred())
            return waiting[-1]

        pair, ending, _reported = self.deliver(carry)
        pair.kill(1)
        made = self.content()
        waiting[0].callback(made)
        self.assertRaises(OSError, os.fstat, made)
        self.assertNoResult(ending)
        self.clock.advance(60)
        self.failureResultOf(ending)


class ActionTests(ElsewhereCase):
    def test_delayed_counts_once(self) -> None:
        """
        An outcome that puts a recipient off counts for one attempt only.
        """
        delayed = replace(SENT, action=Action.DELAYED, status="4.2.0")
        pair = self.process(self.smtp)
        self.say(pair, self.working(), *encode_outcome(KEY, delayed))
        self.assertTrue(self.claim())
        self.assertFalse(self.claim())
