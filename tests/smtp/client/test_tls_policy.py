"""
Tests of L{txmta.smtp.client_tls_policy}, L{txmta.smtp.client_tls_names} and
L{txmta.smtp.client_dane}.
"""

from __future__ import annotations

from hashlib import sha256, sha512

from twisted.trial.unittest import SynchronousTestCase

from txmta.smtp.client_dane import usable
from txmta.smtp.client_tls_level import Level
from txmta.smtp.client_tls_names import matching
from txmta.smtp.client_tls_policy import (
    BadPolicy,
    Defaults,
    complete,
    keys,
    named,
    parse,
    per_site,
)


class PolicyTests(SynchronousTestCase):
    def test_keys(self) -> None:
        """
        Parent domains of a plain domain only.
        """
        for nexthop, expected in (
            ("a.example.com", ["a.example.com", ".example.com", ".com"]),
            ("[mx.example.com]:587", ["[mx.example.com]:587"]),
            ("example.com:587", ["example.com:587"]),
        ):
            self.assertEqual(list(keys(nexthop)), expected)

    def test_refused(self) -> None:
        """
        What cannot be understood is never ignored: it would weaken the policy.
        """
        for text in (
            *("", " ,", "secret", "halfdane", "encrypt x", "encrypt =x"),
            *("encrypt match=a", "may tafile=/x", "dane match=a", "secure match="),
            *("may ciphers=", "may ciphers=best", "may ciphers=high ciphers=high"),
            *("may protocols=TLSv9", "may servername=-", "may connection_reuse=maybe"),
            *("may matches=x", "encrypt protocols=!TLSv1:!TLSv1.1:!TLSv1.2:!TLSv1.3"),
        ):
            self.assertRaises(BadPolicy, parse, text)

    def test_complete(self) -> None:
        defaults = Defaults(Level.MAY, exclude=("RC4",), mandatory_exclude=("MD5",))
        policy = complete(parse("secure match=a.test:.b.test,ciphers=high"), defaults)
        self.assertEqual(policy.match, ("a.test", ".b.test"))
        self.assertEqual(policy.grade, "high")
        self.assertEqual(policy.exclude, ("RC4", "MD5", "aNULL"))
        policy = named(complete(parse("secure"), defaults), "example.com", "mx.test")
        self.assertEqual(policy.match, ("example.com", ".example.com"))
        policy = named(complete(parse("verify"), defaults), "example.com", "mx.test")
        self.assertEqual(policy.match, ("mx.test",))
        self.assertRaises(BadPolicy, complete, parse("fingerprint"), defaults)
        found = complete(parse("fingerprint match=aa:bb|cc"), defaults)
        self.assertEqual(found.fingerprints, ("AA:BB", "CC"))

    def test_per_site(self) -> None:
        for general, nexthop, host, expected in (
            (Level.VERIFY, None, None, Level.VERIFY),
            (Level.VERIFY, "MAY", None, Level.VERIFY),
            (Level.VERIFY, "NONE", "MAY", Level.NONE),
            (Level.MAY, "MUST", "NONE", Level.VERIFY),
            (Level.MAY, "must_nopeermatch", None, Level.ENCRYPT),
        ):
            self.assertIs(per_site(general, nexthop, host)[0], expected)
        self.assertRaises(BadPolicy, per_site, Level.MAY, "PERHAPS", None)


class NameTests(SynchronousTestCase):
    def test_names(self) -> None:
        for presented, wanted, good in (
            ("mx.test", "MX.test", True),
            ("*.example.com", "a.example.com", True),
            ("*.example.com", "a.b.example.com", True),
            ("*.example.com", "example.com", False),
            ("*.com", "example.com", False),
            ("*", "example.com", False),
            ("a*.example.com", "ab.example.com", False),
            ("a.example.com", ".example.com", True),
            ("example.com", ".example.com", False),
            ("notexample.com", ".example.com", False),
            ("a.example.com", ".", False),
            ("", "", False),
        ):
            found = matching([presented], [wanted])
            self.assertEqual(found is not None, good, (presented, wanted))
        self.assertIsNone(matching(["*.a.test"], ["x.y.a.test"], multiple=False))


class TlsaTests(SynchronousTestCase):
    def test_usable(self) -> None:
        """
        Usages 2 and 3; of digests of the same thing, the best.
        """
        short, long = sha256(b"x").hexdigest(), sha512(b"x").hexdigest()
        digests = ("sha512", "sha256")
        rows = (f"3 1 1 {short}", f"3 1 2 {long}", f"2 0 1 {short}")
        found = usable(rows, digests)
        self.assertEqual(
            [(r.usage, r.selector, r.matching) for r in found], [(3, 1, 2), (2, 0, 1)]
        )
        self.assertTrue(found[0].matches(b"", b"x"))
        self.assertFalse(found[0].matches(b"x", b""))
        for row in (
            *(f"0 1 1 {short}", f"1 1 1 {short}", f"3 2 1 {short}", f"3 1 3 {short}"),
            *("3 1 1 00", "3 1 1", "3 1 0", "x", f"3 1 2 {short}"),
        ):
            self.assertEqual(usable([row], digests), (), row)
        self.assertEqual(usable([f"3 1 2 {long}"], ["sha256"]), ())
