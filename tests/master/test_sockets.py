"""
Tests of the addresses to listen on.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.declare import Interface, System
from txmta.config.master_cf import parse_master_cf
from txmta.config.settings import Definition, Settings
from txmta.errors import ConfigError
from txmta.master.sockets import listens, split_name

SYSTEM = System(
    "vm",
    (
        Interface("127.0.0.1", "127.0.0.0/8"),
        Interface("192.0.2.2", "192.0.2.0/24"),
        Interface("::1", "::1/128"),
        Interface("fe80::1", "fe80::/64"),
    ),
    {"localhost": ("127.0.0.1", "::1")},
)


def port_of(name: str) -> int:
    if name != "amqp":
        raise OSError("service/proto not found")
    return 5672


def addresses(*names: str, **values: str) -> list[str]:
    """
    @param names: of smtpd services.
    """
    rows = "".join(f"{name} inet n - n - - smtpd\n" for name in names)
    definitions = {name: Definition(text, name) for name, text in values.items()}
    settings = Settings(definitions, SYSTEM)
    found = listens(parse_master_cf("master.cf", rows), settings, port_of)
    return [str(listen) for listen in found]


class ListensTests(SynchronousTestCase):
    def test_all(self) -> None:
        """
        A port alone: one wildcard for each protocol.
        """
        self.assertEqual(addresses("smtp"), ["0.0.0.0:25", "[::]:25"])
        self.assertEqual(addresses("2525", inet_protocols="ipv4"), ["0.0.0.0:2525"])
        self.assertEqual(addresses(":2525", inet_protocols="ipv6"), ["[::]:2525"])

    def test_interfaces(self) -> None:
        """
        A port alone, with inet_interfaces: each of these addresses.
        """
        self.assertEqual(
            addresses("smtp", inet_interfaces="192.0.2.2, [::1]"),
            ["192.0.2.2:25", "[::1]:25"],
        )
        self.assertEqual(
            addresses("smtp", inet_interfaces="loopback-only"),
            ["127.0.0.1:25", "[::1]:25"],
        )

    def test_host(self) -> None:
        """
        A host in master.cf counts instead of inet_interfaces.
        """
        found = addresses(
            "127.0.0.1:2525",
            "[::1]:2525",
            "localhost:submission",
            inet_interfaces="192.0.2.2",
        )
        self.assertEqual(
            found,
            ["127.0.0.1:2525", "[::1]:2525", "127.0.0.1:587", "[::1]:587"],
        )

    def test_service_names(self) -> None:
        """
        The usual names work without /etc/services, others are looked up.
        """
        self.assertEqual(
            addresses(
                "smtp", "submission", "submissions", "amqp", inet_protocols="ipv4"
            ),
            ["0.0.0.0:25", "0.0.0.0:587", "0.0.0.0:465", "0.0.0.0:5672"],
        )

    def test_only_ours(self) -> None:
        """
        A service that is not built, or no inet service, does not listen.
        """
        rows = "smtp inet n - n - 1 anvil\nsmtp unix - - n - - smtpd\n"
        services = parse_master_cf("master.cf", rows)
        self.assertEqual(listens(services, Settings.of(), port_of), ())

    def test_problems(self) -> None:
        """
        All problems, each with the line of master.cf.
        """
        error = self.assertRaises(
            ConfigError,
            addresses,
            "nosuch",
            "0",
            "70000",
            "nosuch.example:25",
            "a:b:c",
            "[::1]:25",
            "smtp",
            "25",
            inet_protocols="ipv4",
        )
        assert isinstance(error, ConfigError)
        expected = (
            "line 1: service nosuch: unknown port",
            "line 2: service 0: is no port",
            "line 3: service 70000: is no port",
            "line 4: host not found: nosuch.example",
            "line 5: service a:b:c: is no address",
            "line 6: ::1 has no address of the protocols",
            "line 8: service 25: master.cf, line 7 listens on 0.0.0.0:25 already",
        )
        self.assertEqual(len(error.problems), len(expected))
        for words, problem in zip(expected, error.problems, strict=True):
            self.assertIn(f"master.cf, {words}", problem)

    def test_no_address(self) -> None:
        error = self.assertRaises(
            ConfigError,
            addresses,
            "smtp",
            inet_interfaces="",
        )
        self.assertIn("leave no address", str(error))

    def test_split(self) -> None:
        self.assertEqual(split_name("smtp"), ("", "smtp"))
        self.assertEqual(split_name("a.b:25"), ("a.b", "25"))
        self.assertEqual(split_name("[::1]:25"), ("::1", "25"))
        self.assertEqual(split_name("[127.0.0.1]:25"), ("127.0.0.1", "25"))
        for bad in ("", "::1:25", "[::1]", "[::1]25", "[a]:b:c"):
            self.assertRaises(ValueError, split_name, bad)
