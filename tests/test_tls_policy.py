"""
Tests for L{txmta.tls_policy}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.tls_policy import ciphers, curves, options, protocols

LISTS = {
    "tls_high_cipherlist": "HIGH",
    "tls_medium_cipherlist": "HIGH:MEDIUM",
    "tls_null_cipherlist": "eNULL",
}


class ProtocolTests(SynchronousTestCase):
    def test_limits(self) -> None:
        """
        An oldest and a newest version can be said, by name or number.
        """
        for text, allowed in (
            (">=TLSv1.2", ("TLSv1.2", "TLSv1.3")),
            ("<=TLSv1.1 >=TLSv1", ("TLSv1", "TLSv1.1")),
            (">=0x0304", ("TLSv1.3",)),
            (">=771,<=771", ("TLSv1.2",)),
        ):
            self.assertEqual(protocols(text.split()).allowed, allowed, text)

    def test_names(self) -> None:
        """
        Versions can be excluded, or named, which excludes all others.
        """
        for text, allowed in (
            ("!SSLv2 !SSLv3 !TLSv1 !TLSv1.1", ("TLSv1.2", "TLSv1.3")),
            ("!SSLv2:!SSLv3,!tlsv1.3", ("TLSv1", "TLSv1.1", "TLSv1.2")),
            ("TLSv1.3", ("TLSv1.3",)),
        ):
            self.assertEqual(protocols(text.split()).allowed, allowed, text)

    def test_wrong(self) -> None:
        """
        What is no version is named; and something must be left.
        """
        for text in (">=TLSv2", "!", ">=1.2", "SSLv2", "<=SSLv3", "!!TLSv1"):
            self.assertRaises(ValueError, protocols, [text])


class CipherTests(SynchronousTestCase):
    def test_grade(self) -> None:
        """
        A grade stands for a list; exclusions follow it.
        """
        self.assertEqual(ciphers("High", LISTS), "HIGH")
        self.assertEqual(
            ciphers("medium", LISTS, ["aNULL", "MD5,DES:RC4"]),
            "HIGH:MEDIUM:!aNULL:!MD5:!DES:!RC4",
        )
        self.assertEqual(ciphers("export", LISTS), "HIGH:MEDIUM")

    def test_wrong(self) -> None:
        """
        A grade that there is not, and an exclusion that would turn into
        something else, are refused.
        """
        self.assertRaises(ValueError, ciphers, "strong", LISTS)
        for word in ("!RC4", "+MD5", "-ALL", "@SECLEVEL=0"):
            self.assertRaises(ValueError, ciphers, "high", LISTS, [word])


class OtherTests(SynchronousTestCase):
    def test_options(self) -> None:
        """
        Options have names, and numbers.
        """
        self.assertEqual(options(["no_ticket", "0x400000"]), 1 << 14 | 1 << 22)
        self.assertRaises(ValueError, options, ["NO_SUCH"])

    def test_curves(self) -> None:
        """
        A grade says which curves.
        """
        auto = ["X25519", "secp384r1"]
        self.assertEqual(curves("auto", auto, "s", "u"), ("X25519", "secp384r1"))
        self.assertEqual(curves("strong", auto, "s", "u"), ("s",))
        self.assertEqual(curves("ultra", auto, "s", "u"), ("u",))
        self.assertEqual(curves("none", auto, "s", "u"), ())
        self.assertRaises(ValueError, curves, "best", auto, "s", "u")
