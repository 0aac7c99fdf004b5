"""
Tests of the queue directory. What root can do is in L{test_privileges}.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import require_root
from txmta.errors import ConfigError
from txmta.master.directory import SUBDIRECTORIES, prepare_queue
from txmta.master.privileges import Account

ME = Account("me", os.geteuid(), os.getegid())


class PrepareTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()

    def refused(self, owner: Account = ME) -> str:
        error = self.assertRaises(ConfigError, prepare_queue, str(self.path), owner)
        self.assertIn(f"queue_directory = {self.path}: ", str(error))
        return str(error)

    def mode(self, path: Path) -> int:
        return stat.S_IMODE(path.lstat().st_mode)

    def test_made(self) -> None:
        """
        A missing directory is made, for its owner only, whatever the umask.
        """
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        prepare_queue(str(self.path), ME)
        self.assertEqual(self.mode(self.path), 0o700)
        for name in SUBDIRECTORIES:
            self.assertEqual(self.mode(self.path / name), 0o700)

    def test_umask(self) -> None:
        """
        A umask that would take our own rights away does not count either.
        """
        before = os.umask(0o777)
        self.addCleanup(os.umask, before)
        prepare_queue(str(self.path), ME)
        self.assertEqual(self.mode(self.path), 0o700)

    def test_again(self) -> None:
        """
        What is right stays as it is.
        """
        self.path.mkdir(mode=0o750)
        self.path.chmod(0o750)
        prepare_queue(str(self.path), ME)
        prepare_queue(str(self.path), ME)
        self.assertEqual(self.mode(self.path), 0o750)

    def test_no_parent(self) -> None:
        self.path /= "below"
        self.assertIn("does not exist: make it (mkdir -p", self.refused())

    def test_symlink(self) -> None:
        """
        A link would let others choose where the queue is.
        """
        target = Path(self.mktemp())
        target.mkdir()
        self.path.symlink_to(target.absolute())
        self.assertIn("is a symbolic link", self.refused())

    def test_file(self) -> None:
        self.path.write_text("")
        self.assertIn("is not a directory", self.refused())

    def test_writable(self) -> None:
        """
        What others can write to is not trusted, and not repaired in silence.
        """
        self.path.mkdir()
        for mode in (0o770, 0o702, 0o1777):
            self.path.chmod(mode)
            self.assertIn(f"can be written by others (mode {mode:o})", self.refused())

    def test_owner(self) -> None:
        self.path.mkdir(mode=0o700)
        (self.path / "mail").touch()
        other = Account("other", os.geteuid() + 1, os.getegid())
        self.assertIn("not to other: change it (chown -R other", self.refused(other))

    def test_unfinished(self) -> None:
        """
        An empty directory of root's, as a start leaves it that was killed
        before it gave the directory away, is given away now.
        """
        require_root("gives directories away")
        self.path.mkdir(mode=0o700)
        prepare_queue(str(self.path), Account("other", 65534, 65534))
        for path in (self.path, self.path / SUBDIRECTORIES[0]):
            self.assertEqual(path.stat().st_uid, 65534)

    def test_below(self) -> None:
        """
        The directories below are looked at too.
        """
        self.path.mkdir(mode=0o700)
        below = self.path / SUBDIRECTORIES[0]
        below.write_text("")
        error = self.assertRaises(ConfigError, prepare_queue, str(self.path), ME)
        self.assertIn(f"{below}: is not a directory", str(error))
