"""
Tests of the mail log that root opens for mail_owner.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.master.test_privileges import OWNER
from tests.support import require_root
from txmta.log.sinks import open_log
from txmta.master.log_file import open_for
from txmta.master.privileges import Account, acting_as


class OpenForTests(SynchronousTestCase):
    """
    @ivar place: root's, but that others may pass through.
    """

    def setUp(self) -> None:
        require_root("gives files away")
        self.base = Path(tempfile.mkdtemp(prefix="txmta-log-", dir="/run"))
        self.addCleanup(shutil.rmtree, self.base)
        self.place = self.base / "log"
        self.place.mkdir()
        for each in (self.base, self.place):
            each.chmod(0o755)
        self.log = self.place / "mail.log"

    def open(self, path: Path | None = None) -> None:
        os.close(open_for(str(path or self.log), OWNER, open_log))

    def refused(self, *words: str, path: Path | None = None) -> None:
        error = self.assertRaises(PermissionError, self.open, path)
        for word in words:
            self.assertIn(word, str(error))

    def give(self, path: Path) -> None:
        os.chown(path, OWNER.uid, OWNER.gid)

    def test_directory_of_root(self) -> None:
        """
        As /var/log: root makes the file, and it is mail_owner's, who can go
        on with it.
        """
        self.open()
        status = self.log.stat()
        self.assertEqual((status.st_uid, status.st_gid), (OWNER.uid, OWNER.gid))
        self.assertEqual(status.st_mode & 0o007, 0)
        self.log.write_text("a line\n")
        with acting_as(OWNER):
            os.close(open_log(str(self.log)))
        self.open()
        self.assertEqual(self.log.read_text(), "a line\n")

    def test_directory_of_the_owner(self) -> None:
        self.give(self.place)
        self.open()
        self.assertEqual(self.log.stat().st_uid, OWNER.uid)

    def test_rights_come_back(self) -> None:
        before = (os.geteuid(), os.getegid(), os.getgroups())
        self.open()
        self.assertRaises(FileNotFoundError, self.open, self.base / "no" / "where")
        self.assertEqual((os.geteuid(), os.getegid(), os.getgroups()), before)

    def test_empty_one_of_root(self) -> None:
        """
        A start that was ended before it gave the file away, or touch(1).
        """
        self.log.touch(0o600)
        self.open()
        self.assertEqual(self.log.stat().st_uid, OWNER.uid)

    def test_another_file_of_root(self) -> None:
        """
        A mistake in main.cf gives nothing of root's away.
        """
        self.log.write_text("root:x:0:0\n")
        self.refused("if it is an earlier mail log, chown nobody")
        self.assertEqual(self.log.stat().st_uid, 0)
        self.log.write_text("")
        os.link(self.log, self.place / "elsewhere")
        self.refused("chown nobody")

    def test_device(self) -> None:
        null = self.place / "null"
        os.mknod(null, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        self.refused("may not write to it", path=null)

    def test_link_of_the_owner(self) -> None:
        """
        Whoever has mail_owner's rights gets no more with a link.
        """
        target = self.base / "target"
        self.give(self.place)
        self.log.symlink_to(target)
        self.assertRaises(OSError, self.open)
        self.log.unlink()
        self.log.symlink_to(self.base)
        self.refused(str(self.place), path=self.log / "target")
        self.assertFalse(target.exists())

    def test_link_of_another(self) -> None:
        """
        In a directory that others can write, a link leads nowhere.
        """
        self.place.chmod(0o1777)
        self.log.symlink_to(self.base)
        self.refused(f"{self.place} is not root's alone", path=self.log / "target")
        self.assertFalse((self.base / "target").exists())

    def test_sticky_directory_above(self) -> None:
        """
        Below /tmp a directory of root's is root's alone, but no link.
        """
        self.base.chmod(0o1777)
        self.open()
        self.assertEqual(self.log.stat().st_uid, OWNER.uid)
        self.log.unlink()
        (self.base / "link").symlink_to(self.place)
        self.refused(f"{self.base} is not", path=self.base / "link" / "mail.log")
        self.base.chmod(0o777)
        self.refused(f"{self.base} is not")

    def test_file_of_root_where_others_write(self) -> None:
        self.log.touch(0o600)
        self.place.chmod(0o1777)
        self.refused("not root's alone", f"chown nobody {self.log}")
        self.assertEqual(self.log.stat().st_uid, 0)

    def test_link_of_root(self) -> None:
        """
        /var/log may lie elsewhere.
        """
        (self.base / "link").symlink_to("../" + self.base.name + "/log")
        self.open(self.base / "link" / "mail.log")
        self.assertEqual(self.log.stat().st_uid, OWNER.uid)

    def test_links_for_ever(self) -> None:
        (self.base / "loop").symlink_to("loop")
        self.assertRaises(OSError, self.open, self.base / "loop" / "mail.log")


class OrdinaryUserTests(SynchronousTestCase):
    def test_plain(self) -> None:
        """
        Who stays who it is opens the file as any other.
        """
        self.patch(os, "geteuid", lambda: 1000)
        path = self.mktemp()
        os.close(open_for(path, Account("me", 1000, 1000), open_log))
        self.assertTrue(os.path.exists(path))
