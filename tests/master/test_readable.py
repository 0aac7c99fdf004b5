"""
Tests of the question whether the mail owner can read the server.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted.plugins
from txmta.errors import ConfigError
from txmta.master.privileges import Account
from txmta.master.readable import check_readable, find_obstacle, needed

#: Somebody else, in no group of ours.
OTHER = Account("other", os.geteuid() + 12345, os.getegid() + 12345)


class ObstacleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.file = self.base / "a" / "python"
        self.file.parent.mkdir(parents=True)
        self.file.write_text("")
        self.base.chmod(0o755)
        self.file.parent.chmod(0o755)
        self.file.chmod(0o644)

    def obstacle(self, account: Account = OTHER) -> str:
        """
        @return: as if nothing above our own directory were in the way.
        """
        found = find_obstacle(str(self.file), account)
        return found if found.startswith(str(self.base)) else ""

    def test_open(self) -> None:
        self.assertEqual(self.obstacle(), "")

    def test_closed_directory(self) -> None:
        """
        As root's home is: the directory to open is named.
        """
        self.base.chmod(0o700)
        above = find_obstacle(str(self.base.parent), OTHER)
        self.assertEqual(find_obstacle(str(self.file), OTHER), above or str(self.base))

    def test_closed_file(self) -> None:
        self.file.chmod(0o640)
        above = find_obstacle(str(self.base), OTHER)
        self.assertEqual(find_obstacle(str(self.file), OTHER), above or str(self.file))

    def test_group_and_owner(self) -> None:
        """
        The class that counts is the first that fits, as in the kernel.
        """
        self.file.chmod(0o640)
        status = self.file.stat()
        in_group = Account("g", OTHER.uid, status.st_gid)
        self.assertEqual(self.obstacle(in_group), "")
        self.file.chmod(0o604)
        if not find_obstacle(str(self.base), in_group):
            self.assertEqual(self.obstacle(in_group), str(self.file))

    def test_directory_itself(self) -> None:
        """
        A directory that is wanted itself must be listed, one on the way only
        passed.
        """
        status = self.base.stat()
        owner = Account("o", status.st_uid + 1, status.st_gid)
        self.base.chmod(0o710)
        self.file.parent.chmod(0o750)
        if not find_obstacle(str(self.base.parent), owner):
            self.assertEqual(find_obstacle(str(self.file.parent), owner), "")
            self.assertEqual(find_obstacle(str(self.base), owner), str(self.base))


class CheckTests(SynchronousTestCase):
    def test_message(self) -> None:
        """
        One line for each obstacle: path, account, directory, remedy.
        """
        base = Path(self.mktemp()).absolute()
        base.mkdir(mode=0o700)
        for name in ("a", "b"):
            (base / name).write_text("")
        paths = [str(base / "a"), str(base / "b")]
        error = self.assertRaises(ConfigError, check_readable, paths, OTHER)
        assert isinstance(error, ConfigError)
        (problem,) = error.problems
        self.assertIn(f"{paths[0]}: cannot be read by other", problem)
        self.assertIn("chmod o+x", problem)

    def test_self(self) -> None:
        """
        Who does not change needs no check.
        """
        check_readable(["/root/x"], Account("me", os.geteuid(), os.getegid()))

    def test_needed(self) -> None:
        """
        Interpreter, library, Twisted, txmta, configuration; links resolved.
        """
        paths = needed("/etc/txmta/main.cf")
        self.assertIn("/etc/txmta", paths)
        self.assertTrue(any(p.endswith("/twisted") for p in paths))
        self.assertTrue(any(p.endswith("/txmta") for p in paths[:-1]))
        self.assertIn(os.path.realpath(sysconfig.get_path("purelib")), paths)
        for path in paths[:-1]:
            self.assertEqual(os.path.realpath(path), path)

    def test_plugins(self) -> None:
        """
        The folders of others' plug-ins, as far as there are any.
        """
        there = Path(self.mktemp()).absolute()
        there.mkdir()
        missing = there / "missing"
        folders = [*twisted.plugins.__path__, str(there), str(missing)]
        self.patch(twisted.plugins, "__path__", folders)
        paths = needed("/etc/txmta/main.cf")
        self.assertIn(os.path.realpath(there), paths)
        self.assertNotIn(os.path.realpath(missing), paths)
        found = [p for p in paths if p.endswith("twisted/plugins")]
        self.assertNotEqual(found, [])
