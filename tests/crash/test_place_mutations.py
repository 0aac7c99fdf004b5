"""
The harness notices a server that breaks its promise on the way to mailbox
files, forwards and bounces (L{tests.crash.place_mutations}).
"""

from __future__ import annotations

from tests.crash import order
from tests.crash.case import CrashCase
from tests.crash.faults import Point
from tests.crash.mails import Mail
from tests.crash.place_mutations import PLACE_MUTATIONS
from tests.crash.place_scenarios import FILES, FailingPlaces, PlaceCuts, Places
from tests.crash.places import PLACES, PlacesSite
from tests.crash.power import writeback
from tests.crash.test_order import OrderCase
from tests.crash.test_power import PowerCase

_NAMED = {mail.name: mail for mail in PLACES}
_BOX = _NAMED["box"]

#: Attempts until a mutation must have been noticed.
ATTEMPTS = 12

#: Writes of the queue at which a server is killed; a message takes a dozen.
WRITES = range(5, 150, 6)

_LATE = "the file was not on disk before the recipient was recorded"


class AppendingTests(OrderCase):
    make = PlacesSite

    def test_order(self) -> None:
        """
        A mailbox file is on disk before the recipient is recorded.
        """
        seen = self.watch(_BOX)
        self.assertEqual(order.accepting(seen, large=False), [])
        self.assertEqual(order.appending(seen), [])

    def test_no_fsync_of_mbox(self) -> None:
        """
        A mailbox file that is not synced is noticed.
        """
        self.assertEqual(order.appending(self.watch(_BOX, "no_fsync_of_mbox")), [_LATE])

    def test_recorded_before_mbox_fsync(self) -> None:
        """
        A recipient recorded before the file is written is noticed.
        """
        seen = self.watch(_BOX, "recorded_before_mbox_fsync")
        self.assertEqual(order.appending(seen), [_LATE])


class KillTests(CrashCase):
    def noticed(self, mutation: str, mail: Mail) -> None:
        scenario = Places(mutation, [mail])
        for n in WRITES:
            with self.site(scenario.place) as site:
                scenario.kill(site, Point("queue-writer", "pwrite64", n))
                if scenario.finish(site).lost:
                    return
        self.fail("not noticed")

    def test_forward_apart(self) -> None:
        """
        A forward that is not in the transaction that ends the old recipient
        is lost by a kill between the two.
        """
        self.noticed("forward_apart", _NAMED["forward"])

    def test_bounce_apart(self) -> None:
        """
        So is a bounce that is not in the transaction of the recipients.
        """
        self.noticed("bounce_apart", _NAMED["failed"])


class ErrorTests(CrashCase):
    def test_no_undo_in_mbox(self) -> None:
        """
        What is left of a message that could not be written is noticed.
        """
        scenario = FailingPlaces("no_undo_in_mbox")
        with self.site(scenario.place) as site:
            points = [
                point
                for point in scenario.count(site)
                if point.call == "write" and point.what in FILES
            ]
        for point in points:
            with self.site(scenario.place) as site:
                scenario.fail(site, point, "ENOSPC")
                scenario.mends(site)
                verdict = scenario.finish(site)
                if verdict.begun or not verdict.kept:
                    return
        self.fail("not noticed")


class CutTests(PowerCase):
    make = PlaceCuts

    def noticed(self, mutation: str, seed: int) -> None:
        with writeback("0"), self.cuts(True, seed) as power:
            for verdict in power.run(ATTEMPTS, mutation):
                if not verdict.kept:
                    return
        self.fail("not noticed")

    def test_no_fsync_of_mbox(self) -> None:
        """
        A mailbox file that is not synced: the last message is in no queue and
        in no mailbox.
        """
        self.noticed("no_fsync_of_mbox", 11)

    def test_recorded_before_mbox_fsync(self) -> None:
        """
        A recipient recorded before the file is written.
        """
        self.noticed("recorded_before_mbox_fsync", 12)


class AllTests(CrashCase):
    def test_all(self) -> None:
        """
        No mutation is without a test.
        """
        cases = (AppendingTests, KillTests, ErrorTests)
        for name in PLACE_MUTATIONS:
            self.assertTrue(any(hasattr(case, f"test_{name}") for case in cases), name)
