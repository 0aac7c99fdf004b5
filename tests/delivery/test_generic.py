"""
L{txmta.delivery.generic}
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.delivery.doubles import Content, Table
from tests.delivery.generic_doubles import GenericWorld
from txmta.delivery.generic import BLOCK, MAX_HEAD, NotMapped, as_told
from txmta.interfaces import IContent, ITable
from txmta.model import LOCAL_CLIENT, Envelope, Recipient


@implementer(ITable)
class Slow:
    """
    A table that answers when the test says so.
    """

    def __init__(self) -> None:
        self.answers: list[Deferred[str | None]] = []

    def lookup(self, key: str) -> Deferred[str | None]:
        self.answers.append(Deferred())
        return self.answers[-1]


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


class HeaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = GenericWorld([Table({"a@b.test": "xy@mapped.test"})])

    def rewritten(self, octets: bytes) -> bytes:
        return self.successResultOf(self.world.content(Content(octets)))

    def test_in_place(self) -> None:
        """
        Only the octets of an address that changes; the body stays.
        """
        before = (
            b"Received: by a@b.test\r\n"
            b'FROM:  "A, B" (c) <a@b.test> ,\r\n\tc@d.test\r\n'
            b"To : g: a@b.test,(x)a@b.test;\r\n"
            b"X-To: a@b.test\r\n"
            b"Resent-Reply-To: <@r.test:a@b.test>\r\n"
            b"Cc: a@b.test c@d.test\r\n"
            b"\r\n"
            b"To: a@b.test\r\n"
        )
        after = (
            before.replace(b"<a@b", b"<xy@mapped", 1)
            .replace(b"g: a@b.test,(x)a@b", b"g: xy@mapped.test,(x)xy@mapped")
            .replace(b"@r.test:a@b", b"xy@mapped")
        )
        self.assertEqual(self.rewritten(before), after)

    def test_nothing(self) -> None:
        """
        Where nothing changes, it is the message as it was.
        """
        for octets in (
            b"",
            b"\r\n",
            b"To: c@d.test\r\n",
            b"no header a@b.test\r\nTo: a@b.test\r\n\r\n",
            b"X: y\r\n\r\nTo: a@b.test\r\n",
        ):
            content = Content(octets)
            made = Deferred.fromCoroutine(self.world.generic.content(content))
            self.assertIs(self.successResultOf(made), content)

    def test_no_end(self) -> None:
        """
        Headers may be all that there is, and a line that is none ends them.
        """
        for rest in (b"", b"no header\r\n", b"no header\r\n\r\nTo: a@b.test\r\n"):
            found = self.rewritten(b"To: a@b.test\r\n" + rest)
            self.assertEqual(found, b"To: xy@mapped.test\r\n" + rest)

    def test_read(self) -> None:
        """
        The message in pieces, wherever they begin and end.
        """
        head, body = b"To: a@b.test\r\n\r\n", bytes(range(256)) * 3
        content = Content(head + body)
        made = Deferred.fromCoroutine(self.world.generic.content(content))
        new = self.successResultOf(made)
        self.assertTrue(verifyObject(IContent, new))
        expected = b"To: xy@mapped.test\r\n\r\n" + body
        self.assertEqual(new.size, len(expected))
        for offset in range(0, len(expected) + 5, 7):
            for length in (0, 1, 19, 64, 5000):
                octets = new.read(offset, length)
                self.assertEqual(octets, expected[offset : offset + length])
        new.close()
        self.assertEqual(content.closed, 1)

    def test_large(self) -> None:
        """
        Headers of any usual size are read; with more of them the message waits.
        """
        many = b"X: y\r\n" * (BLOCK // 3)
        found = self.rewritten(many + b"To: a@b.test\r\n\r\n" + many)
        self.assertEqual(found, many + b"To: xy@mapped.test\r\n\r\n" + many)
        huge = Content(b"X: " + b"y" * (MAX_HEAD + BLOCK))
        self.failureResultOf(self.world.content(huge), NotMapped)

    def test_turns(self) -> None:
        """
        Many addresses do not hold up others; each is looked up once.
        """
        table = Table({"a@b.test": "xy@mapped.test"})
        self.world = GenericWorld([table])
        line = b"To: " + b", ".join([b"a@b.test"] * 250) + b"\r\n\r\n"
        made = self.world.content(Content(line))
        self.assertNoResult(made)
        self.world.clock.pump([0, 0, 0])
        found = self.successResultOf(made)
        self.assertEqual(found.count(b"xy@mapped.test"), 250)
        self.assertEqual(table.asked.count("a@b.test"), 1)

    def test_later(self) -> None:
        """
        Tables may answer later.
        """
        slow = Slow()
        self.world = GenericWorld([slow])
        made = self.world.content(Content(b"To: a@b.test\r\n\r\nx"))
        self.assertNoResult(made)
        slow.answers[0].callback("z@z.test")
        self.assertEqual(self.successResultOf(made), b"To: z@z.test\r\n\r\nx")
