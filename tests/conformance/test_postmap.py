"""
Postfix's own cases for the C{postmap} command: what it writes, word for word.

The data are not part of the project; see C{tests.support.cases}. Each case is a
few commands for a shell, with C{./postmap} in them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txmta
from tests.support import cases, require_library

_COMMAND = """\
#!/bin/sh
exec {python} -m txmta.admin.{name} "$@"
"""


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cases = cases("postfix-tables")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        (self.folder / "main.cf").write_text("compatibility_level = 3.11\n")
        for name in ("postmap", "postalias"):
            command = self.folder / name
            command.write_text(_COMMAND.format(python=sys.executable, name=name))
            command.chmod(0o755)

    def run_shell(self, script: str, *options: str) -> str:
        """
        @return: what is written, errors too.
        """
        done = subprocess.run(
            ["sh", *options, "-c", script],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            env={
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": str(Path(txmta.__file__).parents[1]),
                "MAIL_CONFIG": str(self.folder),
            },
        )
        return done.stdout.decode("utf-8", "replace")

    def check(self, path: Path, *options: str) -> None:
        """
        @param path: of the commands; beside it are the reference, and files that
            the commands use.
        """
        for each in path.parent.iterdir():
            if each.is_file():
                shutil.copyfile(each, self.folder / each.name)
        expected = path.with_suffix(".ref").read_text("utf-8", "replace")
        said = self.run_shell(path.read_text(), *options)
        self.assertEqual(
            sorted(said.splitlines()), sorted(expected.splitlines()), path.name
        )

    def test_scripts(self) -> None:
        """
        The cases that are commands: what clashes, what fails, quotes, files.
        """
        found = sorted(self.cases.glob("post*/*_test.in"))
        self.assertTrue(found)
        for path in found:
            traced = path.with_suffix(".ref").read_text().startswith("+ ")
            self.check(path, *(["-x"] if traced else []))

    def test_map(self) -> None:
        """
        Keys in any case, and C{-f}; one key, and all of standard input.
        """
        references = sorted(self.cases.glob("post*/map-*.ref"))
        self.assertTrue(references)
        for reference in references:
            command = reference.parent.name
            shutil.copyfile(reference.parent / "map.in", self.folder / "map.in")
            match = re.fullmatch(r"map-(u?)(\w+?)([12])", reference.stem)
            assert match
            fold, key, way = "f" * bool(match[1]), match[2], match[3]
            query = f"./{command} -{fold}q {key} map.in"
            if way == "2":
                query = f"echo {key} | ./{command} -{fold}q - map.in"
            said = self.run_shell(f"./{command} {'-f ' * bool(fold)}map.in; {query}")
            self.assertEqual(said, reference.read_text(), reference.name)

    def test_lmdb(self) -> None:
        """
        A key that is there twice in a text for LMDB.
        """
        require_library("lmdb")
        folder = self.cases / "postmap"
        shutil.copyfile(folder / "lmdb_abb", self.folder / "lmdb_abb")
        said = self.run_shell("./postmap lmdb:lmdb_abb; ./postmap -s lmdb:lmdb_abb")
        self.assertEqual(said, (folder / "lmdb_abb.ref").read_text())
