"""
Tests of L{txmta.maps.hosts}.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txmta.maps.hosts import Hosts, host_address
from txmta.maps.wire import LIMIT
from txmta.maps.workers import Broken


class Made:
    """
    A connection.
    """

    def __init__(self, host: str) -> None:
        self.host = host

    def ask(self, values: Sequence[str]) -> Sequence[str | None]:
        return values

    def close(self) -> None:
        pass


class HostsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.down: set[str] = set()
        self.tried: list[str] = []

    def connect(self, host: str) -> Made:
        self.tried.append(host)
        if host in self.down:
            raise Broken("refused")
        return Made(host)

    def ask(self, hosts: Hosts) -> list[str]:
        """
        @return: what was tried.
        """
        self.tried.clear()
        hosts.connect(self.connect)
        return list(self.tried)

    def test_address(self) -> None:
        """
        All forms of mysql_table(5).
        """
        for item, wanted in (
            ("h", ("h", 6379)),
            ("inet:h:1", ("h", 1)),
            ("[::1]:1", ("::1", 1)),
            ("unix:/run/x", "/run/x"),
            ("/run/x", "/run/x"),
        ):
            self.assertEqual(host_address(item, 6379), wanted)
        for item in ("h:x", ":1", "h:0", "h:65536", "inet:"):
            self.assertRaises(ValueError, host_address, item, 1)

    def test_order(self) -> None:
        """
        Sockets are tried first; else it is at random.
        """
        hosts = Hosts(["a", "unix:/s", "b", "/t"], seconds=self.clock.seconds)
        first = {self.ask(hosts)[0] for _ in range(100)}
        self.assertEqual(first, {"unix:/s", "/t"})
        self.down = {"unix:/s", "/t"}
        last = {self.ask(hosts)[-1] for _ in range(100)}
        self.assertEqual(last, {"a", "b"})

    def test_set_aside(self) -> None:
        """
        One that failed is tried last for a while, and then as before; if it
        is the only one, it is tried all the same.
        """
        hosts = Hosts(["unix:/s", "b"], 60, self.clock.seconds)
        self.down = {"unix:/s"}
        self.assertEqual(self.ask(hosts), ["unix:/s", "b"])
        self.assertEqual(self.ask(hosts), ["b"])
        self.clock.advance(61)
        self.assertEqual(self.ask(hosts), ["unix:/s", "b"])
        self.down = {"b"}
        self.assertEqual(self.ask(hosts), ["b", "unix:/s"])
        self.assertEqual(self.ask(hosts), ["unix:/s"])

    def test_none(self) -> None:
        """
        All are tried, and the last one's trouble told.
        """
        self.down = {"a", "b"}
        hosts = Hosts(["a", "b"], seconds=self.clock.seconds)
        error = self.assertRaises(Broken, hosts.connect, self.connect)
        self.assertIn(f"{self.tried[-1]}: refused", str(error))
        self.assertEqual(sorted(self.tried), ["a", "b"])

    def test_too_late(self) -> None:
        """
        When nobody waits any more, no other one is tried.
        """

        def connect(host: str) -> Made:
            self.clock.advance(LIMIT + 1)
            return self.connect(host)

        self.down = {"a", "b"}
        hosts = Hosts(["a", "b"], seconds=self.clock.seconds)
        self.assertRaises(Broken, hosts.connect, connect)
        self.assertEqual(len(self.tried), 1)
