"""
Tests of C{txmta passwd}.
"""

from __future__ import annotations

import getpass
import io
import os
import stat
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txmta import passwords
from txmta.admin import passwd
from txmta.admin.common import Tool


class PasswdTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.path = self.folder / "accounts"
        self.patch(passwords, "ROUNDS", 1)

    def run_tool(self, *arguments: str, stdin: str = "") -> int:
        self.patch(sys, "stdin", io.StringIO(stdin))
        self.said: list[str] = []
        self.wrote: list[str] = []
        self.patch(Tool, "say", lambda tool, text: self.said.append(text))
        self.patch(passwd, "write", self.wrote.append)
        return passwd.main(["-f", str(self.path), *arguments])

    def add(self, name: str, password: str = "open sesame") -> None:
        self.assertEqual(
            self.run_tool("add", name, "--stdin", stdin=f"{password}\n"), 0
        )

    def test_life(self) -> None:
        """
        From nothing to nothing again; nobody else's line changes.
        """
        self.add("one@here.test")
        self.add("two", "pass")
        self.assertEqual(self.run_tool("check", "two", "--stdin", stdin="pass\n"), 0)
        self.assertEqual(self.run_tool("check", "two", "--stdin", stdin="x\n"), 1)
        first = self.path.read_text().splitlines()[0]
        self.assertEqual(
            self.run_tool("change", "two", "--stdin", stdin="new\n"), 0, self.said
        )
        self.assertEqual(self.run_tool("check", "two", "--stdin", stdin="pass\n"), 1)
        self.assertEqual(self.run_tool("check", "two", "--stdin", stdin="new\n"), 0)
        self.run_tool("list")
        self.assertEqual(
            self.wrote, ["one@here.test\tSCRAM-SHA-256\n", "two\tSCRAM-SHA-256\n"]
        )
        self.assertEqual(self.path.read_text().splitlines()[0], first)
        self.assertEqual(self.run_tool("delete", "one@here.test"), 0)
        self.assertEqual(self.run_tool("delete", "two"), 0)
        self.assertEqual(self.path.read_text(), "")
        self.assertEqual([p.name for p in self.folder.iterdir()], ["accounts"])

    def test_no_password_in_the_file(self) -> None:
        self.add("one")
        self.assertNotIn("sesame", self.path.read_text())

    def test_rights(self) -> None:
        """
        Nobody but the owner can read a new file; of an old one, others lose what
        they had.
        """
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.add("one")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.path.chmod(0o664)
        self.add("two")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o640)

    def test_comments_stay(self) -> None:
        self.path.write_text("# mine\n\none {PLAIN}x\n")
        self.add("two")
        self.assertTrue(
            self.path.read_text().startswith("# mine\n\none {PLAIN}x\ntwo {")
        )

    def test_all_or_nothing(self) -> None:
        """
        When the new file cannot be written, the old one is there, whole.
        """
        self.add("one")
        before = self.path.read_bytes()

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)
        self.assertNotEqual(self.run_tool("delete", "one"), 0)
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["accounts"])

    def test_prompt(self) -> None:
        """
        Asked twice for, and not shown.
        """
        answers = ["a", "b", "c", "c"]

        def ask(prompt: str) -> str:
            return answers.pop(0)

        self.patch(getpass, "getpass", ask)
        self.assertEqual(self.run_tool("add", "one"), 1)
        self.assertFalse(self.path.exists())
        self.assertEqual(self.run_tool("add", "one"), 0)
        self.assertEqual(self.run_tool("check", "one", "--stdin", stdin="c\n"), 0)

    def test_refused(self) -> None:
        self.add("one")
        for arguments, stdin, status in (
            (["add", "one", "--stdin"], "x\n", 1),
            (["change", "two", "--stdin"], "x\n", 1),
            (["delete", "two"], "", 1),
            (["check", "two", "--stdin"], "x\n", 1),
            (["add", "a b", "--stdin"], "x\n", 1),
            (["add", "#a", "--stdin"], "x\n", 1),
            (["add", "a\nb", "--stdin"], "x\n", 1),
            (["add", "two", "--stdin"], "\n", 1),
            (["add", "two", "--stdin", "-s", "MD5"], "x\n", 1),
            (["add"], "", 64),
            (["nosuch"], "", 64),
        ):
            before: Any = self.path.read_bytes()
            self.patch(sys, "stderr", io.StringIO())
            self.assertEqual(self.run_tool(*arguments, stdin=stdin), status, arguments)
            self.assertEqual(self.path.read_bytes(), before)

    def test_file_of_main_cf(self) -> None:
        """
        Without C{-f}, the table that the server reads.
        """
        (self.folder / "main.cf").write_text(
            f"smtpd_sasl_path = texthash:{self.path}\n"
        )
        self.patch(sys, "stdin", io.StringIO("x\n"))
        folder = str(self.folder)
        self.assertEqual(passwd.main(["-c", folder, "add", "one", "--stdin"]), 0)
        self.assertTrue(self.path.read_text().startswith("one {SCRAM-SHA-256}"))
