"""
main.cf files of others: Postfix's own tests of C{postconf}, and files that
are in use.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

from twisted.trial.unittest import SynchronousTestCase

from tests.support import PATH, cases, require
from txmta.config.main_cf import parse_main_cf
from txmta.config.master_cf import parse_master_cf
from txmta.config.settings import Settings


def folded(text: str) -> str:
    return " ".join(text.split())


def values(lines: str) -> Iterator[tuple[str, str]]:
    """
    @return: the C{name = value} lines in what C{postconf} prints.
    """
    for line in lines.splitlines():
        name, equals, value = line.partition(" =")
        if equals and "warning:" not in line and not line[0].isspace():
            yield name, folded(value)


class PostconfCases(SynchronousTestCase):
    def test_values(self) -> None:
        """
        In every test of C{postconf -n}, ours are the same values; with C{-x},
        the same expanded values.
        """
        folder = cases("postfix-postconf")
        checked = 0
        for case in json.loads((folder / "cases.json").read_text("utf-8")):
            command = case["run"][0]
            if not command.startswith(("postconf -nc", "postconf -nxc")):
                continue
            text = case["files"]["main.cf"]
            definitions = parse_main_cf("main.cf", text).definitions
            reference = (folder / f"{case['name']}.ref").read_text("utf-8")
            for name, theirs in values(reference):
                if name not in definitions:
                    continue
                ours = definitions[name].text
                if "-nxc" in command:
                    ours = Settings(definitions).text(name)
                self.assertEqual(folded(ours), theirs, f"{case['name']}: {name}")
                checked += 1
        self.assertGreater(checked, 20)


class RealFiles(SynchronousTestCase):
    def files(self, name: str) -> Iterator[Path]:
        """
        @return: those that are not templates.
        """
        for path in sorted(cases("realworld-config").rglob(name)):
            text = path.read_text("utf-8")
            if not any(mark in text for mark in ("{%", "{{", "%{", "%(")):
                yield path

    def test_main_cf(self) -> None:
        """
        Files in use are read as Postfix reads them.
        """
        require("postconf")
        read = 0
        for path in self.files("main.cf"):
            text = path.read_text("utf-8")
            definitions = parse_main_cf(str(path), text).definitions
            for name, value in self.postconf(path).items():
                if name in definitions:
                    self.assertEqual(folded(definitions[name].text), value, path)
                    read += 1
        self.assertGreater(read, 50)

    def test_master_cf(self) -> None:
        """
        master.cf files in use are read.
        """
        read = 0
        for path in self.files("master.cf"):
            read += len(parse_master_cf(str(path), path.read_text("utf-8")))
        self.assertGreater(read, 30)

    def postconf(self, path: Path) -> dict[str, str]:
        directory = tempfile.mkdtemp(prefix="tx")
        self.addCleanup(rmtree, directory)
        Path(directory, "main.cf").write_bytes(path.read_bytes())
        Path(directory, "master.cf").write_text("")
        done = subprocess.run(
            ["postconf", "-c", directory, "-n"],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": PATH},
            check=True,
        )
        return dict(values(done.stdout))
