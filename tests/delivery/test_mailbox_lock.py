"""
L{txmta.delivery.mailbox_lock}
"""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import WatchedFileSystem
from txmta.delivery.mailbox_lock import Busy, lock_descriptor, lock_file, unlock_file

#: Another process' try: exit status 0 if it gets the lock.
_TRY = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
try:
    getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(1)
"""


class LockCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.fs = WatchedFileSystem()
        self.path = Path(self.mktemp()).absolute()
        self.path.write_bytes(b"")
        self.lock = Path(f"{self.path}.lock")


class LockFileTests(LockCase):
    def take(self, now: float = 0.0) -> None:
        lock_file(self.fs, str(self.path), now, 500.0)

    def test_taken_and_given_back(self) -> None:
        self.take()
        self.assertEqual(self.lock.stat().st_size, 0)
        unlock_file(self.fs, str(self.path))
        self.assertFalse(self.lock.exists())

    def test_busy(self) -> None:
        self.take()
        error = self.assertRaises(Busy, self.take, self.lock.stat().st_ctime + 499)
        self.assertEqual(error.status, "4.2.0")
        self.assertEqual(
            error.reason, f"unable to create lock file {self.lock}: File exists"
        )

    def test_stale(self) -> None:
        """
        One that nobody has touched for stale_lock_time is taken away.
        """
        self.take()
        old = self.lock.stat().st_ino, self.lock.stat().st_ctime
        self.take(old[1] + 501)
        self.assertEqual(self.fs.calls.count("unlink"), 1)

    def test_somebody_is_quicker(self) -> None:
        """
        A stale lock that another one removes and takes is not removed twice.
        """
        self.take()
        now = self.lock.stat().st_ctime + 501
        real = self.fs.unlink

        def unlink(name: str) -> None:
            real(name)
            self.lock.write_bytes(b"")

        self.patch(self.fs, "unlink", unlink)
        self.assertRaises(Busy, self.take, now)
        self.assertTrue(self.lock.exists())

    def test_link(self) -> None:
        """
        A symbolic link in its place is not followed.
        """
        self.lock.symlink_to(self.path.parent / "victim")
        self.assertRaises(Busy, self.take)
        self.assertFalse((self.path.parent / "victim").exists())

    def test_errors(self) -> None:
        """
        What waiting does not mend.
        """
        self.fs.fail = {1: errno.EACCES}
        error = self.assertRaises(OSError, self.take)
        self.assertEqual(error.errno, errno.EACCES)


class KernelLockTests(LockCase):
    def setUp(self) -> None:
        super().setUp()
        self.descriptor = self.fs.open(str(self.path), os.O_RDWR | os.O_APPEND)
        self.addCleanup(os.close, self.descriptor)

    def others_get_it(self, function: str) -> bool:
        command = [sys.executable, "-c", _TRY, str(self.path), function]
        return subprocess.run(command).returncode == 0

    def test_keeps_others_out(self) -> None:
        """
        Programs that use the classic calls, as Postfix and Dovecot do.
        """
        for style, function in (("fcntl", "lockf"), ("flock", "flock")):
            self.assertTrue(self.others_get_it(function))
            lock_descriptor(self.fs, self.descriptor, (style,))
            self.assertFalse(self.others_get_it(function))

    def test_survives_a_close(self) -> None:
        """
        Another descriptor of the file, opened and closed in this process,
        does not take the lock away; two descriptors keep each other out.
        """
        for style, function in (("fcntl", "lockf"), ("flock", "flock")):
            lock_descriptor(self.fs, self.descriptor, (style,))
            other = self.fs.open(str(self.path), os.O_RDWR | os.O_APPEND)
            self.assertRaises(Busy, lock_descriptor, self.fs, other, (style,))
            os.close(other)
            self.assertFalse(self.others_get_it(function))

    def test_busy(self) -> None:
        with self.path.open("r+b") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            error = self.assertRaises(
                Busy, lock_descriptor, self.fs, self.descriptor, ("flock",)
            )
        self.assertEqual(
            error.reason,
            "unable to lock for exclusive access: Resource temporarily unavailable",
        )

    def test_order(self) -> None:
        """
        Postfix's, however it is written; a lock file is not made here.
        """
        lock_descriptor(self.fs, self.descriptor, ("dotlock", "fcntl", "flock"))
        self.assertEqual(
            [call.split()[0] for call in self.fs.calls],
            ["open", "flock", "record_lock"],
        )

    def test_no_locks(self) -> None:
        """
        A file system that has none.
        """
        self.fs.fail = {2: errno.ENOLCK}
        error = self.assertRaises(
            OSError, lock_descriptor, self.fs, self.descriptor, ("fcntl",)
        )
        self.assertEqual(error.errno, errno.ENOLCK)
