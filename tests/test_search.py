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
from txmta.search import (
    DEFAULT,
    TRANSPORT,
    TRANSPORT_PARENTS,
    Bare,
    Found,
    Order,
    address_keys,
    find,
    search,
    split_extension,
)


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

    def test_find(self) -> None:
        """
        The key tells whether the extension was looked at.
        """
        for later in (False, True):
            table = Table({"u": "1", "u+e@d": "2"}, later)
            for address, found, bare in (
                ("u+x@d", Found("1", "u"), True),
                ("u+e@d", Found("2", "u+e@d"), False),
                ("u@d", Found("1", "u"), False),
            ):
                keys = address_keys(address, delimiters="+", local=True)
                answer = find([table], keys)
                if isinstance(answer, Deferred):
                    answer = self.successResultOf(answer)
                assert answer is not None
                self.assertEqual(answer, found)
                self.assertEqual(isinstance(answer.key, Bare), bare)

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

    def test_strategies(self) -> None:
        """
        mail_addr_find_opt(3): which keys, and in which order.
        """
        nothing = Order(False, False, False, False, False)
        for order, expected in (
            (DEFAULT, ["u+e@a.b", "u@a.b", "u+e", "u", "@a.b"]),
            (DEFAULT._replace(bare=False), ["u+e@a.b", "u+e", "@a.b"]),
            (DEFAULT._replace(full=False), ["u@a.b", "u+e", "u", "@a.b"]),
            (nothing._replace(local_at=True), ["u+e@"]),
            (nothing._replace(bare=True, local_at=True), ["u@a.b", "u+e@", "u@"]),
            (nothing._replace(domain=True), ["a.b"]),
            (nothing._replace(domain=True, parents=True), ["a.b", "b"]),
            (nothing._replace(domain=True, dot_parents=True), ["a.b", ".b"]),
            (nothing._replace(anywhere_at=True), ["u+e@"]),
            (TRANSPORT, ["u+e@a.b", "u@a.b", "a.b", ".b"]),
            (TRANSPORT_PARENTS, ["u+e@a.b", "u@a.b", "a.b", "b"]),
        ):
            keys = address_keys("u+e@a.b", delimiters="+", local=True, order=order)
            self.assertEqual(list(keys), expected)
        elsewhere = nothing._replace(local=True, local_at=True, anywhere_at=True)
        self.assertEqual(list(address_keys("u@d", order=elsewhere)), ["u@"])

    def test_forms(self) -> None:
        """
        With quotes, without, or both.
        """
        for order, expected in (
            (DEFAULT, ['"a b"@d', "a b@d", '"a b"', "a b", "@d"]),
            (DEFAULT._replace(internal=False), ['"a b"@d', '"a b"', "@d"]),
            (DEFAULT._replace(external=False), ["a b@d", "a b", "@d"]),
        ):
            keys = address_keys("a b@d", local=True, order=order)
            self.assertEqual(list(keys), expected)
        keys = address_keys("a@b@d", local=True)
        self.assertEqual(list(keys)[2:4], ['"a@b"', "a@b"])

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
