"""
Tests of L{txmta.rewrite.standard}.
"""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.rewrite.standard import (
    MAX_NESTING,
    Form,
    Peeling,
    Unwrapped,
    rewrite,
    unwrap,
)

FORM = Form("origin.example", "")
DOTTED = Form("origin.example", "domain.example")
REMOTE = Form()
PLAIN = Form("origin.example", "", swap_bangpath=False, percent_hack=False)

#: myorigin is ours, as it should be.
HERE = Form("here.example")

OURS = ("here", "here.example", "[192.0.2.1]")

#: Addresses where the operators are.
_PUZZLES = st.text(alphabet='ab@%!.,:;"\\ ()[]<>', max_size=14)


class RewriteTests(SynchronousTestCase):
    def test_unchanged(self) -> None:
        """
        What is in standard form stays as it is.
        """
        for address in (
            "user@example.com",
            "a b@example.com",
            "a@b@example.com",
            "a%b@example.com",
            "a!b@example.com",
            "user@[192.0.2.1]",
            "user@host",
            "@example.com",
            "user@",
            "user@a..",
            "user@.",
            "user+x@Example.COM",
            "\u00e4@b\u00fc.example",
            "",
        ):
            self.assertEqual(rewrite(address, FORM), address)

    def test_completion(self) -> None:
        """
        append_at_myorigin, append_dot_mydomain.
        """
        self.assertEqual(rewrite("user", FORM), "user@origin.example")
        self.assertEqual(rewrite("a b", FORM), "a b@origin.example")
        self.assertEqual(rewrite("user", DOTTED), "user@origin.example")
        self.assertEqual(rewrite("user@host", DOTTED), "user@host.domain.example")
        self.assertEqual(rewrite("user@[192.0.2.1]", DOTTED), "user@[192.0.2.1]")
        self.assertEqual(rewrite("user@", DOTTED), "user@")
        self.assertEqual(
            rewrite("user", Form("host", "domain.example")), "user@host.domain.example"
        )

    def test_remote(self) -> None:
        """
        Without remote_header_rewrite_domain nothing is added.
        """
        self.assertEqual(rewrite("user", REMOTE), "user")
        self.assertEqual(rewrite("user@host", REMOTE), "user@host")

    def test_last_dot(self) -> None:
        """
        One dot at the end of a domain goes away; broken forms stay.
        """
        self.assertEqual(rewrite("user@example.com.", FORM), "user@example.com")
        self.assertEqual(rewrite("user@host.", FORM), "user@host")

    def test_routes(self) -> None:
        """
        Source routes are ignored (RFC 5321 appendix C).
        """
        self.assertEqual(rewrite("@a,@b:user@c.example", FORM), "user@c.example")
        self.assertEqual(rewrite("@a:user", FORM), "user@origin.example")
        self.assertEqual(rewrite("@a:a b@c.example", FORM), "a b@c.example")

    def test_operators(self) -> None:
        """
        C{!} and C{%} count where no C{@} is, C{!} first.
        """
        self.assertEqual(rewrite("site!user", FORM), "user@site")
        self.assertEqual(rewrite("a!b!user", FORM), "b!user@a")
        self.assertEqual(rewrite("user%host", FORM), "user@host")
        self.assertEqual(rewrite("user%a%b", FORM), "user%a@b")
        self.assertEqual(rewrite("a!user%b", FORM), "user%b@a")
        self.assertEqual(rewrite("site!user", PLAIN), "site!user@origin.example")
        self.assertEqual(rewrite("user%host", PLAIN), "user%host@origin.example")

    @given(_PUZZLES)
    def test_once(self, address: str) -> None:
        """
        Total, and no line end comes out of it.
        """
        self.assertTrue(rewrite(address, FORM).isprintable())


