from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from tests.master.test_wire import ODD, changed, refused, through
from txmta.errors import MailError, MessageDamaged, StoreUnavailable
from txmta.master.frames import MAX_FRAME, encode
from txmta.master.wire_fields import MAX_TEXTS, PART, BadDelivery, Record, key_of
from txmta.master.wire_reports import (
    MAX_ADDRESSES,
    MAX_FORWARDS,
    Awaited,
    decode_failed,
    encode_failed,
    encode_outcome,
)
from txmta.master.wire_work import InHandElsewhere, decode_working, encode_working
from txmta.model import Action, AddressClass, Branch, Forward, Outcome, Route

SENT = Outcome(3, Action.RELAYED, "2.0.0", "250 2.0.0 Ok", "x[192.0.2.1]:25")
ROUTE = Route(AddressClass.LOCAL, "lmtp", "unix:socket", "a@example.com", True)


class OutcomeTests(SynchronousTestCase):
    def take(self, records: list[Record], awaited: Awaited) -> Outcome:
        *forwards, last = through(records)
        for record in forwards:
            self.assertEqual(record["t"], "forward")
            awaited.forward(record)
        return awaited.outcome(last)

    def same(self, outcome: Outcome) -> list[Record]:
        records = encode_outcome(7, outcome)
        awaited = Awaited([1, outcome.n], True)
        self.assertEqual(self.take(records, awaited), outcome)
        self.assertEqual(awaited.left, {1})
        return records

    def test_one(self) -> None:
        """
        The usual outcome is one record.
        """
        self.assertEqual(len(self.same(SENT)), 1)

    def test_every_field(self) -> None:
        """
        Nothing of an outcome is lost on the way.
        """
        self.same(
            Outcome(
                3,
                Action.FAILED,
                "5.1.1",
                f"said {ODD}",
                "x[192.0.2.1]:25",
                "x",
                "smtp; 550 no",
                0.25,
                1.5,
                7,
                (Forward("", ("a", ODD), b"X: \xff\r\n", 8, "o", "p", True),),
                True,
                ROUTE,
                "owner@example.com",
            )
        )

    def test_every_action(self) -> None:
        for action in Action:
            self.same(replace(SENT, action=action))

    def test_many_forwards(self) -> None:
        """
        Long lists of addresses go in records of at most 500.
        """
        addresses = tuple(f"{n}@example.com" for n in range(2 * PART + 1))
        forwards = (Forward("s", addresses, b""), Forward("t", ("u",), b"h"))
        self.same(replace(SENT, forward=forwards))
        longest = tuple("\U0001f600" * 250 for _ in range(PART))
        head = b"\x00" * MAX_TEXTS
        sender = "\U0001f600" * MAX_TEXTS
        largest = (Forward(sender, longest, head),)
        for record in encode_outcome(7, replace(SENT, forward=largest)):
            self.assertLess(len(encode([record])), MAX_FRAME)

    def test_mended(self) -> None:
        """
        Words that no log line can hold are mended, not refused: the recipient
        has its outcome.
        """
        for name in ("reason", "relay", "remote", "diagnostic"):
            for text in ("a\r\nb\0", "\ud800", "x" * 100_000):
                outcome = changed(SENT, name, text)
                taken = self.take(encode_outcome(7, outcome), Awaited([3], False))
                self.assertEqual(taken.n, 3)
        for odd in (-1.0, math.nan, math.inf):
            outcome = replace(SENT, setup=odd, transmission=odd)
            taken = self.take(encode_outcome(7, outcome), Awaited([3], False))
            self.assertGreaterEqual(taken.setup, 0)
        taken = self.take(
            encode_outcome(7, replace(SENT, status="good")), Awaited([3], False)
        )
        self.assertEqual(taken.status, "")

    def test_none(self) -> None:
        """
        What an agent reports may be anything.
        """
        few = tuple(Forward("s", ("a",), b"") for _ in range(MAX_FORWARDS + 1))
        many = tuple("a" for _ in range(MAX_ADDRESSES + 1))
        for bad in (
            None,
            3,
            replace(SENT, n=cast(int, "3")),
            replace(SENT, n=-1),
            replace(SENT, action=cast(Action, "relayed")),
            replace(SENT, reason=cast(str, None)),
            replace(SENT, bounce_to="a\nb"),
            replace(SENT, reroute=replace(ROUTE, nexthop="a\nb")),
            replace(SENT, reroute=replace(ROUTE, recipient=cast(str, 1))),
            replace(SENT, conn_use=-1),
            replace(SENT, forward=few),
            replace(SENT, forward=(Forward("s", many, b""),)),
            replace(SENT, forward=(Forward("s", (), b""),)),
            replace(SENT, forward=(Forward("s", ("",), b""),)),
            replace(SENT, forward=(Forward("s", ("a\n",), b""),)),
            replace(SENT, forward=(Forward("s", ("a",), cast(bytes, "b")),)),
        ):
            self.assertRaises(BadDelivery, encode_outcome, 7, cast(Outcome, bad))


