"""
Tests of L{txmta.maps.ldap_search} and of the settings of L{txmta.maps.ldap}
(L{txmta.maps.ldap_settings}).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tests.table_contract import context
from txmta.errors import ConfigError
from txmta.maps import ldap_search
from txmta.maps.ldap import LdapType
from txmta.maps.ldap_search import (
    ALL,
    Entry,
    Search,
    TooMuch,
    Wanted,
    collect,
    filter_quoted,
    is_url,
    name_quoted,
    referred,
)
from txmta.maps.ldap_settings import SOCKET, Host, read_host

WANTED = Wanted(("stop",), ("mail",), ("drop",), ("member", "url"))
FIRST = Search("", "sub", "(x=y)", WANTED.all)


class QuotingTests(SynchronousTestCase):
    def test_filter(self) -> None:
        """
        RFC 4515 section 3: what could end or widen a filter.
        """
        self.assertEqual(
            filter_quoted("a*)(b=\\\0\u00fc"), "a\\2a\\29\\28b=\\5c\\00\u00fc"
        )

    def test_name(self) -> None:
        """
        RFC 4514 section 2.4: what could begin another part of a name.
        """
        self.assertEqual(
            name_quoted(' #x,y=z+"\\<;>\0\u00fc'),
            "\\20\\23x\\2Cy\\3Dz\\2B\\22\\5C\\3C\\3B\\3E\\00\u00fc",
        )


class UrlTests(SynchronousTestCase):
    def test_parts(self) -> None:
        """
        RFC 4516: what is left out has a default; only what is wanted is asked.
        """
        for url, wanted in (
            ("ldap:///dc=x", Search("dc=x", "base", ALL, WANTED.all)),
            ("ldap://h:1/dc=a%2Cb?mail", Search("dc=a,b", "base", ALL, ("mail",))),
            (
                "ldapi:///dc=x?Drop,cn?SUB?(a=%3f)",
                Search("dc=x", "sub", "(a=?)", ("drop",)),
            ),
            ("<URL:ldaps:///dc=x??one?>", Search("dc=x", "one", ALL, WANTED.all)),
            (
                "ldap:///?mail;lang-de",
                Search("", "base", ALL, ("mail;lang-de",)),
            ),
            ("ldap:///dc=x?cn", None),
        ):
            self.assertTrue(is_url(url))
            self.assertEqual(WANTED.of_url(url), wanted, url)

    def test_wrong(self) -> None:
        """
        Not a scope, an extension that must be known, not UTF-8.
        """
        for url in ("ldap:///x??all", "ldap:///x????!e=f", "ldap:///%ff"):
            self.assertRaises(ValueError, WANTED.of_url, url)
        self.assertFalse(is_url("cn=x,dc=ldap://y"))


class ReferralTests(SynchronousTestCase):
    def test_parts(self) -> None:
        """
        What the URL does not say is as before (RFC 4511 section 4.1.10).
        """
        for url, host, base, scope, query in (
            ("ldap://h", "ldap://h", "", "sub", "(x=y)"),
            ("ldap://h:1/dc=a%2Cb??one", "ldap://h:1", "dc=a,b", "one", "(x=y)"),
            ("ldaps://[::1]/", "ldaps://[::1]", "", "sub", "(x=y)"),
            ("ldap://h/dc=x???(a=b)", "ldap://h", "dc=x", "sub", "(a=b)"),
        ):
            wanted = Search(base, scope, query, WANTED.all)
            self.assertEqual(referred(url, FIRST), (host, wanted))
        for url in ("ldap:///dc=x", "http://h", "ldap://h/x????!e"):
            self.assertRaises(ValueError, referred, url, FIRST)


class CollectTests(SynchronousTestCase):
    """
    @ivar answers: entries, by what is searched for.
    """

    def setUp(self) -> None:
        self.answers: dict[str, list[Entry]] = {}
        self.searches: list[str] = []

    def search(self, asked: Search) -> Sequence[Entry]:
        self.searches.append(asked.base)
        return self.answers.get(asked.base, [])

    def collect(self, depth: int = 10, most: int = 10) -> list[str]:
        return collect(WANTED, self.search, FIRST, depth, most)

    def test_order(self) -> None:
        """
        In the order of the answers, what is named where it is named.
        """
        self.answers = {
            "": [{"drop": [b"1"], "member": [b"a", b"b"], "Drop;x": [b"4"]}],
            "a": [{"mail": [b"2"]}],
            "b": [{"MAIL": [b"3"], "cn": [b"no"]}],
        }
        self.assertEqual(self.collect(), ["1", "2", "3", "4"])

    def test_leaf(self) -> None:
        """
        Leaves count where nothing special is; each entry for itself.
        """
        self.answers = {
            "": [
                {"mail": [b"not"], "url": [b"ldap:///a"], "drop": [b"1"]},
                {"mail": [b"2"], "member": []},
            ]
        }
        self.assertEqual(self.collect(), ["1", "2"])

    def test_terminal(self) -> None:
        """
        What is terminal is all that counts of its entry; nothing is followed.
        """
        self.answers = {
            "": [
                {"drop": [b"not"], "member": [b"a"], "stop": [b"1"]},
                {"drop": [b"2"]},
            ]
        }
        self.assertEqual(self.collect(), ["1", "2"])
        self.assertEqual(self.searches, [""])

    def test_limits(self) -> None:
        """
        Depth, values and searches are bounded; so a circle ends.
        """
        self.answers = {"": [{"member": [b"a"]}], "a": [{"member": [b"a"]}]}
        error = self.assertRaises(TooMuch, self.collect, 6000)
        self.assertIn("searches", str(error))
        self.searches.clear()
        error = self.assertRaises(TooMuch, self.collect, 5)
        self.assertIn("Recursion limit", str(error))
        self.assertEqual(len(self.searches), 5)
        self.answers = {"": [{"drop": [b"1", b"2", b"3"]}]}
        self.assertRaises(TooMuch, self.collect, 5, 2)
        self.patch(ldap_search, "MAX_SEARCHES", 3)
        self.answers = {"": [{"member": [b"a", b"b", b"c"]}]}
        self.assertRaises(TooMuch, self.collect)

    def test_values(self) -> None:
        """
        Any octets but NUL.
        """
        self.answers = {"": [{"drop": [b"\xff", b""]}]}
        self.assertEqual(self.collect(), ["\udcff", ""])
        for name in ("drop", "member"):
            self.answers = {"": [{name: [b"a\0b"]}]}
            self.assertRaises(ValueError, self.collect)
        self.answers = {"": [{"url": [b"ldap:///x??wrong"]}]}
        self.assertRaises(ValueError, self.collect)


class SettingsTests(SynchronousTestCase):
    def test_hosts(self) -> None:
        """
        Hosts, hosts with a port, URLs.
        """
        for item, wanted in (
            ("h", Host("h", 99)),
            ("h:1", Host("h", 1)),
            ("ldap://h", Host("h", 389)),
            ("LDAPS://h/", Host("h", 636, True)),
            ("ldap://[::1]:1/dc=x", Host("::1", 1)),
            ("ldap://", Host("localhost", 389)),
            ("ldapi://%2Frun%2Fx", Host("/run/x", 0)),
            ("ldapi:///", Host(SOCKET, 0)),
        ):
            self.assertEqual(read_host(item, 99), wanted)
        for item in ("http://h", "h:x", "ldap://h:0"):
            self.assertRaises(ValueError, read_host, item, 99)

    def problems(self, text: str) -> str:
        cf = Path(self.mktemp()).absolute()
        cf.write_text(text)
        error = self.assertRaises(
            ConfigError, LdapType().open, str(cf), context(f"ldap:{cf}")
        )
        return "; ".join(error.problems)

    def test_no_library(self) -> None:
        """
        Without ldap3 the table is refused, and the remedy told.
        """
        with mock.patch.dict(sys.modules, {"ldap3": None}):
            self.assertIn("pip install 'txmta[ldap]'", self.problems(""))

    def test_wrong(self) -> None:
        """
        What cannot be is told by name.
        """
        try:
            import ldap3  # noqa: F401
        except ImportError:
            return
        found = self.problems(
            "bind = sasl\nserver_port = 0\nsearch_base = %q\nversion = 2\n"
            "start_tls = yes\ntls_cert = /nowhere\ntls_cipher_suite = none\n"
        )
        for name in (
            *("bind", "server_port", "search_base", "version", "tls_cert"),
            "tls_cipher_suite",
        ):
            self.assertIn(f" {name}: ", found)
        found = self.problems("bind_dn = cn=x\n")
        self.assertIn(" search_base: is missing", found)
        self.assertIn(" bind_pw: is missing", found)
