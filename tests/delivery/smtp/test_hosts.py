"""
Tests of L{txmta.delivery.smtp_hosts}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.smtp_hosts import (
    Destination,
    Found,
    OrderRules,
    arrange,
    is_ipv6,
    parse_nexthop,
    port_number,
)
from txmta.smtp.client_events import Target

FOUR = [f"192.0.2.{n}" for n in range(1, 10)]
SIX = [f"2001:db8::{n}" for n in range(1, 10)]
OWN = ("192.0.2.99",)


def targets(*hosts: tuple[int, str]) -> list[Target]:
    return [Target(f"h{n}", address, 25, n) for n, address in hosts]


class NexthopTests(SynchronousTestCase):
    """
    L{parse_nexthop}; the forms themselves are tested with the agent.
    """

    def test_exact(self) -> None:
        """
        Only brackets suppress MX lookups.
        """
        self.assertTrue(parse_nexthop("[x.test]", 25).exact)
        self.assertFalse(parse_nexthop("x.test", 25).exact)

    def test_ports(self) -> None:
        """
        Numbers and the names that mail uses.
        """
        self.assertEqual(port_number("smtp"), 25)
        self.assertEqual(port_number("Submission"), 587)
        self.assertEqual(port_number("65535"), 65535)
        for text in ("0", "65536", "-1", "+25", "1" * 5000, "\u0661", "", "nosuch"):
            self.assertRaises(ValueError, port_number, text)

    @settings(deadline=None)
    @given(st.text(max_size=20))
    def test_total(self, text: str) -> None:
        """
        Any text is understood, or a C{ValueError}.
        """
        try:
            found = parse_nexthop(text, 25)
        except ValueError:
            return
        self.assertTrue(found.host and 0 < found.port < 65536)


class OrderTests(SynchronousTestCase):
    """
    L{arrange}
    """

    def arrange(
        self, hosts: list[Target], rules: OrderRules, port: int = 25, first: int = -1
    ) -> Found:
        where = Destination("x.test", "x.test", port, False)
        return arrange(where, hosts, rules, hosts[0].preference if first < 0 else first)

    def order(self, hosts: list[Target], rules: OrderRules) -> list[str]:
        return [t.address for t in self.arrange(hosts, rules).targets]

    def test_preference(self) -> None:
        """
        Lower preference first, whatever chance says (RFC 5321 section 5.1).
        """
        hosts = targets((10, FOUR[0]), (10, FOUR[1]), (20, FOUR[2]))
        rules = OrderRules(OWN, shuffle=lambda some: some.reverse())
        self.assertEqual(self.order(hosts, rules), [FOUR[1], FOUR[0], FOUR[2]])
        still = OrderRules(OWN, shuffle=None)
        self.assertEqual(self.order(hosts, still), FOUR[:3])

    def test_family(self) -> None:
        """
        smtp_address_preference decides among equal preferences only.
        """
        hosts = targets((10, FOUR[0]), (10, SIX[0]), (20, FOUR[1]), (20, SIX[1]))
        for preference, expected in (
            ("any", [FOUR[0], SIX[0], FOUR[1], SIX[1]]),
            ("ipv4", [FOUR[0], SIX[0], FOUR[1], SIX[1]]),
            ("ipv6", [SIX[0], FOUR[0], SIX[1], FOUR[1]]),
        ):
            rules = OrderRules(OWN, preference=preference)
            self.assertEqual(self.order(hosts, rules), expected)

    def test_best(self) -> None:
        """
        The most preferred hosts that can be tried are marked.
        """
        found = self.arrange(
            targets((10, FOUR[0]), (10, FOUR[1]), (20, FOUR[2])), OrderRules(OWN)
        )
        self.assertEqual([t.best for t in found.targets], [True, True, False])

    def test_balance(self) -> None:
        """
        Neither protocol crowds the other out of the address limit, as in
        Postfix: half each, or all of the lesser.
        """
        for six, four, limit, kept in (
            (9, 1, 5, (4, 1)),
            (1, 9, 5, (1, 4)),
            (9, 9, 5, (3, 2)),
            (9, 9, 4, (2, 2)),
            (3, 2, 5, (3, 2)),
            (9, 0, 5, (9, 0)),
        ):
            hosts = targets(*[(1, a) for a in SIX[:six] + FOUR[:four]])
            got = self.arrange(hosts, OrderRules(OWN, address_limit=limit)).targets
            count = sum(map(is_ipv6, got))
            self.assertEqual((count, len(got) - count), kept, (six, four, limit))
        off = OrderRules(OWN, balance=False)
        hosts = targets(*[(1, a) for a in SIX + FOUR])
        self.assertEqual(len(self.arrange(hosts, off).targets), 18)

    def test_four_first(self) -> None:
        """
        The odd place goes to the protocol that comes first.
        """
        hosts = targets(*[(1, a) for a in FOUR + SIX])
        got = self.arrange(hosts, OrderRules(OWN)).targets
        self.assertEqual(sum(map(is_ipv6, got)), 2)

    def test_myself(self) -> None:
        """
        Whoever is not better than ourselves is not tried.
        """
        hosts = targets((10, FOUR[0]), (20, OWN[0]), (20, FOUR[1]), (30, FOUR[2]))
        found = self.arrange(hosts, OrderRules(OWN))
        self.assertEqual([t.address for t in found.targets], [FOUR[0]])
        self.assertTrue(found.myself)

    def test_myself_next_to_best(self) -> None:
        """
        If the better hosts have no address just now, mail waits for them:
        that is no loop.
        """
        found = self.arrange(targets((20, OWN[0])), OrderRules(OWN), first=10)
        assert found.trouble is not None
        self.assertEqual(found.trouble.status, "4.4.4")
        self.assertEqual(
            found.trouble.reason, "unable to find primary relay for x.test"
        )

    def test_other_port(self) -> None:
        """
        Loops are looked for at port 25 only, as in Postfix.
        """
        found = self.arrange(targets((20, OWN[0])), OrderRules(OWN), port=10025)
        self.assertFalse(found.myself)
        self.assertEqual(len(found.targets), 1)
