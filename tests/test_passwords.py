"""
Tests of hashes of passwords.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.support import require_library
from txmta import passwords
from txmta.passwords import BadHash, make, plain_text, scram_keys, verify

DOVECOT = (
    "{SSHA}M5tQPOTD1rstAn1oYFwdFh/UJkxzawKB",
    "{SSHA256}zSWP0sE2ZNWGNSzWUwqmwBFGPLd8rMrNCbqCIKEQ+gDW1XC1",
    (
        "{SSHA512}UoNglhmddA7c3TMQGDFyoRoh1/Z7l9SMY1xgbfZSdevNb94W3SMBYb6B6a8uq"
        "K+R5TXrM2Jh1AZGnrobkTzL8lNkV/8="
    ),
    ("{PBKDF2}$1$Qm6GiM.r4TgPTWpj$5000$bdde4c28324f6bf2637e21b9a07d3447b94b03e6"),
    (
        "{SCRAM-SHA-256}4096,HTvEFFFk1EKDq4Jt8WU2kg==,JI1U7VpGvYwIlziNs1B9roeKL"
        "C/a2Yz32JRgV1JVS20=,jO7dkCY0Ij1IBuBdrsXDoddhE2bZifDsdrlJOJk7OZo="
    ),
    ("{SHA256-CRYPT}$5$50oUrtqxWeBNwI3g$j7iGOiAZNzwn092UBeVeVS6ZSC/J9wO9/fZpjUHRhP6"),
    (
        "{SHA512-CRYPT}$6$vpaDBbtouP8o6fA1$h.xLAs7EhnzL6v9G9U0Qqf1dBQ24y./Uzq1s"
        "wg1cVULiFoZ/GqJSqCVs.HNCrzEKtwqKeU37n1ujk07qm5bZY0"
    ),
    ("{BLF-CRYPT}$2y$05$kArytxlT.a.3ewYuXHBtTu5t5jfbiLp49j4wsywWTbUN4GMuXcPGq"),
    "{CRYPT}$2y$05$RSEeqdP0M4CKbM9SlJTlEugX8lezcDTokWxYf3051zFBCMvV/H4au",
)


class KnownHashTests(SynchronousTestCase):
    """
    Hashes that others have made: of C{wonderland} by Dovecot's doveadm pw, unless
    the docstring says otherwise.
    """

    def check(self, stored: str, password: str = "wonderland") -> None:
        self.assertTrue(verify(stored, password), stored)
        self.assertFalse(verify(stored, password + "x"), stored)
        self.assertFalse(verify(stored, ""), stored)

    def test_plain(self) -> None:
        self.check("{PLAIN}wonderland")
        self.check("{cleartext}wonderland")

    def test_scram(self) -> None:
        """
        RFC 7677 section 3: the salt and rounds; the keys follow from the
        signatures that stand there.
        """
        keys = passwords.derive(
            b"pencil", passwords._octets("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096
        )
        self.assertEqual(
            passwords._b64(keys.server_key),
            "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        )

    def test_dovecot(self) -> None:
        for stored in DOVECOT:
            self.check(stored)

    def test_no_scheme(self) -> None:
        """
        What crypt(3) makes needs none.
        """
        self.check(
            next(x for x in DOVECOT if "$6$" in x).removeprefix("{SHA512-CRYPT}")
        )


class RoundTripTests(SynchronousTestCase):
    def test_each(self) -> None:
        """
        What is made can be checked, and no two are the same.
        """
        for scheme in passwords.MADE:
            if scheme == "ARGON2ID":
                require_library("argon2")
            stored = make("pass wörd", scheme)
            self.assertTrue(stored.startswith(f"{{{scheme}}}"))
            self.assertTrue(verify(stored, "pass wörd"), scheme)
            self.assertFalse(verify(stored, "pass word"), scheme)
            if scheme != "PLAIN":
                self.assertNotEqual(stored, make("pass wörd", scheme))
                self.assertNotIn("pass", stored)

    def test_keys(self) -> None:
        self.assertIsNotNone(scram_keys(make("x")))
        self.assertIsNone(scram_keys("{PLAIN}x"))
        self.assertEqual(plain_text("{PLAIN}x y"), "x y")
        self.assertIsNone(plain_text(make("x")))


class BadHashTests(SynchronousTestCase):
    def test_malformed(self) -> None:
        """
        Nobody logs in with what is no hash, and the words never show it.
        """
        for stored in (
            "",
            "secret",
            "{SECRET",
            "{NOSUCH}secret",
            "{SSHA256}secret",
            "{SSHA256}c2VjcmV0",
            "{SSHA256.HEX}secret",
            "{PBKDF2}secret",
            "{PBKDF2}$1$secret$0$00",
            "{PBKDF2}$1$secret$99999999999$00",
            "{SCRYPT}1$2$secret",
            "{SCRYPT}16777216$64$1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "{SCRAM-SHA-256}4096,secret",
            "{SCRAM-SHA-256}4096,AAAA,c2VjcmV0,c2VjcmV0",
            "{CRYPT}*",
            "{CRYPT}!",
            "{CRYPT}",
            "{CRYPT}x",
        ):
            with self.assertRaises(BadHash, msg=stored) as caught:
                verify(stored, "secret")
            self.assertNotIn("secret", str(caught.exception))

    def test_unknown_scheme(self) -> None:
        with self.assertRaises(BadHash) as caught:
            make("x", "MD5")
        self.assertIn("use one of", str(caught.exception))
