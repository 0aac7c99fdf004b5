"""
L{txmta.delivery.local_names}
"""

from __future__ import annotations

import string
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.destinations import ToCommand
from txmta.delivery.local_names import censored, environment, expand_names
from txmta.delivery.questions import Account, Names
from txmta.model import LOCAL_CLIENT, Client, Envelope

NAMES = Names("Bob+Ext@Here.test", "bob+ext", "bob", "+", "ext")
PLAIN = Names("bob@here.test", "bob", "bob")
BOB = Account("bob", 1000, 1000, "/home/bob", "/bin/sh")
ALLOWED = string.ascii_letters + string.digits + "@.+-/"


class ExpandTests(SynchronousTestCase):
    def test_names(self) -> None:
        for text, expected in (
            ("$user", "bob"),
            ("${home}/$(shell)", "/home/bob//bin/sh"),
            ("$local-$mailbox", "bob+ext-bob+ext"),
            ("$recipient", "Bob+Ext@Here.test"),
            ("$domain", "here.test"),
            ("$recipient_delimiter$extension", "+ext"),
            ("${extension?{a}:{b}}", "a"),
            ("${nothing:none}", "none"),
            ("$$", "$"),
        ):
            expanded = expand_names(text, NAMES, BOB)
            self.assertEqual((expanded.text, expanded.complete), (expected, True), text)

    def test_incomplete(self) -> None:
        """
        A name without value that is used; to ask for it is not to use it.
        """
        for text, names, account, complete in (
            ("$extension", PLAIN, BOB, False),
            ("$home", PLAIN, None, False),
            ("$nothing", PLAIN, BOB, False),
            ("${extension?$extension}", PLAIN, BOB, True),
            ("$extension", replace(NAMES, extension=""), BOB, True),
            ("$recipient_delimiter", PLAIN, BOB, False),
        ):
            self.assertEqual(
                expand_names(text, names, account).complete, complete, text
            )

    def test_with_extension(self) -> None:
        for text, used in (
            ("$extension", True),
            ("${extension?x}", False),
            ("${extension?$extension}", True),
            ("$local", False),
        ):
            expanded = expand_names(text, NAMES, BOB)
            self.assertEqual(expanded.with_extension, used, text)

    def test_delimiter(self) -> None:
        """
        The one in the address; else the first there may be, as in Postfix.
        """
        names = replace(NAMES, delimiter="-")
        self.assertEqual(
            expand_names("$recipient_delimiter", names, None, "+-").text, "-"
        )
        self.assertEqual(
            expand_names("$recipient_delimiter", PLAIN, None, "+-").text, "+"
        )

    def test_malformed(self) -> None:
        for text in ("$", "${user", "${}", "$-"):
            self.assertRaises(ValueError, expand_names, text, NAMES, BOB)

    @given(st.text(), st.text())
    def test_filter(self, local: str, extension: str) -> None:
        """
        Whatever stands in an address: only what is allowed comes out, and
        what is written in the parameter stays.
        """
        names = Names(f"{local}@x", local, local, "+", extension)
        text = expand_names("[$local] [$extension]", names, None, allowed=ALLOWED).text
        self.assertLessEqual(set(text), set(ALLOWED + "_[] "))


class CensoredTests(SynchronousTestCase):
    def test_octets(self) -> None:
        """
        One underscore for each octet, as in Postfix.
        """
        self.assertEqual(censored("a\xe9b;\udcff\0", "ab"), "a__b___")
        self.assertEqual(censored("a;", None), "a;")


class EnvironmentTests(SynchronousTestCase):
    def setUp(self) -> None:
        client = Client("192.0.2.1", 25, "c.test")
        self.envelope = Envelope("Q", 0.0, "s@x.test", (), client, "helo", "ESMTP")
        self.to = ToCommand("cmd", BOB, NAMES, "s@x.test", "d@x", "Orig@Here.test")

    def test_all(self) -> None:
        """
        The names of local(8).
        """
        self.assertEqual(
            dict(environment(self.to, self.envelope, ALLOWED)),
            {
                b"HOME": b"/home/bob",
                b"LOGNAME": b"bob",
                b"USER": b"bob",
                b"SENDER": b"s@x.test",
                b"RECIPIENT": b"Bob+Ext@Here.test",
                b"LOCAL": b"bob+ext",
                b"SHELL": b"/bin/sh",
                b"DOMAIN": b"here.test",
                b"EXTENSION": b"ext",
                b"ORIGINAL_RECIPIENT": b"Orig@Here.test",
                b"CLIENT_HOSTNAME": b"c.test",
                b"CLIENT_ADDRESS": b"192.0.2.1",
                b"CLIENT_HELO": b"helo",
                b"CLIENT_PROTOCOL": b"ESMTP",
            },
        )

    def test_none(self) -> None:
        """
        What there is not, is not there; a null sender is an empty one.
        """
        to = replace(self.to, account=None, names=PLAIN, sender="", original="")
        envelope = replace(self.envelope, client=LOCAL_CLIENT, helo="", protocol="")
        found = dict(environment(to, envelope, ALLOWED))
        self.assertEqual(found[b"SENDER"], b"")
        absent = (b"HOME", b"SHELL", b"EXTENSION", b"ORIGINAL_RECIPIENT")
        for name in (*absent, b"CLIENT_HELO", b"CLIENT_PROTOCOL"):
            self.assertNotIn(name, found)

    @given(st.text())
    def test_filter(self, text: str) -> None:
        names = Names(f"{text}@x", text, text, "+", text)
        to = replace(self.to, names=names, sender=text, original=f"{text}@x")
        envelope = replace(self.envelope, helo=text)
        for _name, value in environment(to, envelope, ALLOWED):
            self.assertLessEqual(set(value), set(f"{ALLOWED}_".encode()))
