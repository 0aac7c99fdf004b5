"""
Tests of L{txmta.delivery.smtp_lookup}.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, execute, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.smtp.doubles import Names
from txmta.delivery.smtp import native_lookup
from txmta.delivery.smtp_hosts import Found, OrderRules, parse_nexthop
from txmta.delivery.smtp_lookup import MAX_MX, HostLookup, LookupRules
from txmta.smtp.client_trouble import Trouble

FOUR, SIX = "192.0.2.1", "2001:db8::1"
NOT_FOUND = "Host or domain name not found. Name service error for name="


class LookupTests(SynchronousTestCase):
    """
    L{HostLookup}
    """

    def setUp(self) -> None:
        self.names = Names()
        self.warnings: list[str] = []

    def find(self, nexthop: str, **rules: Any) -> Found:
        lookup = HostLookup(
            self.names, LookupRules(OrderRules(()), **rules), self.warnings.append
        )
        found = lookup.find(parse_nexthop(nexthop, 25))
        return self.successResultOf(Deferred.fromCoroutine(found))

    def trouble(self, nexthop: str, **rules: Any) -> tuple[str, str]:
        found = self.find(nexthop, **rules)
        assert found.trouble is not None and not found.targets
        return found.trouble.status, found.trouble.reason

    def test_both_families(self) -> None:
        """
        Addresses of both families; or of the one that inet_protocols has.
        """
        self.names.host("x.test", FOUR, SIX)
        self.assertEqual([t.address for t in self.find("x.test").targets], [FOUR, SIX])
        only = self.find("x.test", kinds=("A",))
        self.assertEqual([t.address for t in only.targets], [FOUR])
        self.assertNotIn(("x.test", "AAAA"), self.names.asked[3:])

    def test_one_family_fails(self) -> None:
        """
        An address is enough, though the other family cannot be asked for.
        """
        self.names.host("x.test", FOUR)
        self.names.records["x.test", "AAAA"] = "Host not found, try again"
        for self.names.later in (False, True):
            self.assertEqual(len(self.find("x.test").targets), 1)

    def test_uncertain(self) -> None:
        """
        No address of one family, and no answer for the other: not for good,
        in whichever order.
        """
        for kind in ("A", "AAAA"):
            self.setUp()
            self.names.mx("x.test")
            self.names.records["x.test", kind] = "Host not found, try again"
            status, reason = self.trouble("x.test")
            self.assertEqual(status, "4.4.3")
            self.assertIn(f"type={kind}: Host not found, try again", reason)

    def test_no_address(self) -> None:
        """
        A name without addresses is not the same as no such name.
        """
        self.names.mx("x.test")
        self.assertEqual(
            self.trouble("x.test"),
            (
                "5.4.4",
                f"{NOT_FOUND}x.test type=AAAA:"
                " Host found but no data record of requested type",
            ),
        )
        self.assertEqual(
            self.trouble("y.test", kinds=("A",)),
            ("5.4.4", f"{NOT_FOUND}y.test type=A: Host not found"),
        )

    def test_mx_without_address(self) -> None:
        """
        No MX host has an address: returned, with a warning; or deferred with
        smtp_defer_if_no_mx_address_found. The domain's own address is not
        used (RFC 5321 section 5.1).
        """
        self.names.mx("x.test", (10, "gone.test"))
        self.names.host("x.test", FOUR)
        reason = f"{NOT_FOUND}gone.test type=AAAA: Host not found"
        self.assertEqual(self.trouble("x.test"), ("5.4.4", reason))
        self.assertEqual(
            self.warnings, ["no MX host for x.test has a valid address record"]
        )
        self.assertEqual(
            self.trouble("x.test", defer_no_address=True), ("4.4.4", reason)
        )

    def test_some_mx_without_address(self) -> None:
        """
        One of the hosts is enough.
        """
        self.names.mx("x.test", (10, "gone.test"), (20, "there.test"))
        self.names.host("there.test", FOUR)
        self.names.records["gone.test", "A"] = "Host not found, try again"
        (target,) = self.find("x.test").targets
        self.assertEqual((target.host, target.preference), ("there.test", 20))

    def test_ignore_mx_error(self) -> None:
        """
        ignore_mx_lookup_error = yes: the host itself is tried.
        """
        self.names.host("x.test", FOUR)
        self.names.records["x.test", "MX"] = "Host not found, try again"
        self.assertEqual(self.trouble("x.test")[0], "4.4.3")
        self.assertEqual(len(self.find("x.test", ignore_mx_error=True).targets), 1)

    def test_null_among_others(self) -> None:
        """
        A null MX beside real hosts is not one (RFC 7505 section 3).
        """
        self.names.mx("x.test", (0, ""), (10, "there.test"))
        self.names.host("there.test", FOUR)
        self.assertEqual(len(self.find("x.test").targets), 1)

    def test_many(self) -> None:
        """
        A domain cannot make us ask for thousands of hosts; the most
        preferred are asked for.
        """
        self.names.mx("x.test", *[(n, f"h{n}.test") for n in range(5000, 0, -1)])
        self.trouble("x.test")
        hosts = [name for name, kind in self.names.asked if kind == "A"]
        self.assertEqual(hosts, [f"h{n}.test" for n in range(1, MAX_MX + 1)])

    def test_literal_mx(self) -> None:
        """
        An MX record that holds an address works, as in Postfix.
        """
        self.names.mx("x.test", (10, FOUR))
        self.assertEqual([t.address for t in self.find("x.test").targets], [FOUR])

    def test_wrong_family(self) -> None:
        """
        An address of a protocol that we do not speak.
        """
        self.assertEqual(self.trouble(f"[{SIX}]", kinds=("A",))[0], "5.4.4")

    def test_names(self) -> None:
        """
        Names that are none are not asked for; U-labels are asked for as
        A-labels.
        """
        for bad in ("a b.test", "x..test", "-", "a" * 64 + ".test", "\ud800.test", "*"):
            status, reason = self.trouble(bad)
            self.assertEqual(status, "5.4.4", bad)
            self.assertIn("invalid host or domain name", reason)
        self.assertEqual(self.names.asked, [])
        self.trouble("b\xfccher.test")
        self.assertIn(("xn--bcher-kva.test", "MX"), self.names.asked)

    def test_no_dns(self) -> None:
        """
        smtp_dns_support_level = disabled: no MX, no DNS at all.
        """

        def native(host: str) -> Deferred[Sequence[str] | Trouble]:
            return succeed([FOUR])

        found = self.find("x.test", mx=False, dns=False, native=native)
        self.assertEqual(len(found.targets), 1)
        self.assertEqual(self.names.asked, [])

    def test_native_after_dns(self) -> None:
        """
        smtp_host_lookup = dns, native: the second is asked if the first does
        not know; what is uncertain stays so.
        """

        def missing(host: str) -> Deferred[Sequence[str] | Trouble]:
            return succeed(Trouble("5.4.4", "unable to look up host"))

        def there(host: str) -> Deferred[Sequence[str] | Trouble]:
            return succeed([SIX])

        self.assertEqual(len(self.find("x.test", native=there).targets), 1)
        self.assertEqual(self.trouble("x.test", native=missing)[0], "5.4.4")
        self.names.records["x.test", "A"] = "Host not found, try again"
        self.assertEqual(self.trouble("x.test", native=missing)[0], "4.4.3")


class NativeTests(SynchronousTestCase):
    """
    L{native_lookup}
    """

    def ask(self, answer: Any, protocols: Sequence[str] = ("ipv4", "ipv6")) -> Any:
        def getaddrinfo(function: Any, *args: Any, **more: Any) -> Any:
            self.assertIs(function, socket.getaddrinfo)
            if isinstance(answer, Exception):
                raise answer
            return answer

        def in_thread(function: Any, *args: Any, **more: Any) -> Deferred[Any]:
            return execute(getaddrinfo, function, *args, **more)

        return self.successResultOf(native_lookup(in_thread, protocols)("x"))

    def test_addresses(self) -> None:
        """
        Each address once, of the families that we speak, without scope.
        """
        answer = [
            (socket.AF_INET, 1, 6, "", (FOUR, 0)),
            (socket.AF_INET, 1, 6, "", (FOUR, 0)),
            (socket.AF_INET6, 1, 6, "", ("fe80::1%eth0", 0, 0, 2)),
        ]
        self.assertEqual(self.ask(answer), [FOUR, "fe80::1"])
        self.assertEqual(self.ask(answer, ("ipv4",)), [FOUR])
        nothing = self.ask([], ("ipv4",))
        self.assertEqual(nothing, Trouble("5.4.4", "x: host not found"))

    def test_errors(self) -> None:
        """
        Only "there is no such name" is for good.
        """
        missing = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self.assertEqual(
            self.ask(missing),
            Trouble("5.4.4", "unable to look up host x: Name or service not known"),
        )
        for error in (socket.gaierror(socket.EAI_AGAIN, "again"), OSError(24, "files")):
            self.assertEqual(self.ask(error).status[0], "4")
