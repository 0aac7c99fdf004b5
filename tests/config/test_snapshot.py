"""
A configuration on its way to another process is the same there.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.declare import Interface, System
from txmta.config.master_cf import builtin_master_cf, parse_master_cf
from txmta.config.settings import Definition, Settings
from txmta.config.snapshot import Configuration, decode, encode

MASTER_CF = """\
smtp inet n - n - - smtpd -o smtpd_timeout=10s
hook unix - n n - 5 plugin agent=hook {header = a b}
"""


class SnapshotTests(SynchronousTestCase):
    def test_all(self) -> None:
        """
        Settings, services, the machine, octets that are no text.
        """
        system = System(
            "here", (Interface("192.0.2.1", "192.0.2.0/24"),), {"a": ("192.0.2.2",)}
        )
        definitions = {
            "mydestination": Definition("$myhostname, \udcff.test", "main.cf, line 3"),
            "own": Definition("$mydestination", "main.cf, line 4"),
        }
        services = parse_master_cf("master.cf", MASTER_CF)
        before = Configuration(
            "/etc/main.cf", Settings(definitions, system), services, ("careful",)
        )
        after = decode(encode(before))
        self.assertEqual(after.path, before.path)
        self.assertEqual(after.warnings, before.warnings)
        self.assertEqual(after.services, before.services)
        self.assertEqual(after.services[0].overrides, {"smtpd_timeout": "10s"})
        self.assertEqual(after.settings.definitions, definitions)
        self.assertEqual(after.settings.system, system)
        self.assertEqual(after.settings.text("own"), before.settings.text("own"))
        self.assertEqual(after.settings.myhostname, before.settings.myhostname)

    def test_builtin(self) -> None:
        """
        A service is equal to itself, which finds its place in master.cf.
        """
        before = Configuration("main.cf", Settings(), builtin_master_cf())
        after = decode(encode(before))
        for place, service in enumerate(before.services):
            self.assertEqual(after.services.index(service), place)
