"""
Tests of all declarations.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.declare import Status, declared
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
        settings = Settings.of()
        different = []
        for parameter in declared(Settings):
            if not isinstance(parameter.default, str) or parameter.note:
                continue
            theirs = defaults().get(parameter.name)
            if theirs is None:
                different.append(f"{parameter.name}: not a parameter of Postfix")
                continue
            ours = parameter.default
            if parameter.expand:
                ours = settings.text(parameter.name)
                theirs = Settings.of(theirs=theirs).text("theirs")
            if normal(ours) != normal(theirs):
                different.append(f"{parameter.name}: {ours!r}, Postfix: {theirs!r}")
        self.assertEqual(different, [])

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
