"""
Tests of L{txmta.smtp.client_sasl}.
"""

from __future__ import annotations

import base64

from twisted.trial.unittest import SynchronousTestCase

from txmta.smtp.client_sasl import (
    MAX_ROUNDS,
    BadChallenge,
    CramMD5,
    Credentials,
    OAuthBearer,
    Plain,
    PlainLogin,
    Scram,
    ScramSHA1,
    XOAuth2,
    allowed,
    choose,
)

ME = Credentials("me", "secret")
TOKEN = Credentials("me@x.test", "ya29", token=True)


class MechanismTests(SynchronousTestCase):
    def test_plain(self) -> None:
        self.assertEqual(Plain(ME).first(), b"\0me\0secret")
        act = Credentials("me", "s", authzid="you")
        self.assertEqual(Plain(act).first(), b"you\0me\0s")
        self.assertRaises(BadChallenge, Plain(ME).next, b"")

    def test_login(self) -> None:
        """
        Whatever the challenges say.
        """
        login = PlainLogin(ME)
        self.assertIsNone(login.first())
        self.assertEqual(login.next(b"Password:"), b"me")
        self.assertEqual(login.next(b""), b"secret")
        self.assertRaises(BadChallenge, login.next, b"again")

    def test_cram_md5(self) -> None:
        """
        The example of RFC 2195.
        """
        who = Credentials("tim", "tanstaaftanstaaf")
        answer = CramMD5(who).next(b"<1896.697170952@postoffice.reston.mci.net>")
        self.assertEqual(answer, b"tim b913a602c7eda7a495b4e6e7334d3890")

    def test_tokens(self) -> None:
        """
        The example of Google's page, and that of RFC 7628.
        """
        xoauth2 = XOAuth2(TOKEN)
        self.assertEqual(xoauth2.first(), b"user=me@x.test\x01auth=Bearer ya29\x01\x01")
        self.assertEqual(xoauth2.next(b'{"status":"400"}'), b"")
        bearer = OAuthBearer(Credentials("a,b=c", "t", token=True))
        self.assertEqual(bearer.first(), b"n,a=a=2Cb=3Dc,\x01auth=Bearer t\x01\x01")
        self.assertEqual(bearer.next(b"{}"), b"\x01")

    def test_never_shown(self) -> None:
        self.assertNotIn("secret", repr(ME))


class ScramTests(SynchronousTestCase):
    NONCE = "rOprNGfwEbeRWgbNEkqO"
    FIRST = (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

    def made(self) -> Scram:
        scram = Scram(Credentials("user", "pencil"), lambda: self.NONCE)
        self.assertEqual(scram.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        return scram

    def test_sha256(self) -> None:
        """
        The example of RFC 7677.
        """
        scram = self.made()
        self.assertEqual(
            scram.next(self.FIRST),
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        )
        self.assertFalse(scram.proven)
        self.assertEqual(scram.next(self.FINAL), b"")
        self.assertTrue(scram.proven)
        self.assertRaises(BadChallenge, scram.next, self.FINAL)

    def test_sha1(self) -> None:
        """
        The example of RFC 5802.
        """
        who = Credentials("user", "pencil")
        scram = ScramSHA1(who, lambda: "fyko+d2lbbFgONRv9qkxdawL")
        scram.first()
        answer = scram.next(
            b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
        )
        self.assertTrue(answer.endswith(b"p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="))
        scram.next(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")
        self.assertTrue(scram.proven)

    def test_impostor(self) -> None:
        """
        A server that does not know the password is found out.
        """
        scram = self.made()
        scram.next(self.FIRST)
        wrong = b"v=" + base64.b64encode(bytes(32))
        self.assertRaises(BadChallenge, scram.next, wrong)
        self.assertFalse(scram.proven)

    def test_bad_challenges(self) -> None:
        """
        Another nonce than ours, no salt, work without end: we do not go on.
        """
        for challenge in (
            b"",
            b"r",
            b"e=other-error",
            b"r=x,s=W22Z,i=4096",
            b"r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096",
            self.FIRST.replace(b"s=W22ZaJ0SNY7soEsUEjb6gQ==", b"s="),
            self.FIRST.replace(b"s=W22Z", b"s=!!!"),
            self.FIRST.replace(b"i=4096", b"i=0"),
            self.FIRST.replace(b"i=4096", b"i=%d" % (MAX_ROUNDS + 1)),
            b"m=x," + self.FIRST,
            b"\xff\xff",
        ):
            self.assertRaises(BadChallenge, self.made().next, challenge)

    def test_characters(self) -> None:
        """
        SASLprep; commas and equals signs in names.
        """
        scram = Scram(Credentials("a,b=c\u00ad\u2168", "x"), lambda: "n")
        self.assertEqual(scram.first(), b"n,,n=a=2Cb=3DcIX,r=n")
        bad = Scram(Credentials("a\u0340\u0080", "x"), lambda: "n")
        self.assertRaises(BadChallenge, bad.first)


class ChoiceTests(SynchronousTestCase):
    def chosen(self, offered: str, options: str, who: Credentials = ME) -> str:
        found = choose(offered.split(), who, options.split())
        return found[0] if found else ""

    def test_best(self) -> None:
        every = "LOGIN PLAIN XOAUTH2 OAUTHBEARER CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 X"
        self.assertEqual(self.chosen(every, "noanonymous"), "SCRAM-SHA-256")
        self.assertEqual(self.chosen("LOGIN PLAIN", "noanonymous"), "PLAIN")
        self.assertEqual(self.chosen("LOGIN X", ""), "LOGIN")
        self.assertEqual(self.chosen(every, "noanonymous", TOKEN), "OAUTHBEARER")

    def test_token(self) -> None:
        """
        A token is for nothing else; a password goes where only tokens may, as
        tables may have these.
        """
        self.assertEqual(self.chosen("PLAIN LOGIN", "", TOKEN), "")
        self.assertEqual(self.chosen("XOAUTH2", "", ME), "XOAUTH2")

    def test_options(self) -> None:
        self.assertEqual(self.chosen("PLAIN LOGIN XOAUTH2", "noplaintext"), "")
        self.assertEqual(self.chosen("PLAIN CRAM-MD5", "noplaintext"), "CRAM-MD5")
        self.assertEqual(self.chosen("CRAM-MD5", "mutual_auth"), "")
        self.assertEqual(
            self.chosen("CRAM-MD5 SCRAM-SHA-1", "mutual_auth"), "SCRAM-SHA-1"
        )
        self.assertEqual(self.chosen("CRAM-MD5 PLAIN", "noactive"), "")
        self.assertFalse(allowed("CRAM-MD5", ["nodictionary"]))
        self.assertFalse(allowed("SCRAM-SHA-256", ["forward_secrecy"]))
