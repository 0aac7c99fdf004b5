"""
L{txmta.delivery.generic}
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import Table
from tests.delivery.generic_doubles import GenericWorld
from txmta.delivery.generic import NotMapped, as_told
from txmta.model import LOCAL_CLIENT, Envelope, Recipient


class MapTests(SynchronousTestCase):
    def world(self, entries: dict[str, str], **more: object) -> GenericWorld:
        local, propagate = ["here.test"], bool(more.get("propagate", True))
        return GenericWorld([Table(entries)], "origin.test", local, propagate)

    def mapped(self, world: GenericWorld, address: str) -> str:
        return self.successResultOf(world.map(address))

    def test_keys(self) -> None:
        """
        user@domain, user for domains of ours, @domain; each goes to all tables
        before the next.
        """
        entries = {"a@b.test": "x@m.test", "c": "y@m.test", "@b.test": "@n.test"}
        world = self.world(entries)
        for address, found in (
            ("a@b.test", "x@m.test"),
            ("d@b.test", "d@n.test"),
            ("c@here.test", "y@m.test"),
            ("c@origin.test", "y@m.test"),
            ("c@else.test", "c@else.test"),
            ("q r@b.test", "q r@n.test"),
        ):
            self.assertEqual(self.mapped(world, address), found)
        first, second = Table({"@b.test": "@one.test"}), Table({"a@b.test": "two@m"})
        world = GenericWorld([first, second])
        self.assertEqual(self.mapped(world, "a@b.test"), "two@m")

    def test_extensions(self) -> None:
        """
        One that no table has goes to the result, if that is wanted.
        """
        entries = {"a@b.test": "x@m.test", "c+e@b.test": "y@m.test", "d@b.test": "@n"}
        for propagate, expected in ((True, "x+e@m.test"), (False, "x@m.test")):
            world = self.world(entries, propagate=propagate)
            self.assertEqual(self.mapped(world, "a+e@b.test"), expected)
            self.assertEqual(self.mapped(world, "c+e@b.test"), "y@m.test")
        self.assertEqual(self.mapped(self.world(entries), "d+e@b.test"), "d+e@n")

    def test_once(self) -> None:
        """
        What comes out is not looked up again.
        """
        world = self.world({"a@b.test": "c@b.test", "c@b.test": "d@b.test"})
        self.assertEqual(self.mapped(world, "a@b.test"), "c@b.test")

    def test_many(self) -> None:
        world = self.world({"a@b.test": "x@m.test, y@m.test"})
        self.assertEqual(self.mapped(world, "a@b.test"), "x@m.test")
        self.assertEqual(
            world.warnings, ["multi-valued smtp_generic_maps result for a@b.test"]
        )

    def test_trouble(self) -> None:
        """
        An address that may have to be hidden does not leave as it is.
        """
        world = GenericWorld([Table({}, broken=True)])
        self.failureResultOf(world.map("a@b.test"), NotMapped)
        self.assertIn("map lookup problem for a@b.test", world.warnings[0])
        world = self.world({"a@b.test": ","})
        self.failureResultOf(world.map("a@b.test"), NotMapped)
        self.assertIn('returns non-address result ","', world.warnings[0])

    def test_envelope(self) -> None:
        """
        The null sender stays.
        """
        world = self.world({"a@b.test": "x@m.test"})
        recipients = (
            Recipient(3, "a@b.test", "o@b.test"),
            Recipient(5, "c@d.test", ""),
        )
        envelope = Envelope("Q", 0.0, "", recipients, LOCAL_CLIENT)
        made = Deferred.fromCoroutine(world.generic.envelope(envelope, recipients))
        sender, addresses = self.successResultOf(made)
        self.assertEqual((sender, addresses), ("", {3: "x@m.test", 5: "c@d.test"}))
        told = as_told(recipients[0], addresses)
        self.assertEqual(told, replace(recipients[0], address="x@m.test"))
