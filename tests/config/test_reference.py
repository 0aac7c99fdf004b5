"""
Tests of the reference page.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txmta
from txmta.config.parameters.every import later
from txmta.config.reference import page
from txmta.config.settings import FAMILIES, Settings


class ReferenceTests(SynchronousTestCase):
    def test_complete(self) -> None:
        """
        Every parameter has its entry, once, and every family its row.
        """
        lines = page().splitlines()
        entries = [line[4:] for line in lines if line.startswith("### ")]
        self.assertEqual(sorted(entries), sorted([*Settings.names(), *later()]))
        for suffix, default in FAMILIES.items():
            self.assertIn(f"| `{suffix}` | `${default}` |", lines)

    def test_titles(self) -> None:
        """
        No two groups have the same title.
        """
        titles = [line for line in page().splitlines() if line.startswith("## ")]
        self.assertEqual(len(titles), len(set(titles)))

    def test_current(self) -> None:
        """
        docs/parameters.md says what the declarations say; if not:
        C{python -m txmta.config.reference > docs/parameters.md}.
        """
        path = Path(txmta.__file__).parents[1] / "docs" / "parameters.md"
        self.assertTrue(
            path.read_text("utf-8") == page(), "docs/parameters.md is out of date"
        )
