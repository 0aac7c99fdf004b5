"""
Tests of L{txmta.maps.match} and L{txmta.maps.patterns}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import IClientList, IMatchList, ITable
from txmta.maps import match as match_module
from txmta.maps.match import MatchList, MatchLists
from txmta.maps.source import LOOK_INTERVAL


@implementer(ITable)
class Table:
    """
    Has the keys in its name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[str] = []

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        kind, _colon, keys = self.name.partition(":")
        self.asked.append(key)
        if kind == "broken":
            raise TableUnavailable(self.name, "is down")
        found = "x" if key in keys.split("|") else None
        return succeed(found) if kind == "slow" else found


class MatchTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.warnings: list[str] = []
        self.tables: list[Table] = []
        self.lists = MatchLists(
            self.open, ("mynetworks", "relay_domains"), lambda: self.now, self.warn
        )

    def open(self, item: str, parameter: str) -> ITable:
        if item.startswith("bad:"):
            raise ConfigError([f"{parameter}: {item}: unsupported"])
        self.tables.append(Table(item))
        return self.tables[-1]

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def file(self, text: str) -> Path:
        path = Path(self.mktemp()).absolute()
        path.write_text(text)
        return path

    def matched(self, found: bool | Deferred[bool]) -> bool:
        if isinstance(found, Deferred):
            answer = self.successResultOf(found)
            assert isinstance(answer, bool)
            return answer
        return found

    def which(self, matcher: MatchList, *items: str) -> list[str]:
        return [item for item in items if self.matched(matcher.match(item))]


class DomainListTests(MatchTestCase):
    def test_interface(self) -> None:
        """
        A list is what others expect.
        """
        verifyObject(IMatchList, self.lists.strings("mydestination", []))
        verifyObject(IClientList, self.lists.addresses("mynetworks", []))

    def test_empty(self) -> None:
        """
        Nothing is in an empty list.
        """
        self.assertFalse(self.lists.strings("mydestination", []).match("a.example"))

    def test_strings(self) -> None:
        """
        mydestination has whole names, without regard to case; no subdomains.
        """
        matcher = self.lists.strings("mydestination", ["Example.com", ".other.example"])
        self.assertEqual(
            self.which(
                matcher, "example.COM", "a.example.com", "a.other.example", "example"
            ),
            ["example.COM"],
        )

    def test_parents(self) -> None:
        """
        In a list of parent_domain_matches_subdomains a name stands for its
        subdomains, and a leading dot for nothing.
        """
        matcher = self.lists.domains("relay_domains", ["example.com", ".other.example"])
        self.assertEqual(
            self.which(
                matcher,
                "example.com",
                "a.b.example.com",
                "badexample.com",
                "com",
                "a.other.example",
            ),
            ["example.com", "a.b.example.com"],
        )

    def test_dotted(self) -> None:
        """
        In other lists a leading dot means the subdomains only.
        """
        matcher = self.lists.domains("other_domains", ["example.com", ".other.example"])
        self.assertEqual(
            self.which(
                matcher,
                "example.com",
                "a.example.com",
                "other.example",
                "a.b.other.example",
            ),
            ["example.com", "a.b.other.example"],
        )

    def test_first_match_wins(self) -> None:
        """
        C{!} excludes, if it comes first; C{!!} is nothing.
        """
        matcher = self.lists.domains(
            "relay_domains", ["!a.example", "example", "!b.example", "!!c.test"]
        )
        self.assertEqual(
            self.which(matcher, "a.example", "x.a.example", "b.example", "c.test", "d"),
            ["b.example", "c.test"],
        )

    def test_table(self) -> None:
        """
        A table is asked for the name, then for what stands for its parents.
        """
        matcher = self.lists.domains("relay_domains", ["quick:b.c"])
        self.assertTrue(matcher.match("a.b.c"))
        self.assertEqual(self.tables[0].asked, ["a.b.c", "b.c"])
        dotted = self.lists.domains("other_domains", ["quick:.c"])
        self.assertTrue(dotted.match("a.b.c"))
        self.assertEqual(self.tables[1].asked, ["a.b.c", ".b.c", ".c"])
        whole = self.lists.strings("mydestination", ["quick:.c"])
        self.assertFalse(whole.match("a.b.c"))
        self.assertEqual(self.tables[2].asked, ["a.b.c"])

    def test_slow_table(self) -> None:
        """
        A table that answers later changes neither order nor answer.
        """
        matcher = self.lists.strings(
            "mydestination", ["first", "!slow:a|b", "slow:c", "quick:d", "b", "last"]
        )
        self.assertEqual(
            self.which(matcher, "first", "a", "b", "c", "d", "last", "e"),
            ["first", "c", "d", "last"],
        )

    def test_tables_are_not_remembered(self) -> None:
        """
        What a table says may change at any time.
        """
        matcher = self.lists.strings("mydestination", ["quick:a"])
        matcher.match("a")
        matcher.match("a")
        self.assertEqual(self.tables[0].asked, ["a", "a"])
        self.assertFalse(matcher.fixed)

    def test_broken_table(self) -> None:
        """
        "Cannot say" is not "no", even when a later item says yes.
        """
        matcher = self.lists.strings("mydestination", ["broken:", "a"])
        self.assertRaises(TableUnavailable, matcher.match, "a")
        later = self.lists.strings("mydestination", ["slow:", "broken:", "a"])
        answer = later.match("a")
        assert isinstance(answer, Deferred)
        self.failureResultOf(answer, TableUnavailable)

    def test_all_problems(self) -> None:
        """
        All that is wrong is said at once.
        """
        error = self.assertRaises(
            ConfigError,
            self.lists.domains,
            "relay_domains",
            ["bad:one", "fine", "/nowhere/file", "!bad:two"],
        )
        self.assertEqual(len(error.problems), 3)

    def test_bounded(self) -> None:
        """
        A stream of new names does not fill the memory.
        """
        self.patch(match_module, "MAX_REMEMBERED", 10)
        matcher = self.lists.domains("relay_domains", ["example"])
        for i in range(100):
            matcher.match(f"{i}.example")
        self.assertLessEqual(len(matcher._known), 10)


