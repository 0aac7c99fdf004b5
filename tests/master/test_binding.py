"""
Tests of opening the listening sockets, on loopback addresses.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.master_cf import builtin_master_cf
from txmta.errors import ConfigError
from txmta.master.binding import Bound, bind_all, port_of
from txmta.master.sockets import Listen

SERVICE = builtin_master_cf()[0]


class BindTests(SynchronousTestCase):
    def bind(self, *addresses: tuple[str, int]) -> Sequence[Bound]:
        bound = bind_all([Listen(host, port, SERVICE) for host, port in addresses])
        for each in bound:
            self.addCleanup(each.socket.close)
        return bound

    def test_bound(self) -> None:
        """
        Listening, not blocking, not inherited by programs.
        """
        (bound,) = self.bind(("127.0.0.1", 0))
        self.assertFalse(bound.socket.getblocking())
        self.assertFalse(bound.socket.get_inheritable())
        with socket.create_connection(bound.socket.getsockname(), timeout=5):
            bound.socket.accept()[0].close()

    def test_both_families(self) -> None:
        """
        The IPv6 socket leaves IPv4 to the other one, on the same port.
        """
        if not socket.has_ipv6:
            return
        (first,) = self.bind(("0.0.0.0", 0))
        port = first.socket.getsockname()[1]
        (second,) = self.bind(("::", port))
        self.assertEqual(second.socket.family, socket.AF_INET6)
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            first.socket.accept()[0].close()
            self.assertRaises(BlockingIOError, second.socket.accept)

    def test_beside(self) -> None:
        """
        A new socket for one address beside ours for all; then the port is
        shared with nobody.
        """
        (first,) = self.bind(("0.0.0.0", 0))
        port = first.socket.getsockname()[1]
        listen = Listen("127.0.0.1", port, SERVICE)
        self.assertRaises(ConfigError, bind_all, [listen])
        (second,) = bind_all([listen], [first.socket])
        self.addCleanup(second.socket.close)
        for each in (first, second):
            shared = each.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
            self.assertEqual(shared, 0)
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            second.socket.accept()[0].close()

    def test_all_or_none(self) -> None:
        """
        Every address that cannot be had is told, with a remedy; those that
        could be had are given back.
        """
        (taken,) = self.bind(("127.0.0.1", 0))
        used = taken.socket.getsockname()[1]
        (free,) = self.bind(("127.0.0.1", 0))
        unused = free.socket.getsockname()[1]
        free.socket.close()
        error = self.assertRaises(
            ConfigError,
            self.bind,
            ("127.0.0.1", unused),
            ("127.0.0.1", used),
            ("192.0.2.250", 2525),
        )
        assert isinstance(error, ConfigError)
        in_use, not_ours = error.problems
        self.assertIn(
            f"cannot listen on 127.0.0.1:{used}: address in use: stop the server",
            in_use,
        )
        self.assertIn("cannot listen on 192.0.2.250:2525: not an address", not_ours)
        self.bind(("127.0.0.1", unused))

    def test_port_of(self) -> None:
        self.assertRaises(OSError, port_of, "no-such-service")
