"""
Tests of inet_interfaces, inet_protocols and mynetworks_style.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.addresses import families, networks, own_interfaces
from txmta.config.declare import Interface, System
from txmta.config.networks import is_everybody, wrong

SYSTEM = System(
    "vm",
    (
        Interface("127.0.0.1", "127.0.0.0/8"),
        Interface("192.0.2.2", "192.0.2.0/26"),
        Interface("10.1.2.3", "10.1.2.3/32"),
        Interface("::1", "::1/128"),
        Interface("2001:db8::2", "2001:db8::/56"),
    ),
    {"localhost": ("127.0.0.1", "::1"), "mail.example.com": ("192.0.2.2",)},
)


def own(*words: str, protocols: tuple[str, ...] = ("all",)) -> list[str]:
    return [i.address for i in own_interfaces(words, protocols, SYSTEM)]


class OwnTests(SynchronousTestCase):
    def test_all(self) -> None:
        self.assertEqual(own("all"), [i.address for i in SYSTEM.interfaces])
        self.assertEqual(
            own("all", protocols=("ipv6",)),
            ["::1", "2001:db8::2"],
        )

    def test_loopback_only(self) -> None:
        self.assertEqual(own("loopback-only"), ["127.0.0.1", "::1"])

    def test_none(self) -> None:
        self.assertEqual(own(), [])

    def test_addresses_and_names(self) -> None:
        """
        Addresses, IPv6 with or without brackets, and names of /etc/hosts,
        each once.
        """
        self.assertEqual(
            own("[::1]", "mail.example.com", "192.0.2.2", "2001:DB8::2"),
            ["::1", "192.0.2.2", "2001:db8::2"],
        )
        self.assertEqual(own("LocalHost", protocols=("ipv4",)), ["127.0.0.1"])

    def test_wrong(self) -> None:
        """
        An address that this machine does not have, an unknown name, or one
        without address of the protocols in use, is told.
        """
        for words, protocols, expected in (
            (("10.9.9.9",), ("all",), "no local interface found for 10.9.9.9"),
            (("nosuch.example",), ("all",), "host not found: nosuch.example"),
            (("all", "127.0.0.1"), ("all",), "host not found: all"),
            (("[::1]",), ("ipv4",), "no address of the protocols"),
        ):
            error = self.assertRaises(
                ValueError, own_interfaces, words, protocols, SYSTEM
            )
            self.assertIn(expected, str(error))

    def test_families(self) -> None:
        self.assertEqual(families(("ipv6", "ipv4")), ("ipv4", "ipv6"))
        self.assertRaises(ValueError, families, ("ipx",))


class NetworksTests(SynchronousTestCase):
    def test_styles(self) -> None:
        """
        From the real netmasks, in the form that C{postconf} prints.
        """
        self.assertEqual(
            networks(SYSTEM.interfaces, "host"),
            "127.0.0.1/32 192.0.2.2/32 10.1.2.3/32 [::1]/128 [2001:db8::2]/128",
        )
        self.assertEqual(
            networks(SYSTEM.interfaces, "subnet"),
            "127.0.0.0/8 192.0.2.0/26 10.1.2.3/32 [::1]/128 [2001:db8::]/56",
        )
        self.assertEqual(
            networks(SYSTEM.interfaces, "class"),
            "127.0.0.0/8 192.0.2.0/24 10.0.0.0/8 [::1]/128 [2001:db8::]/56",
        )

    def test_each_once(self) -> None:
        two = (Interface("10.0.0.1", "10.0.0.0/8"), Interface("10.0.0.2", "10.0.0.0/8"))
        self.assertEqual(networks(two, "subnet"), "10.0.0.0/8")

    def test_no_class(self) -> None:
        self.assertRaises(
            ValueError, networks, (Interface("240.0.0.1", "240.0.0.0/4"),), "class"
        )


class PatternTests(SynchronousTestCase):
    def test_right(self) -> None:
        for word in (
            "127.0.0.0/8",
            "!192.0.2.1",
            "[::1]/128",
            "[::ffff:127.0.0.0]/104",
            "[2001:db8::1]",
            "example.com",
            ".example.com",
            "/etc/networks",
            "hash:/etc/networks",
            "proxy:hash:/etc/networks",
            "cidr:/etc/postfix/n",
        ):
            self.assertEqual(wrong(word), "", word)

    def test_wrong(self) -> None:
        """
        What Postfix would refuse at the first client is refused at the start,
        with what was probably meant.
        """
        for word, remedy in (
            ("192.168.1.5/24", "write 192.168.1.0/24"),
            ("[2001:db8::1]/32", "write [2001:db8::]/32"),
            ("::1/128", "write IPv6 in brackets: [::1]/128"),
            ("!::1", "[::1]"),
            ("10.0.0.0/33", "no network"),
            ("10.0.0", "no network"),
            ("[x]/8", "no network"),
            ("1.2.3.4.5", "no network"),
        ):
            self.assertIn(remedy, wrong(word), word)

    def test_everybody(self) -> None:
        for word in ("0.0.0.0/0", "0/0", "[::]/0"):
            self.assertTrue(is_everybody(word))
        for word in ("10.0.0.0/8", "[::1]/128", "0.0.0.0", "!0.0.0.0/0"):
            self.assertFalse(is_everybody(word))