class FileTests(MatchTestCase):
    def test_file(self) -> None:
        """
        A file has items, comments, and may name files and tables.
        """
        inner = self.file("inner.example")
        path = self.file(
            f"# comment\na.example, b.example\n!c.example # more\n{inner}\nquick:t\n"
        )
        matcher = self.lists.strings("mydestination", [str(path), "c.example"])
        self.assertEqual(
            self.which(
                matcher,
                "a.example",
                "b.example",
                "c.example",
                "inner.example",
                "t",
                "#",
            ),
            ["a.example", "b.example", "inner.example", "t"],
        )

    def test_negated(self) -> None:
        """
        C{!/file} turns each of its items round.
        """
        path = self.file("a.example !b.example")
        matcher = self.lists.strings("mydestination", [f"!{path}", "a.example"])
        self.assertEqual(self.which(matcher, "a.example", "b.example"), ["b.example"])

    def test_change(self) -> None:
        """
        A change of the file is noticed; answers from before are forgotten.
        """
        path = self.file("a.example")
        matcher = self.lists.strings("mydestination", [str(path)])
        self.assertEqual(self.which(matcher, "a.example", "b.example"), ["a.example"])
        path.write_text("b.example b")
        for _ in range(2):
            self.now += LOOK_INTERVAL
            matcher.match("x")
        self.assertEqual(self.which(matcher, "a.example", "b.example"), ["b.example"])
        path.write_text("quick:c.example")
        for _ in range(2):
            self.now += LOOK_INTERVAL
            matcher.match("x")
        self.assertFalse(matcher.fixed)
        self.assertTrue(matcher.match("c.example"))

    def test_bad_version(self) -> None:
        """
        A version with a mistake in it is not used: mynetworks must not
        become empty, nor everybody.
        """
        path = self.file("192.0.2.0/24")
        matcher = self.lists.addresses("mynetworks", [str(path)])
        path.write_text("192.0.2.1/24 0.0.0.0/0")
        for _ in range(4):
            self.now += LOOK_INTERVAL
            matcher.match("x")
        self.assertTrue(matcher.match("192.0.2.7"))
        self.assertFalse(matcher.match("198.51.100.1"))
        (warning,) = self.warnings
        self.assertIn("non-null host address bits", warning)

    def test_loop(self) -> None:
        """
        A file that names itself is refused.
        """
        path = self.file("")
        path.write_text(str(path))
        error = self.assertRaises(
            ConfigError, self.lists.strings, "mydestination", [str(path)]
        )
        self.assertIn("too many files inside each other", str(error))


