"""
Tests of C{txmta init}.
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import require_library
from txmta.admin.init import FILES, main
from txmta.admin.init_files import Plan, main_cf, master_cf
from txmta.build import load
from txmta.report.gather import gather


def run(*arguments: str) -> tuple[int, str, str]:
    octets, err = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(octets, "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(arguments)
        except SystemExit as e:
            status = int(str(e.code))
        out.flush()
    return status, octets.getvalue().decode(), err.getvalue()


class InitTests(SynchronousTestCase):
    def setUp(self) -> None:
        require_library("cryptography")
        self.folder = Path(self.mktemp()).absolute()
        self.arguments = ("--unprivileged", "--hostname", "mail.a.test")

    def _make(self) -> tuple[int, str, str]:
        return run(*self.arguments, str(self.folder))

    def test_made(self) -> None:
        """
        What is made would start, and means under Postfix what it means here.
        """
        status, out, _err = self._make()
        self.assertEqual(status, 0)
        self.assertIn("2587 (users, STARTTLS)", out)
        modes = {p.name: p.stat().st_mode & 0o777 for p in self.folder.iterdir()}
        self.assertEqual(modes, FILES)
        found = load(str(self.folder / "main.cf"), starts=False)
        self.assertEqual(found.warnings, ())
        self.assertEqual(gather(str(self.folder / "main.cf")).status, 0)

    def test_for_root(self) -> None:
        """
        The ports that everybody knows.
        """
        plan = Plan("mail.a.test", "nobody", 65534, 65534, standard=True)
        text = master_cf(plan)
        for port in (25, 465, 587):
            self.assertIn(f"\n{port} inet n - n - - smtpd\n", text)
        self.assertIn("mydestination = $myhostname", main_cf(plan))

    def test_nothing_written_over(self) -> None:
        for name in FILES:
            self.folder.mkdir()
            (self.folder / name).write_text("mine")
            status, _out, err = self._make()
            self.assertEqual(status, 1)
            self.assertIn(f"{name}: is there already", err)
            self.assertEqual(os.listdir(self.folder), [name])
            (self.folder / name).unlink()
            self.folder.rmdir()

    def test_dangling_link(self) -> None:
        self.folder.mkdir()
        (self.folder / "main.cf").symlink_to("/nonexistent/x")
        self.assertEqual(self._make()[0], 1)

    def test_bad(self) -> None:
        for name in ("mail", "a b.test", "-", "x" * 64 + ".test"):
            status, _out, err = run("--hostname", name, str(self.folder))
            self.assertEqual(status, 64, err)
        self.assertFalse(self.folder.exists())
