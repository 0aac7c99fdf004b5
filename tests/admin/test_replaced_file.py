"""
Tests of files that take the place of others.
"""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txmta.admin.replaced_file import fresh, rewrite


class ReplacedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.path = self.folder / "file"

    def names(self) -> list[str]:
        return [each.name for each in self.folder.iterdir()]

    def test_together(self) -> None:
        """
        Of many that change a file at a time, each sees what the others did.
        """
        self.path.write_text("")

        def add(n: int) -> None:
            rewrite(str(self.path), lambda text: f"{text}{n}\n")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(60)))
        lines = self.path.read_text().split()
        self.assertEqual(sorted(map(int, lines)), list(range(60)))
        self.assertEqual(self.names(), ["file"])

    def test_trouble(self) -> None:
        """
        What cannot be finished leaves the old file, and nothing else.
        """
        self.path.write_text("old")

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", fail)
        self.assertRaises(OSError, rewrite, str(self.path), str.upper)
        self.assertEqual(self.path.read_text(), "old")
        self.assertEqual(self.names(), ["file"])

    def test_order(self) -> None:
        """
        A file is on disk before it has its name, and its name is before we say
        so.
        """
        steps: list[str] = []
        sync, rename = os.fsync, os.rename

        def synced(descriptor: int) -> None:
            mode = os.fstat(descriptor).st_mode
            steps.append("folder" if stat.S_ISDIR(mode) else "file")
            sync(descriptor)

        def renamed(old: str, new: str) -> None:
            steps.append("name")
            rename(old, new)

        self.patch(os, "fsync", synced)
        self.patch(os, "rename", renamed)
        with fresh(str(self.path), 0o640) as descriptor:
            os.write(descriptor, b"new")
        self.assertEqual(steps, ["file", "name", "folder"])
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o640)

    def test_link(self) -> None:
        """
        A link stays one: what it leads to is changed.
        """
        self.path.write_text("a")
        link = self.folder / "link"
        link.symlink_to("file")
        rewrite(str(link), str.upper)
        self.assertTrue(link.is_symlink())
        self.assertEqual(self.path.read_text(), "A")

    def test_unchanged(self) -> None:
        """
        Nothing is written for no change.
        """
        self.path.write_text("a")
        before = self.path.stat().st_ino
        rewrite(str(self.path), lambda text: text)
        self.assertEqual(self.path.stat().st_ino, before)