class AddressListTests(MatchTestCase):
    def test_networks(self) -> None:
        """
        Networks and addresses of both families, in any spelling.
        """
        matcher = self.lists.addresses(
            "mynetworks",
            [
                "127.0.0.0/8",
                "!192.0.2.9",
                "192.0.2.0/24",
                "198.51.100.1",
                "[203.0.113.0/24]",
                "[::1]/128",
                "[2001:db8::]/32",
                "[fe80::1]",
            ],
        )
        self.assertEqual(
            self.which(
                matcher,
                "127.0.0.1",
                "192.0.2.9",
                "192.0.2.10",
                "198.51.100.1",
                "198.51.100.2",
                "203.0.113.5",
                "::1",
                "0:0:0:0:0:0:0:1",
                "::ffff:127.0.0.1",
                "2001:DB8:1::1",
                "2001:db9::1",
                "fe80::1",
                "10.0.0.1",
                "999.1.1.1",
                ":::",
            ),
            [
                "127.0.0.1",
                "192.0.2.10",
                "198.51.100.1",
                "203.0.113.5",
                "::1",
                "0:0:0:0:0:0:0:1",
                "::ffff:127.0.0.1",
                "2001:DB8:1::1",
                "fe80::1",
            ],
        )

    def test_everybody(self) -> None:
        """
        A mask of nought is everybody of that family, and only of that one.
        """
        matcher = self.lists.addresses("mynetworks", ["0.0.0.0/0"])
        self.assertEqual(self.which(matcher, "198.51.100.1", "::1"), ["198.51.100.1"])

    def test_client(self) -> None:
        """
        A host name in the list matches the client's verified name.
        """
        matcher = self.lists.addresses(
            "mynetworks", ["!bad.example.com", "example.com", "192.0.2.0/24"]
        )
        for name, address, expected in (
            ("a.example.com", "198.51.100.1", True),
            ("unknown", "198.51.100.1", False),
            ("bad.example.com", "192.0.2.1", False),
            ("unknown", "192.0.2.1", True),
        ):
            for _ in range(2):
                self.assertEqual(matcher.match_client(name, address), expected)

    def test_no_name(self) -> None:
        """
        Neither a client without name nor one whose name looks like an address
        of ours gets in by it; Postfix lets the first in.
        """
        tables = ["quick:unknown", "unknown", "192.0.2.0/24", "quick:192.0.2.1"]
        matcher = self.lists.addresses("mynetworks", tables)
        for name in ("unknown", "192.0.2.1", "::ffff:192.0.2.1"):
            self.assertFalse(matcher.match_client(name, "198.51.100.1"), name)
            self.assertTrue(matcher.match_client(name, "192.0.2.1"), name)

    def test_client_table(self) -> None:
        """
        Tables are asked for name, parents and address, pattern by pattern; what
        cannot be asked is no answer.
        """
        matcher = self.lists.addresses("mynetworks", ["slow:example.com|192.0.2.1"])
        for name, address, expected in (
            ("a.example.com", "198.51.100.1", True),
            ("b.example.net", "192.0.2.1", True),
            ("b.example.net", "198.51.100.1", False),
        ):
            answer = matcher.match_client(name, address)
            assert isinstance(answer, Deferred)
            self.assertIs(self.successResultOf(answer), expected)
        broken = self.lists.addresses("mynetworks", ["broken:"])
        with self.assertRaises(TableUnavailable):
            broken.match_client("a.example.com", "192.0.2.1")

    def test_client_parents(self) -> None:
        """
        A name stands for what is below it only in the lists of
        parent_domain_matches_subdomains; in others C{.name} does.
        """
        items = ["example.com", ".example.net"]
        parent = self.lists.addresses("mynetworks", items)
        whole = self.lists.addresses("smtpd_client_event_limit_exceptions", items)
        for name, in_parent, in_whole in (
            ("example.com", True, True),
            ("a.example.com", True, False),
            ("a.example.net", False, True),
            ("example.net", False, False),
        ):
            self.assertIs(parent.match_client(name, "::1"), in_parent, name)
            self.assertIs(whole.match_client(name, "::1"), in_whole, name)

    def test_table(self) -> None:
        """
        A table is asked for the address as it is.
        """
        matcher = self.lists.addresses("mynetworks", ["quick:192.0.2.1"])
        self.assertTrue(matcher.match("192.0.2.1"))
        self.assertFalse(matcher.match("192.0.2.2"))
        self.assertEqual(self.tables[0].asked, ["192.0.2.1", "192.0.2.2"])

    def test_mistakes(self) -> None:
        """
        What Postfix warns of for every client is refused at start, in its
        words.
        """
        for item, words in {
            "127.0.0.1/8": 'non-null host address bits in "127.0.0.1/8", '
            'perhaps you should use "127.0.0.0/8" instead',
            "[2001:db8::1]/32": 'non-null host address bits in "2001:db8::1/32", '
            'perhaps you should use "2001:db8::/32" instead',
            "192.0.2.0/33": 'bad net/mask pattern: "192.0.2.0/33"',
            "192.0.2.0/255.255.255.0": "bad net/mask pattern: "
            '"192.0.2.0/255.255.255.0"',
            "192.0.2/24": 'bad net/mask pattern: "192.0.2/24"',
            "[192.0.2.0": "missing ']' character after \"[192.0.2.0\"",
            "[::1]x": 'garbage after "[::1]"',
            "[::1": "missing ']' character after \"[::1\"",
            "192.0.2.256": 'bad address pattern: "192.0.2.256"',
            "::1": '"::1": an IPv6 address needs brackets: write [::1]',
            "2001:db8::/32": '"2001:db8::/32": an IPv6 address needs brackets: '
            "write [2001:db8::]",
        }.items():
            error = self.assertRaises(
                ConfigError, self.lists.addresses, "mynetworks", [item]
            )
            self.assertEqual(error.problems, (f"mynetworks: {words}",))

    def test_lone_mark(self) -> None:
        """
        C{!} with nothing after it excludes nothing.
        """
        self.assertRaises(
            ConfigError, self.lists.addresses, "mynetworks", ["!", "192.0.2.0/24"]
        )
