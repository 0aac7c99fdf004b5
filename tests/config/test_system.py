"""
Tests of asking the machine.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.system import parse_hosts, this_machine


class HostsTests(SynchronousTestCase):
    def test_parse(self) -> None:
        """
        hosts(5): comments, aliases, several lines for a name, any case.
        """
        text = "# c\n127.0.0.1 localhost\n::1 localhost ip6 # x\n\n1.2.3.4\tA.b\tc\n5\n"
        self.assertEqual(
            parse_hosts(text),
            {
                "localhost": ["127.0.0.1", "::1"],
                "ip6": ["::1"],
                "a.b": ["1.2.3.4"],
                "c": ["1.2.3.4"],
            },
        )


class MachineTests(SynchronousTestCase):
    def test_this_machine(self) -> None:
        """
        Whatever runs the tests has a loopback address with its real netmask,
        IPv4 addresses come before IPv6 ones, and no name service is needed.
        """
        system = this_machine()
        found = {i.address: i.network for i in system.interfaces}
        self.assertEqual(found["127.0.0.1"], "127.0.0.0/8")
        versions = [ipaddress.ip_address(address).version for address in found]
        self.assertEqual(versions, sorted(versions))
        for address, network in found.items():
            self.assertIn(ipaddress.ip_address(address), ipaddress.ip_network(network))
        self.assertEqual(system.hostname, socket.gethostname())
        self.assertIn("localhost", system.hosts)

    def test_no_netlink(self) -> None:
        """
        A system without netlink has its loopback addresses at least.
        """
        self.patch(socket, "AF_NETLINK", -1)
        missing = Path(self.mktemp())
        system = this_machine(str(missing))
        self.assertEqual([i.address for i in system.interfaces], ["127.0.0.1", "::1"])
        self.assertEqual(system.hosts["localhost"], ("127.0.0.1", "::1"))
