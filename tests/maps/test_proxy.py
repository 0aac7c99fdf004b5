"""
Tests of L{txmta.maps.proxy}: which tables may be asked for, and of whom.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.interfaces import ITable
from txmta.maps.context import TableContext, Ways
from txmta.maps.proxy import approved
from txmta.maps.registry import TableRegistry
from txmta.maps.static import StaticTable
from txmta.roles.shared import approving
from txmta.start_check import problems_of_tables


class ApprovedTests(SynchronousTestCase):
    def test_items(self) -> None:
        """
        Only what begins with proxy: counts, with or without braces.
        """
        items = (
            *("hash:/a", "proxy:hash:/b", "proxy:proxy:unix:passwd.byname"),
            *("{ proxy:inline:x a=b }", "proxy:x", "reject", "{}"),
        )
        self.assertEqual(approved(items), {"hash:/b", "unix:passwd.byname", "inline:x"})

    def test_default(self) -> None:
        """
        The default lists what the parameters that it names have.
        """
        settings = Settings.of(
            relay_recipient_maps="proxy:hash:/b",
            smtpd_relay_restrictions="check_client_access proxy:static:x reject",
        )
        self.assertEqual(
            approved(settings.proxy_read_maps),
            {"unix:passwd.byname", "hash:/b", "static:x"},
        )


class WayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[str] = []

    def elsewhere(self, table: str, context: TableContext) -> ITable:
        self.asked.append(table)
        return StaticTable("asked")

    def registry(self, ways: Ways) -> TableRegistry:
        return TableRegistry(float, print, ways=ways)

    def test_elsewhere(self) -> None:
        """
        Another process has what is named with proxy:, and no other table.
        """
        registry = self.registry(Ways(elsewhere=self.elsewhere))
        table = registry.table("proxy:proxy:inline:{a=b}", "x_maps")
        self.assertEqual(table.lookup("a"), "asked")
        self.assertEqual(registry.table("inline:{a=b}", "x_maps").lookup("a"), "b")
        self.assertEqual(self.asked, ["inline:{a=b}"])

    def test_jailed(self) -> None:
        """
        In a jail it also has what is not read for good when it is opened.
        """
        registry = self.registry(Ways(elsewhere=self.elsewhere, jailed=True))
        self.assertEqual(registry.table("inline:{a=b}", "x_maps").lookup("a"), "b")
        registry.table("unix:passwd.byname", "x_maps")
        self.assertEqual(self.asked, ["unix:passwd.byname"])

    def test_remote(self) -> None:
        """
        What asks a server is asked elsewhere also without a jail, if this
        process has somebody to ask.
        """
        registry = self.registry(Ways(elsewhere=self.elsewhere))
        self.assertEqual(registry.table("tcp:h:1", "x_maps").lookup("a"), "asked")
        self.assertEqual(self.asked, ["tcp:h:1"])
        self.assertTrue(registry.is_remote("tcp:h:1"))
        self.assertFalse(registry.is_remote("tcp"))

    def test_refused(self) -> None:
        """
        What proxy_read_maps does not list is refused, in any arrangement.
        """
        ways = approving(Settings.of(proxy_read_maps="proxy:static:a"), Ways())
        registry = self.registry(ways)
        self.assertEqual(registry.table("proxy:static:a", "x_maps").lookup("k"), "a")
        error = self.assertRaises(
            ConfigError, registry.table, "proxy:static:b", "x_maps"
        )
        self.assertEqual(
            error.problems,
            (
                "x_maps: proxy:static:b: is not listed in proxy_read_maps: add "
                "$x_maps there",
            ),
        )

    def test_start(self) -> None:
        """
        The start is refused, and a C{-o} of master.cf adds nothing to the list.
        """
        settings = Settings.of(
            alias_maps="",
            relay_recipient_maps="proxy:static:a",
            proxy_read_maps="proxy:unix:passwd.byname",
        )
        (problem,) = set(problems_of_tables(settings, ()))
        self.assertIn("proxy:static:a: is not listed in proxy_read_maps", problem)
