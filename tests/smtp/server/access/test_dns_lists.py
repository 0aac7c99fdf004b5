"""
L{txmta.smtp.access.dns_lists}
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.smtp.access.dns_lists import (
    FilterError,
    listable,
    read_filter,
    read_site,
    reversed_address,
    score,
)


class FilterTests(SynchronousTestCase):
    def test_matches(self) -> None:
        found = read_filter("127.0.[1;3..5].[2..255]")
        for address, expected in (
            ("127.0.1.2", True),
            ("127.0.4.255", True),
            ("127.0.2.2", False),
            ("127.0.1.1", False),
            ("128.0.1.2", False),
            ("::1", False),
        ):
            self.assertEqual(found.matches(address), expected, address)

    def test_wrong(self) -> None:
        """
        The complaint shows the place; nothing is too long to be told.
        """
        for text, words in (
            ("127.0.0.[2..", 'numeric range error at "127.0.0.[2..><"'),
            ("127.0.0", 'need "." at "127.0.0><"'),
            ("[", 'missing "]" character'),
            ("", 'need decimal number 0..255 or "[" at "><"'),
            ("1" * 5000, "the filter is too long"),
        ):
            error = self.assertRaises(FilterError, read_filter, text)
            self.assertEqual(str(error), words)


class SiteTests(SynchronousTestCase):
    def test_forms(self) -> None:
        site = read_site("List.Test=127.0.0.[2;3]*-2", weights=True)
        self.assertEqual((site.domain, site.weight), ("list.test", -2))
        self.assertEqual(site.text, "List.Test=127.0.0.[2;3]")
        self.assertEqual(read_site("list.test").weight, 1)
        self.assertIsNone(read_site("list.test").filter)

    def test_wrong(self) -> None:
        for text, weights in (
            ("", True),
            ("a_b..test", True),
            ("list.test*2", False),
            ("list.test*", True),
            ("list.test*x", True),
            ("list.test=", True),
            ("list.test=127.0.0", True),
        ):
            self.assertRaises(ValueError, read_site, text, weights)

    def test_score(self) -> None:
        """
        Each list counts once, however many of its answers fit.
        """
        a, b, c = (
            read_site(text, True)
            for text in ("a.test*3", "b.test=127.0.0.2*2", "white.test*-4")
        )
        for answers, expected in (
            (((a, ["127.0.0.2", "127.0.0.3"]), (b, ["127.0.0.2"])), 5),
            (((a, []), (b, ["127.0.0.3"])), 0),
            (((a, ["127.0.0.9"]), (c, ["127.0.0.9"])), -1),
        ):
            self.assertEqual(score(answers), expected)


class NameTests(SynchronousTestCase):
    def test_reversed(self) -> None:
        self.assertEqual(reversed_address("192.0.2.9"), "9.2.0.192")
        self.assertEqual(
            reversed_address("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2",
        )
        self.assertRaises(ValueError, reversed_address, "unknown")

    def test_listable(self) -> None:
        for name, expected in (
            ("example.com", True),
            ("192.0.2.1", False),
            ("example.5", False),
            ("[192.0.2.1]", False),
            ("", False),
            ("a..b", False),
        ):
            self.assertEqual(listable(name), expected, name)
