"""
L{txmta.delivery.outgoing_headers} and L{txmta.delivery.header_checks}
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.delivery.doubles import Content, Table
from tests.delivery.generic_doubles import GenericWorld
from txmta.delivery.generic import Generic, NotMapped
from txmta.delivery.header_checks import HeaderChecks
from txmta.delivery.outgoing_headers import BLOCK, MAX_HEAD, OutgoingHeaders
from txmta.interfaces import IContent, ITable


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
            made = Deferred.fromCoroutine(self.world.headers.content("QID", content))
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
        made = Deferred.fromCoroutine(self.world.headers.content("QID", content))
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


class CheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.generic: Generic | None = None

    def checked(self, table: ITable, octets: bytes) -> bytes:
        checks = HeaderChecks("x", [table], self.notes.append, self.warnings.append)
        headers = OutgoingHeaders(self.generic, checks, Clock())
        content = Content(octets)

        async def read() -> bytes:
            made = await headers.content("QID", content)
            octets = made.read(0, made.size)
            return await octets if isinstance(octets, Deferred) else octets

        return self.successResultOf(Deferred.fromCoroutine(read()))

    def test_actions(self) -> None:
        """
        What each does to a header, and what is logged of it.
        """
        rest = b"Y: z\r\n\r\nX: a\r\n"
        for action, head, note in (
            ("REPLACE Z: new", b"Z: new\r\n", "replace: header X: a b: Z: new"),
            ("prepend Z: new", b"Z: new\r\nX: a\r\n b\r\n", "prepend: header X: a b"),
            ("IGNORE it", b"", ""),
            ("STRIP why", b"", "strip: header X: a b: why"),
            ("WARN", b"X: a\r\n b\r\n", "warning: header X: a b"),
            ("INFO text", b"X: a\r\n b\r\n", "info: header X: a b: text"),
            ("DUNNO", b"X: a\r\n b\r\n", ""),
            ("OK", b"X: a\r\n b\r\n", ""),
        ):
            self.notes.clear()
            table = Table({"X: a\n b": action})
            found = self.checked(table, b"X: a\r\n b\r\n" + rest)
            self.assertEqual(found, head + rest, action)
            said = [text.replace("??", "") for text in self.notes]
            self.assertEqual(len(said), bool(note), action)
            for text in said:
                self.assertTrue(text.startswith(f"QID: {note}"), text)
        self.assertEqual(self.warnings, [])

    def test_mistakes(self) -> None:
        """
        What makes no sense changes nothing, and is told.
        """
        for action in ("REJECT", "REPLACE", "REPLACE no header", "PREPEND", "HOLD x"):
            self.warnings.clear()
            octets = b"X: a\r\n\r\n"
            self.assertEqual(self.checked(Table({"X: a": action}), octets), octets)
            self.assertEqual(len(self.warnings), 1, action)

    def test_cannot_say(self) -> None:
        """
        The message does not leave unchecked.
        """
        checks = HeaderChecks(
            "x", [Table({}, broken=True)], self.notes.append, self.warnings.append
        )
        made = Deferred.fromCoroutine(checks.check("QID", b"X: a\r\n"))
        self.failureResultOf(made, NotMapped)

    def test_order(self) -> None:
        """
        Checks come before generic tables, which see what is put in place of a
        header that has addresses, and nothing else that is put in.
        """
        world = GenericWorld([Table({"a@b.test": "n@m.test"})])
        self.generic = world.generic
        table = Table(
            {
                "To: x": "REPLACE Cc: a@b.test",
                "X: x": "REPLACE Cc: a@b.test",
                "Y: z": "PREPEND Cc: a@b.test",
            }
        )
        found = self.checked(table, b"To: x\r\nX: x\r\nY: z\r\n\r\n")
        self.assertEqual(
            found,
            b"Cc: n@m.test\r\nCc: a@b.test\r\nCc: a@b.test\r\nY: z\r\n\r\n",
        )
