"""
Tests of L{txmta.search}.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.search import address_keys, search, split_extension


@implementer(ITable)
class Table:
    """
    Remembers what it was asked; answers later if C{later}.
    """

    def __init__(self, entries: Mapping[str, str], later: bool = False) -> None:
        self.entries = entries
        self.later = later
        self.asked: list[str] = []

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        self.asked.append(key)
        value = self.entries.get(key)
        return succeed(value) if self.later else value


@implementer(ITable)
class Broken:
    def __init__(self, later: bool) -> None:
        self.later = later

    def lookup(self, key: str) -> Deferred[str | None]:
        trouble = TableUnavailable("test:", "is down")
        if self.later:
            return fail(trouble)
        raise trouble


class SearchTests(SynchronousTestCase):
    def test_key_by_key(self) -> None:
        """
        Each key goes to every table before the next key.
        """
        for later in (False, True):
            first = Table({"@d": "1"}, later)
            second = Table({"u@d": "2"}, later)
            answer = search([first, second], ["u+e@d", "u@d", "@d"])
            if isinstance(answer, Deferred):
                answer = self.successResultOf(answer)
            self.assertEqual(answer, "2")
            self.assertEqual(first.asked, ["u+e@d", "u@d"])

    def test_patterns(self) -> None:
        """
        A table of patterns is asked for the whole address, not for its parts.
        """

        class Patterns(Table):
            by_pattern = True

        for address, whole in (
            ("u+e@d", ["u+e@d"]),
            ("a b@d", ['"a b"@d', "a b@d"]),
            ("u+e", ["u+e"]),
        ):
            table, plain = Patterns({}), Table({})
            keys = list(address_keys(address, delimiters="+", local=True))
            search([table, plain], keys)
            self.assertEqual(table.asked, whole)
            self.assertEqual(plain.asked, keys)

    def test_nothing(self) -> None:
        """
        Not found is L{None}, at once when all tables answer at once.
        """
        self.assertIsNone(search([Table({}), Table({})], ["a", "b"]))
        later = search([Table({}), Table({}, later=True)], ["a", "b"])
        assert isinstance(later, Deferred)
        self.assertIsNone(self.successResultOf(later))

    def test_cannot_say(self) -> None:
        """
        A table that cannot say ends the search, even if a later one knows.
        """
        with self.assertRaises(TableUnavailable):
            search([Broken(False), Table({"a": "b"})], ["a"])
        later = search([Broken(True), Table({"a": "b"})], ["a"])
        assert isinstance(later, Deferred)
        self.failureResultOf(later, TableUnavailable)


class AddressKeysTests(SynchronousTestCase):
    def test_order(self) -> None:
        """
        mail_addr_find(3): full, without extension, local part, domain.
        """
        self.assertEqual(
            list(address_keys("u+e@d", delimiters="+", local=True)),
            ["u+e@d", "u@d", "u+e", "u", "@d"],
        )
        self.assertEqual(
            list(address_keys("u+e@d", delimiters="+")), ["u+e@d", "u@d", "@d"]
        )
        self.assertEqual(list(address_keys("u+e@d")), ["u+e@d", "@d"])
        self.assertEqual(list(address_keys("u+e", delimiters="+")), ["u+e", "u"])

    def test_quoted_first(self) -> None:
        """
        A local part with quotes is looked up with them, then without.
        """
        self.assertEqual(
            list(address_keys("a b@d", local=True)),
            ['"a b"@d', "a b@d", '"a b"', "a b", "@d"],
        )


class SplitExtensionTests(SynchronousTestCase):
    def test_first_delimiter(self) -> None:
        """
        recipient_delimiter is a set; the first of its characters splits.
        """
        self.assertEqual(split_extension("u+a-b", "+-"), ("u", "+", "a-b"))
        self.assertEqual(split_extension("u-a+b", "+-"), ("u", "-", "a+b"))
        self.assertEqual(split_extension("u-a+b", "+"), ("u-a", "+", "b"))
        self.assertEqual(split_extension("u+", "+"), ("u", "+", ""))
        self.assertEqual(split_extension("u", "+"), ("u", "", ""))
        self.assertEqual(split_extension("u+a", ""), ("u+a", "", ""))

    def test_never(self) -> None:
        """
        Not before an empty user, and not the addresses that must work.
        """
        for local in ("+a", "double-bounce", "MAILER-DAEMON", "Postmaster"):
            self.assertEqual(split_extension(local, "+-"), (local, "", ""))

    def test_lists(self) -> None:
        """
        owner-list and list-request are not split at C{-}.
        """
        for local in ("owner-list", "list-request", "Owner-a-b"):
            self.assertEqual(split_extension(local, "-"), (local, "", ""))
        self.assertEqual(
            split_extension("owner-list", "-", owner_request_special=False),
            ("owner", "-", "list"),
        )
        self.assertEqual(
            split_extension("list-request+x", "+"), ("list-request", "+", "x")
        )