class LieTests(SynchronousTestCase):
    """
    Whoever sends outcomes may be in the hands of somebody else.
    """

    def test_every_field(self) -> None:
        branches = (Branch("a@b.test", True, "2.0.0", "delivers to mailbox"),)
        (record,) = encode_outcome(7, replace(SENT, reroute=ROUTE, branches=branches))
        refused(
            self,
            record,
            lambda bad: (key_of(bad), Awaited([3], True).outcome(bad)),
            # No route at all; no branches.
            (("outcome", 13), None),
            (("outcome", 14), []),
            (("outcome", 14, 0), "missing"),
        )

    def test_many_branches(self) -> None:
        """
        Not more than a report can be expected to tell.
        """
        branch = Branch("a@b.test", False, "5.1.1", "unknown user")
        many = replace(SENT, branches=(branch,) * 101)
        self.assertRaises(BadDelivery, encode_outcome, 7, many)
        (record,) = encode_outcome(7, replace(SENT, branches=(branch,) * 100))
        found = Awaited([3], True).outcome(record)
        self.assertEqual(found.branches, (branch,) * 100)

    def test_forward(self) -> None:
        forward = Forward("s", ("a", "b"), b"h", 1, "o", "p", True)
        record, _ = encode_outcome(7, replace(SENT, forward=(forward,)))

        def take(bad: Record) -> None:
            key_of(bad)
            Awaited([3], True).forward(bad)

        refused(
            self,
            record,
            take,
            # The addresses of a list are as many as they are.
            (("addresses", 0), "missing"),
            (("addresses", 1), "missing"),
            # It goes on with the one before.
            (("head",), None),
            *[(("head", 3), value) for value in ("x\ny", "\ud800")],
        )
        record["head"][3] = "\u0100"
        awaited = Awaited([3], True)
        awaited.forward(record)
        last = encode_outcome(7, replace(SENT, forward=(forward,)))[1]
        self.assertRaises(BadDelivery, awaited.outcome, last)

    def test_whose(self) -> None:
        """
        A recipient is one of the request, and has one outcome.
        """
        (record,) = encode_outcome(7, SENT)
        self.assertRaises(BadDelivery, Awaited([1, 2], False).outcome, record)
        awaited = Awaited([3], False)
        awaited.outcome(record)
        self.assertRaises(BadDelivery, awaited.outcome, record)

    def test_beyond_its_role(self) -> None:
        """
        Who only sends mail on makes no new mail, and chooses no other way.
        """
        forward = Forward("s", ("a",), b"")
        for outcome in (
            replace(SENT, forward=(forward,)),
            replace(SENT, reroute=ROUTE),
            replace(SENT, bounce_to="somebody@example.com"),
        ):
            records = encode_outcome(7, outcome)
            awaited = Awaited([3], False)
            take = awaited.forward if len(records) > 1 else awaited.outcome
            self.assertRaises(BadDelivery, take, records[0])

    def test_forwards_do_not_fit(self) -> None:
        """
        Forwards belong to one recipient, and all of them come.
        """
        forward = Forward("s", ("a",), b"")
        first, last = encode_outcome(7, replace(SENT, forward=(forward,)))
        (plain,) = encode_outcome(7, SENT)
        other = {**first, "n": 4}
        self.assertRaises(BadDelivery, Awaited([3], True).outcome, last)
        awaited = Awaited([3, 4], True)
        awaited.forward(first)
        self.assertRaises(BadDelivery, awaited.outcome, plain)
        self.assertRaises(BadDelivery, awaited.forward, other)
        awaited = Awaited([3, 4], True)
        awaited.forward(other)
        self.assertRaises(BadDelivery, awaited.outcome, last)
        awaited = Awaited([3], True)
        self.assertRaises(BadDelivery, awaited.forward, {**first, "head": None})
        self.assertRaises(BadDelivery, awaited.forward, {**first, "n": 5})

    def test_without_end(self) -> None:
        """
        Forwards are gathered up to a bound.
        """
        forward = Forward("s", tuple("a" * PART), b"")
        first, _ = encode_outcome(7, replace(SENT, forward=(forward,)))
        awaited = Awaited([3], True)

        def endless(records: list[Record]) -> None:
            for record in records:
                awaited.forward(record)

        count = MAX_ADDRESSES // PART + 1
        again = [{**first, "addresses": list("a" * PART)} for _ in range(count)]
        self.assertRaises(BadDelivery, endless, again)
        awaited = Awaited([3], True)
        small = [{**first, "addresses": ["a"]} for _ in range(MAX_FORWARDS + 1)]
        self.assertRaises(BadDelivery, endless, small)


