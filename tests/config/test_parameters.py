"""
Tests of all declarations.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.declare import Status, declared
from txmta.config.expansion import expand
from txmta.config.postfix import defaults
from txmta.config.settings import Settings


def normal(text: str) -> str:
    return " ".join(re.split(r"[,\s]+", text.strip()))


class DeclarationTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """
        Every default is good, and is Postfix's unless the declaration says
        how we differ.
        """
        for level in ("0", "1", "2", "3.6", "3.11"):
            self.assertEqual(self.different(level), [], level)

    def different(self, level: str) -> list[str]:
        """
        @return: the declarations that differ from Postfix without saying so.
        """
        settings = Settings.of(compatibility_level=level)
        found = []
        for parameter in declared(Settings):
            if not isinstance(parameter.default, str) or parameter.note:
                continue
            theirs = defaults().get(parameter.name)
            if theirs is None:
                found.append(f"{parameter.name}: not a parameter of Postfix")
                continue
            ours = parameter.default
            if parameter.expand:
                ours = expand(ours, settings.text)
                theirs = expand(theirs, settings.text)
            if normal(ours) != normal(theirs):
                found.append(f"{parameter.name}: {ours!r}, Postfix: {theirs!r}")
        return found

    def test_notes(self) -> None:
        """
        "approximated" says how, "no-effect" says why.
        """
        silent = [
            p.name
            for p in declared(Settings)
            if p.status in (Status.APPROXIMATED, Status.NO_EFFECT, Status.REFUSED)
            and not p.note
        ]
        self.assertEqual(silent, [])

    def test_described(self) -> None:
        """
        Each has a description, in sentences.
        """
        bare = [p.name for p in declared(Settings) if not p.doc.endswith((".", ")"))]
        self.assertEqual(bare, [])

    def test_once(self) -> None:
        """
        No name is declared in two groups.
        """
        names = [p.name for p in declared(Settings)]
        self.assertEqual(len(names), len(set(names)))
