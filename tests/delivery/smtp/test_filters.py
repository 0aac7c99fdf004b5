"""
L{txmta.delivery.smtp_filters}
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.delivery.doubles import Table
from tests.delivery.smtp.doubles import Names
from txmta.delivery.smtp_filters import Filtered, FilteredResolver, ReplyFilter
from txmta.errors import ResolverUnavailable
from txmta.interfaces import IResolver, ITable
from txmta.model import Answer, Mx
from txmta.smtp.replies import MAX_REPLY_LINE, FilteringReader


class ReplyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def filter(self, table: ITable) -> ReplyFilter:
        return ReplyFilter("x", [table], self.notes.append, self.warnings.append)

    def test_replaced(self) -> None:
        """
        What the table has is replaced, and logged.
        """
        change = self.filter(Table({"550 no": "450 later"}))
        self.assertEqual(change("host[1]", b"550 no"), b"450 later")
        self.assertEqual(change("host[1]", b"250 ok \xff"), b"250 ok \xff")
        words = 'host[1]: replacing server reply "550 no" with "450 later"'
        self.assertEqual(self.notes, [words])

    def test_cannot_say(self) -> None:
        """
        Nothing is believed then, for good or bad.
        """

        @implementer(ITable)
        class Slow:
            def lookup(self, key: str) -> Deferred[str | None]:
                return Deferred()

        tables: tuple[ITable, ...] = (Table({}, broken=True), Slow())
        for table in tables:
            found = self.filter(table)("host[1]", b"250 ok")
            self.assertEqual(found, b"450 4.3.0 Internal error")
        self.assertEqual(len(self.warnings), 2)

    def test_lines(self) -> None:
        """
        Each line by itself, wherever the octets are cut; what is put in cannot
        end a line.
        """
        octets = b"250-a\r\n250-b\r\n250 c\n550 no\r\n"
        changes = {b"250-b": b"250-B\r\n550 x", b"550 no": b"250 yes"}
        for size in range(1, len(octets) + 1):
            reader = FilteringReader(lambda line: changes.get(line, line))
            found = []
            for at in range(0, len(octets), size):
                reader.add(octets[at : at + size])
                while (reply := reader.next()) is not None:
                    found.append(reply.lines)
            self.assertEqual(
                found, [(b"250-a", b"250-B550 x", b"250 c"), (b"250 yes",)]
            )
            self.assertTrue(reader.empty)

    def test_part_of_a_line(self) -> None:
        reader = FilteringReader(lambda line: line)
        reader.add(b"250 o")
        self.assertFalse(reader.empty)
        self.assertIs(reader.next(), None)

    def test_long(self) -> None:
        """
        A line without end takes no more memory than it may.
        """
        reader = FilteringReader(lambda line: self.fail(f"{line!r:.30}"))
        reader.add(b"250 " + b"x" * MAX_REPLY_LINE)
        reader.add(b"y\r\n")
        reply = reader.next()
        assert reply is not None
        self.assertEqual((reply.code, len(reply.lines[0])), (250, MAX_REPLY_LINE))


class ResolverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.names = Names()
        self.names.mx("a.test", (10, "one.test"), (20, "two.test"))
        self.names.host("one.test", "192.0.2.1", "2001:db8::1")
        self.warnings: list[str] = []

    def lookup(self, entries: dict[str, str], name: str, kind: str) -> Deferred[Answer]:
        resolver = FilteredResolver(
            self.names, "x", [Table(entries)], self.warnings.append
        )
        self.assertTrue(verifyObject(IResolver, resolver))
        found = resolver.lookup(name, kind)
        assert isinstance(found, Deferred)
        return found

    def test_ignored(self) -> None:
        entries = {"a.test. 0 IN MX 10 one.test.": "ignore it"}
        answer = self.successResultOf(self.lookup(entries, "a.test", "MX"))
        self.assertEqual(answer.records, (Mx(20, "two.test"),))
        answer = self.successResultOf(self.lookup(entries, "one.test", "A"))
        self.assertEqual(answer.records, ("192.0.2.1",))

    def test_nothing_left(self) -> None:
        """
        That is a policy, and no proof that there is nothing.
        """
        entries = {"one.test. 0 IN AAAA 2001:db8::1": "IGNORE"}
        failure = self.failureResultOf(self.lookup(entries, "one.test", "AAAA"))
        error = failure.trap(Filtered) and failure.value
        assert isinstance(error, Filtered)
        self.assertEqual(error.status, "4.7.0")
        self.assertEqual(
            str(error),
            "Error looking up name=one.test type=AAAA: DNS reply filter drops all "
            "results",
        )

    def test_nothing_there(self) -> None:
        answer = self.successResultOf(self.lookup({}, "no.test", "A"))
        self.assertEqual((answer.records, answer.exists), ((), False))

    def test_trouble(self) -> None:
        """
        Tables that cannot say, and words that mean nothing, are temporary.
        """
        entries = {"one.test. 0 IN A 192.0.2.1": "drop"}
        found = self.lookup(entries, "one.test", "A")
        self.failureResultOf(found, ResolverUnavailable)
        broken = Table({}, broken=True)
        resolver = FilteredResolver(self.names, "x", [broken], self.warnings.append)
        asked = resolver.lookup("one.test", "A")
        assert isinstance(asked, Deferred)
        self.failureResultOf(asked, ResolverUnavailable)
        self.assertEqual(len(self.warnings), 2)

    def test_other_types(self) -> None:
        """
        Names of clients and the like are none of its business.
        """
        resolver = FilteredResolver(self.names, "x", [], self.warnings.append)
        self.assertIsInstance(resolver.lookup("a.test", "TXT"), Answer)