class FailedTests(SynchronousTestCase):
    def through(self, error: Exception) -> MailError:
        (record,) = through([encode_failed(7, error)])
        return decode_failed(record, "4cQzBn0dLYz1s")

    def test_kinds(self) -> None:
        """
        Trouble of the queue and damage stay what they are; all else is the
        agent's.
        """
        error = self.through(StoreUnavailable("disk"))
        self.assertIsInstance(error, StoreUnavailable)
        self.assertEqual(str(error), "disk")
        error = self.through(MessageDamaged("4cQzBn0dLYz1s", "checksum"))
        self.assertIsInstance(error, MessageDamaged)
        self.assertEqual(str(error), "4cQzBn0dLYz1s: checksum")
        error = self.through(KeyError("x\ny\ud800" * 5000))
        self.assertIs(type(error), MailError)
        self.assertEqual(str(self.through(ValueError())), "ValueError: ")

    def test_lies(self) -> None:
        record = encode_failed(7, StoreUnavailable("disk"))
        record["kind"] = "other"
        self.assertRaises(BadDelivery, decode_failed, record, "x")
        record["kind"] = ["queue"]
        self.assertRaises(BadDelivery, decode_failed, record, "x")
        record = encode_failed(7, StoreUnavailable("disk"))
        self.assertRaises(BadDelivery, decode_failed, {**record, "n": 1}, "x")
        del record["reason"]
        self.assertRaises(BadDelivery, decode_failed, record, "x")


class WorkingTests(SynchronousTestCase):
    def test_parts(self) -> None:
        """
        Many recipients go in records of at most 500.
        """
        numbers = list(range(2 * PART + 1))
        each = InHandElsewhere(7, "4cQzBn0dLYz1s", "smtp", "example.com", numbers)
        parts = [decode_working(r) for r in through(list(encode_working(each)))]
        self.assertEqual(len(parts), 3)
        self.assertEqual([n for part in parts for n in part.numbers], numbers)
        for part in parts:
            self.assertEqual(part._replace(numbers=numbers), each)

    def test_lies(self) -> None:
        each = InHandElsewhere(7, "4cQzBn0dLYz1s", "smtp", "example.com", [1, 2])
        (record,) = encode_working(each)
        refused(
            self,
            record,
            decode_working,
            (("numbers", 0), "missing"),
            (("numbers", 1), "missing"),
            (("numbers", 0), "more"),
            (("numbers", 1), "more"),
        )
