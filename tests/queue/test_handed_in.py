"""
L{txmta.queue.handed_in}: what of a directory of strangers is taken.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.test_maildrop import CONTENT, FIELDS, file
from tests.support import require_root
from txmta.master.directory import MAILDROP_MODE, prepare_queue
from txmta.master.privileges import Account
from txmta.queue import handed_in
from txmta.queue.handed_in import Bad, Maildrop, NotNow, Strange
from txmta.queue.maildrop import first_line, head, tail

COMPLETE = 0o740


class Case(SynchronousTestCase):
    group: int | None = None

    def setUp(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(shutil.rmtree, self.base)
        queue = self.base / "queue"
        prepare_queue(str(queue), Account("me", os.geteuid(), os.getegid()), self.group)
        self.maildrop = Maildrop(str(queue))
        self.addCleanup(self.maildrop.close)
        self.folder = queue / "maildrop"
        self.now = 0.0

    def put(
        self, octets: bytes | None = None, mode: int = COMPLETE, name: str = "x"
    ) -> Path:
        path = self.folder / name
        path.write_bytes(file() if octets is None else octets)
        path.chmod(mode)
        self.now = path.stat().st_ctime
        return path

    def content(self, name: str = "x") -> bytes:
        taken = self.maildrop.open(name, self.now)
        try:
            return b"".join(taken.blocks())
        finally:
            taken.close()

    def refused(self, error: type[Exception], words: str = "") -> None:
        before = len(os.listdir("/proc/self/fd"))
        raised = self.assertRaises(error, self.maildrop.open, "x", self.now)
        self.assertIn(words, str(raised))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before, "left open")


class OpenTests(Case):
    def test_taken(self) -> None:
        self.put()
        taken = self.maildrop.open("x", self.now)
        self.addCleanup(taken.close)
        self.assertEqual(taken.uid, os.geteuid())
        self.assertEqual(taken.submitted.sender, "alice")
        self.assertEqual(b"".join(taken.blocks()), CONTENT.replace(b"\n", b"\r\n"))
        self.assertEqual(taken.arrival, self.now)

    def test_forms(self) -> None:
        """
        Lines end in CRLF, the last one too, and what is CRLF stays so.
        """
        self.put(file(content=b"a\n\nb"))
        self.assertEqual(self.content(), b"a\r\n\r\nb\r\n")
        self.put(file(content=b""))
        self.assertEqual(self.content(), b"")
        rest = tail(())
        self.put(first_line(True, 6, len(rest)) + head(FIELDS) + b"a\r\n\r\nb" + rest)
        self.assertEqual(self.content(), b"a\r\n\r\nb\r\n")

    def test_blocks(self) -> None:
        """
        A large content comes in blocks, and reading the start reads no more.
        """
        content = b"x" * 79 + b"\n"
        content *= 5000
        self.put(file(content=content))
        taken = self.maildrop.open("x", self.now)
        self.addCleanup(taken.close)
        blocks = list(taken.blocks())
        self.assertGreater(len(blocks), 5)
        self.assertEqual(b"".join(blocks), content.replace(b"\n", b"\r\n"))
        self.assertEqual(b"".join(taken.blocks(10)), b"x" * 10)

    def test_not_complete(self) -> None:
        """
        What sendmail is writing is left alone; for a day.
        """
        self.put(mode=0o640)
        self.refused(NotNow)
        self.now += handed_in.DEAD + 1
        self.refused(Strange, "was never completed")

    def test_backdated(self) -> None:
        """
        An old time stamp alone makes no file dead.
        """
        path = self.put(mode=0o640)
        os.utime(path, (0, 0))
        self.refused(NotNow)

    def test_gone(self) -> None:
        self.refused(NotNow)

    def test_links(self) -> None:
        """
        Neither link is followed: whose mail would it be?
        """
        other = self.base / "other"
        other.write_bytes(file())
        other.chmod(COMPLETE)
        (self.folder / "x").symlink_to(other)
        self.refused(Strange, "not a regular file")
        (self.folder / "x").unlink()
        os.link(other, self.folder / "x")
        self.refused(Strange, "has 2 names")

    def test_no_file(self) -> None:
        """
        Nobody waits for a FIFO, nor opens a socket or a directory.
        """
        path = self.folder / "x"
        os.mkfifo(path, 0o777)
        self.refused(Strange, "not a regular file")
        self.maildrop.remove("x")
        path.mkdir(0o777)
        self.refused(Strange, "not a regular file")
        self.maildrop.remove("x")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(path))
            self.refused(Strange, "not a regular file")
        self.maildrop.remove("x")
        self.assertEqual(self.maildrop.names(), [])

    def test_exchanged(self) -> None:
        """
        The file that was looked at is the one that is read.
        """
        self.put()
        real_open = os.open

        def exchanging(path: object, *args: object, **more: object) -> int:
            if path == "x":
                (self.folder / "y").write_bytes(file())
                (self.folder / "y").chmod(COMPLETE)
                (self.folder / "y").rename(self.folder / "x")
            return real_open(path, *args, **more)  # type: ignore[arg-type]

        self.patch(os, "open", exchanging)
        self.refused(Strange, "was exchanged")

    def test_link_in_between(self) -> None:
        """
        A link put there after the look is not followed either.
        """
        self.put()
        real_open = os.open

        def exchanging(path: object, *args: object, **more: object) -> int:
            if path == "x":
                (self.folder / "x").unlink()
                (self.folder / "x").symlink_to("/etc/hostname")
            return real_open(path, *args, **more)  # type: ignore[arg-type]

        self.patch(os, "open", exchanging)
        self.refused(OSError)

    def test_garbage(self) -> None:
        for octets in (b"", b"x", b"\0" * 10_000, file()[:-1], file() + b"x"):
            self.put(octets)
            self.refused(Bad)

    def test_huge(self) -> None:
        """
        The size that a file claims or has costs nothing.
        """
        path = self.put(b"")
        os.truncate(path, 1 << 40)
        self.refused(Bad)
        rest = tail(())
        start = first_line(False, (1 << 40), len(rest)) + head(FIELDS)
        path.write_bytes(start)
        with path.open("r+b") as f:
            f.seek(len(start) + (1 << 40))
            f.write(rest)
        taken = self.maildrop.open("x", self.now)
        self.addCleanup(taken.close)
        self.assertEqual(taken.size, 1 << 40)
        self.assertEqual(next(taken.blocks(5)), b"\0" * 5)

    def test_later_version(self) -> None:
        """
        What a newer sendmail wrote is kept for a newer server.
        """
        self.put(file().replace(b"maildrop 1 ", b"maildrop 2 "))
        self.refused(OSError, "is of version 2")

    def test_shrinks(self) -> None:
        """
        A file that becomes shorter while it is read is no message.
        """
        path = self.put(file(content=b"x\n" * 100_000))
        taken = self.maildrop.open("x", self.now)
        self.addCleanup(taken.close)
        blocks = taken.blocks()
        next(blocks)
        os.truncate(path, 70_000)
        self.assertRaises(Bad, list, blocks)

    def test_grows(self) -> None:
        """
        No more is read than was announced.
        """
        path = self.put()
        taken = self.maildrop.open("x", self.now)
        self.addCleanup(taken.close)
        with path.open("ab") as f:
            f.write(b"x" * 1000)
        self.assertEqual(len(b"".join(taken.blocks())), len(CONTENT) + 3)

    def test_put_aside(self) -> None:
        """
        So many are kept for the administrator; the rest goes.
        """
        self.patch(handed_in, "MAX_BAD", 1)
        self.put(name="a")
        self.put(name="b")
        self.assertEqual(self.maildrop.put_aside("a"), "moved to bad/a")
        self.assertEqual(self.maildrop.put_aside("b"), "removed")
        self.assertEqual(os.listdir(self.base / "queue" / "bad"), ["a"])
        self.assertEqual(self.maildrop.names(), [])

    def test_many(self) -> None:
        """
        One look reads so many names and no more; the next ones read the rest,
        and then it starts anew.
        """
        for number in range(5):
            self.put(name=f"f{number}")
        self.patch(handed_in, "MAX_NAMES", 3)
        for _ in range(2):
            names = [self.maildrop.names(), self.maildrop.names()]
            self.assertEqual([len(each) for each in names], [3, 2])
            found = sorted(name for each in names for name in each)
            self.assertEqual(found, [f"f{number}" for number in range(5)])

    def test_foreign(self) -> None:
        """
        In a maildrop of our own only our own files count.
        """
        require_root("gives files away")
        os.chown(self.put(), 1, -1)
        self.refused(Strange, "was not made in maildrop")


class SharedTests(Case):
    """
    A maildrop that is open to all.
    """

    group = 4

    def setUp(self) -> None:
        require_root("gives directories to groups")
        super().setUp()

    def test_mode(self) -> None:
        status = self.folder.stat()
        self.assertEqual((status.st_mode & 0o7777, status.st_gid), (MAILDROP_MODE, 4))

    def test_born_here(self) -> None:
        """
        A file of any user counts, if it was made here: it has the group. One
        that was moved here has not: somebody else may have moved it.
        """
        path = self.put()
        self.assertEqual(path.stat().st_gid, 4)
        os.chown(path, 1, -1)
        self.assertEqual(self.content(), CONTENT.replace(b"\n", b"\r\n"))
        elsewhere = self.base / "elsewhere"
        elsewhere.write_bytes(file())
        elsewhere.chmod(COMPLETE)
        elsewhere.rename(path)
        self.refused(Strange, "was not made in maildrop")

    def test_user(self) -> None:
        """
        An ordinary user can make a file, and neither list the directory nor
        touch what another made.
        """
        self.base.chmod(0o711)
        path = self.put(name="secret")
        pid = os.fork()
        if pid == 0:
            wrong = 0
            try:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
                (self.folder / "mine").write_bytes(b"x")
                attempts: tuple[Callable[[], object], ...] = (
                    lambda: os.listdir(self.folder),
                    path.read_bytes,
                    path.unlink,
                    lambda: path.rename(self.folder / "z"),
                    lambda: os.listdir(self.folder.parent),
                )
                for number, forbidden in enumerate(attempts):
                    try:
                        forbidden()
                        wrong |= 1 << number
                    except PermissionError:
                        pass
            except BaseException:
                wrong = 255
            finally:
                os._exit(wrong)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertEqual((self.folder / "mine").stat().st_gid, 4)