class UnwrapTests(SynchronousTestCase):
    def unwrap(
        self,
        address: str,
        form: Form = HERE,
        ours: Collection[str] = OURS,
        *,
        dequoted: bool = True,
        null_domain: bool = False,
        numeric_domain: bool = False,
    ) -> Unwrapped:
        how = Peeling(
            form,
            "here.example",
            dequoted=dequoted,
            null_domain=null_domain,
            numeric_domain=numeric_domain,
        )
        asking = unwrap(address, how)
        try:
            domain = next(asking)
            while True:
                domain = asking.send(domain in ours)
        except StopIteration as e:
            found = e.value
            assert isinstance(found, Unwrapped)
            return found

    def test_plain(self) -> None:
        """
        Nothing to peel off.
        """
        self.assertEqual(
            self.unwrap("user@there.example"),
            Unwrapped("user@there.example", "there.example", False, False, False),
        )
        self.assertEqual(
            self.unwrap("user@here"), Unwrapped("user@here", "here", True, False, False)
        )

    def test_ours_peeled_off(self) -> None:
        """
        What is behind a domain of ours decides, in whatever form it is.
        """
        for address in (
            "user@there.example@here",
            "user%there.example@here",
            "there.example!user@here",
            "user%there.example%here@here.example",
            "here!there.example!user",
            "user%there.example@[192.0.2.1]",
            "@here:user@there.example@here",
            "user%there.example%here@here",
        ):
            found = self.unwrap(address)
            self.assertEqual(
                (found.domain, found.local), ("there.example", False), address
            )
            self.assertIn("user@", found.recipient, address)

    def test_quotes_hide_nothing(self) -> None:
        """
        resolve_dequoted_address: quotes around a routing operator are no way
        to have mail relayed.
        """
        for address in ("us er%there.example@here", "us er@there.example@here"):
            self.assertEqual(self.unwrap(address).recipient, "us er@there.example")
            kept = self.unwrap(address, dequoted=False)
            self.assertTrue(kept.local)
            self.assertTrue(kept.routed)

    def test_routed(self) -> None:
        """
        Operators left in front of a domain that is not ours are told, even
        when we do not follow them ourselves.
        """
        for address in (
            "user%there.example@relay.example",
            "there.example!user@relay.example",
            "user@there.example@relay.example",
        ):
            for form in (HERE, PLAIN):
                found = self.unwrap(address, form)
                self.assertEqual(found.domain, "relay.example")
                self.assertTrue(found.routed, address)
        found = self.unwrap("user%there.example@here", PLAIN)
        self.assertTrue(found.local and found.routed)

    def test_nobody(self) -> None:
        """
        An empty local part is the mailer daemon's.
        """
        for address in ("", "@here", "@here@here.example", "@"):
            found = self.unwrap(address)
            self.assertTrue(found.local, address)
            self.assertEqual(found.recipient.split("@")[0], "MAILER-DAEMON")

    def test_no_domain(self) -> None:
        """
        An address without domain is for this host.
        """
        self.assertEqual(self.unwrap("user").recipient, "user@here.example")

    def test_bad(self) -> None:
        """
        A domain that cannot be is marked, wherever it was hidden.
        """
        for address in (
            "user@a..b",
            "user@192.0.2.7",
            "user@[192.0.2.999]",
            "user@[]",
            "user@",
            "user%a..b@here",
            "user@192.0.2.7@here",
            "user@-a",
        ):
            self.assertTrue(self.unwrap(address).bad, address)

    def test_numeric(self) -> None:
        """
        resolve_numeric_domain puts the brackets round an address.
        """
        found = self.unwrap("user@192.0.2.7", numeric_domain=True)
        self.assertEqual((found.recipient, found.bad), ("user@[192.0.2.7]", False))
        self.assertTrue(self.unwrap("user@192.0.2.1", numeric_domain=True).local)

    def test_null_domain(self) -> None:
        """
        resolve_null_domain: C{user@} is ours.
        """
        found = self.unwrap("user@", null_domain=True)
        self.assertEqual((found.recipient, found.local), ("user@here.example", True))

    def test_nesting(self) -> None:
        """
        Taking apart ends: an address may not keep us busy.
        """
        self.assertFalse(self.unwrap("user" + "@here" * (MAX_NESTING - 2)).bad)
        self.assertTrue(self.unwrap("user" + "@here" * (MAX_NESTING + 2)).bad)

    @given(_PUZZLES, st.sampled_from([HERE, DOTTED, PLAIN]))
    def test_total(self, address: str, form: Form) -> None:
        """
        Any text is taken apart, and a good result has a domain, which is
        ours if it is said to be.
        """
        found = self.unwrap(address, form)
        if not found.bad:
            self.assertEqual(found.recipient.rpartition("@")[2], found.domain)
            self.assertEqual(
                found.local, found.domain in OURS, (address, found.recipient)
            )

    @given(
        st.lists(
            st.sampled_from(["a", "here", "relay.example", "@", "%", "!", '"', "."]),
            max_size=9,
        )
    )
    def test_no_relaying_behind_our_back(self, pieces: list[str]) -> None:
        """
        When an address is ours without being called routed, no operator is
        left in it that the next to look at it might follow.
        """
        found = self.unwrap("".join(pieces))
        if found.local and not found.routed:
            self.assertNotRegex(found.recipient.rpartition("@")[0], "[@%!]")
