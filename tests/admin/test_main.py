"""
C{txmta NAME} finds every command.
"""

from __future__ import annotations

import configparser
import importlib
import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txmta
from txmta.admin.main import COMMANDS, EX_USAGE, main

SETUP = Path(txmta.__file__).parent.parent / "setup.cfg"


class MainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(sys, "argv", ["txmta"])

    def run_it(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main(arguments)
        return status, out.getvalue(), err.getvalue()

    def test_every_module_has_a_main(self) -> None:
        for name, (module, what) in COMMANDS.items():
            self.assertTrue(callable(importlib.import_module(module).main), name)
            self.assertTrue(what, name)

    def test_every_script_is_a_command(self) -> None:
        """
        What is installed under Postfix's name has ours, too.
        """
        setup = configparser.ConfigParser()
        setup.read(SETUP)
        scripts = setup["options.entry_points"]["console_scripts"]
        rows = [line.split("=") for line in scripts.strip().splitlines()]
        found = {name.strip(): where.strip() for name, where in rows}
        self.assertEqual(found.pop("txmta"), "txmta.admin.main:main")
        for name, where in found.items():
            self.assertEqual(f"{COMMANDS[name][0]}:main", where)

    def test_order(self) -> None:
        self.assertEqual(list(COMMANDS), sorted(COMMANDS))

    def test_arguments_go_on(self) -> None:
        """
        The command gets what is behind its name, and the name is its own.
        """
        status, _, err = self.run_it("postfix", "-c", "/nonexistent", "fly")
        self.assertEqual(status, 1)
        self.assertIn("unknown command: 'fly'", err)
        self.assertEqual(sys.argv, ["postfix", "-c", "/nonexistent", "fly"])

    def test_help(self) -> None:
        status, out, _ = self.run_it("--help")
        self.assertEqual(status, 0)
        for name in COMMANDS:
            self.assertIn(f"  {name} ", out)

    def test_unknown(self) -> None:
        status, _, err = self.run_it("postque")
        self.assertEqual(status, EX_USAGE)
        self.assertIn("unknown command postque: did you mean postqueue?", err)

    def test_nothing(self) -> None:
        status, _, err = self.run_it()
        self.assertEqual(status, EX_USAGE)
        self.assertIn("no command", err)
