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
            "/etc/main.cf",
            Settings(definitions, system),
            services,
            ("careful",),
            plugins={"an.Interface": ["a.module:name"]},
            allow_not_yet=True,
            allowed=("ignored",),
        )
        after = decode(encode(before))
        self.assertEqual(after.path, before.path)
        self.assertEqual(after.warnings, before.warnings)
        self.assertEqual(after.services, before.services)
        self.assertEqual(after.plugins, before.plugins)
        self.assertTrue(after.allow_not_yet)
        self.assertEqual(after.allowed, before.allowed)
        self.assertEqual(after.services[0].overrides, {"smtpd_timeout": "10s"})
        self.assertEqual(after.settings.definitions, definitions)
        self.assertEqual(after.settings.system, system)
        self.assertEqual(after.settings.text("own"), before.settings.text("own"))
        self.assertEqual(after.settings.myhostname, before.settings.myhostname)

    def test_once(self) -> None:
        """
        A child that was forked after the configuration was read makes nothing
        of its own of it; another configuration is another one.
        """
        data = encode(Configuration("main.cf", Settings(), ()))
        other = encode(Configuration("other.cf", Settings(), ()))
        self.assertIs(decode(data), decode(bytes(bytearray(data))))
        self.assertEqual(decode(other).path, "other.cf")

    def test_builtin(self) -> None:
        """
        A service is equal to itself, which finds its place in master.cf.
        """
        before = Configuration("main.cf", Settings(), builtin_master_cf())
        after = decode(encode(before))
        for place, service in enumerate(before.services):
            self.assertEqual(after.services.index(service), place)
