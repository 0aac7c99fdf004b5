"""
Tests of the queue lock.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txmta.errors import ConfigError
from txmta.master.lock import NAME, QueueLock


class LockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = self.mktemp()
        os.mkdir(self.directory)
        self.path = Path(self.directory, NAME)

    def take(self) -> QueueLock:
        lock = QueueLock(self.directory)
        self.addCleanup(lock.release)
        return lock

    def test_second(self) -> None:
        """
        A second server is refused, and told who holds the queue.
        """
        self.take()
        error = self.assertRaises(ConfigError, QueueLock, self.directory)
        self.assertIn(
            f"another server has this queue (process {os.getpid()})", str(error)
        )
        self.assertIn("stop it first", str(error))

    def test_again(self) -> None:
        """
        After release, or the death of the holder, the queue is free; the
        number left in the file does not count.
        """
        self.take().release()
        self.path.write_text("1\n")
        self.take()
        self.assertEqual(self.path.read_text(), f"{os.getpid()}\n")

    def test_release_twice(self) -> None:
        lock = self.take()
        lock.release()
        lock.release()

    def test_inherited(self) -> None:
        """
        The lock outlives the process that took it, if a child goes on, as
        when twistd becomes a daemon; the file then names the child.
        """
        ready, tell = os.pipe()
        go, end = os.pipe()
        lock = QueueLock(self.directory)
        pid = os.fork()
        if not pid:
            try:
                os.close(end)
                lock.write_pid()
                os.write(tell, b"x")
                os.read(go, 1)
            finally:
                os._exit(0)
        self.assertEqual(os.read(ready, 1), b"x")
        lock.release()
        error = self.assertRaises(ConfigError, QueueLock, self.directory)
        self.assertIn(f"process {pid}", str(error))
        os.close(end)
        os.waitpid(pid, 0)
        self.take()

    def test_planted(self) -> None:
        """
        A symbolic link or a second name in place of the file is not written
        through, and a FIFO does not block.
        """
        target = Path(self.mktemp())
        target.write_text("precious")
        self.path.symlink_to(target.absolute())
        error = self.assertRaises(ConfigError, QueueLock, self.directory)
        self.assertIn("cannot be opened", str(error))
        self.path.unlink()
        os.link(target, self.path)
        error = self.assertRaises(ConfigError, QueueLock, self.directory)
        self.assertIn("is no plain file", str(error))
        self.assertEqual(target.read_text(), "precious")
        self.path.unlink()
        os.mkfifo(self.path)
        error = self.assertRaises(ConfigError, QueueLock, self.directory)
        self.assertIn("is no plain file", str(error))

    def test_no_directory(self) -> None:
        error = self.assertRaises(ConfigError, QueueLock, self.mktemp())
        self.assertIn("No such file", str(error))
