"""
Tests of telling tables that a default names from those that main.cf names.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.by_default import tables_by_default
from txmta.config.settings import Settings


class ByDefaultTests(SynchronousTestCase):
    def named(self, **values: str) -> list[tuple[str, str]]:
        return sorted(tables_by_default(Settings.of(**values)).items())

    def test_default(self) -> None:
        """
        What other parameters refer to is named where it is written.
        """
        expected = [("hash:/etc/aliases", "alias_maps")]
        self.assertEqual(self.named(), expected)
        self.assertEqual(self.named(local_recipient_maps="$alias_maps"), expected)

    def test_type(self) -> None:
        self.assertEqual(
            self.named(default_database_type="texthash"),
            [("texthash:/etc/aliases", "alias_maps")],
        )

    def test_named_in_main_cf(self) -> None:
        """
        In that parameter or in another, however it is written.
        """
        for values in (
            {"alias_maps": "hash:/etc/aliases"},
            {"alias_maps": "proxy:hash:/etc/aliases, inline:{a=b}"},
            {"alias_maps": "$default_database_type:/etc/aliases"},
            {"local_recipient_maps": "hash:/etc/aliases"},
            {"here": "/etc", "mydestination": "x.test hash:$here/aliases"},
        ):
            self.assertEqual(self.named(**values), [], values)

    def test_another_of_that_parameter(self) -> None:
        """
        alias_database still has its default: nothing is looked up there.
        """
        self.assertEqual(
            self.named(alias_maps="hash:/srv/aliases"),
            [("hash:/etc/aliases", "alias_database")],
        )

    def test_not_expandable(self) -> None:
        """
        Told by others.
        """
        self.assertEqual(len(self.named(x="hash:/${y")), 1)
