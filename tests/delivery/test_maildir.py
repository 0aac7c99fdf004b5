"""
L{txmta.delivery.maildir}, L{txmta.delivery.directories}
"""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import NOW, WatchedFileSystem
from txmta.delivery.directories import MaildirPath
from txmta.delivery.filesystem import FileSystem, MailboxError
from txmta.delivery.maildir import MaildirWriter

#: Calls that give no promise and change nothing.
LOOKING = ("open", "fstat")


class MaildirCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir(mode=0o700, parents=True)
        self.maildir = self.base / "user" / "Maildir"
        self.path = MaildirPath(str(self.base), ("user", "Maildir"))
        self.fs = WatchedFileSystem()
        self.writer = MaildirWriter("mx", lambda: NOW, fs=self.fs)

    def deliver(self, *messages: bytes) -> list[MailboxError | None]:
        return self.writer.deliver(self.path, messages or (b"hello\n",))

    def refused(self) -> MailboxError:
        """
        Deliver; check that it was refused, for now, and left nothing.
        """
        (error,) = self.deliver()
        assert error is not None
        self.assertEqual(error.status[0], "4", error.reason)
        self.assertNotIn("\n", error.reason)
        self.assertEqual(self.files(), [])
        return error

    def files(self, *folders: str) -> list[Path]:
        return [
            path
            for folder in folders or ("new", "cur", "tmp")
            if not (self.maildir / folder).is_symlink()
            for path in (self.maildir / folder).glob("*")
        ]

    def make(self) -> None:
        """
        Let there be a Maildir that this process has not seen.
        """
        for folder in ("new", "cur", "tmp"):
            (self.maildir / folder).mkdir(mode=0o700, parents=True)
        for folder in ("user", "user/Maildir"):
            (self.base / folder).chmod(0o700)


class OrderTests(MaildirCase):
    def test_order(self) -> None:
        """
        The file is synced before it is renamed, the directory after that, and
        nothing comes after that.
        """
        self.make()
        self.deliver()
        self.fs.calls.clear()
        self.assertEqual(self.deliver(b"hello\n"), [None])
        calls = [call for call in self.fs.calls if not call.startswith(LOOKING)]
        self.assertEqual(calls, ["write file", "fsync file", "rename", "fsync new"])

    def test_first_time(self) -> None:
        """
        Directories that somebody else made are synced, by their parents, when
        a process delivers there first, and so are those that it made itself.
        """
        self.make()
        expected = {"fsync " + self.base.name, "fsync user", "fsync Maildir"}
        self.deliver()
        self.assertLess(expected, set(self.fs.calls))
        shutil.rmtree(self.base / "user")
        self.fs.calls.clear()
        self.deliver()
        self.assertLess(expected, set(self.fs.calls))

    def test_made(self) -> None:
        """
        What is missing is made, for the owner alone, and each parent synced
        before the message is.
        """
        self.assertEqual(self.deliver(), [None])
        calls = [c for c in self.fs.calls if not c.startswith(LOOKING)]
        self.assertEqual(
            calls,
            [
                *("mkdir user", f"fsync {self.base.name}"),
                *("mkdir Maildir", "fsync user"),
                *("mkdir tmp", "mkdir cur", "mkdir new", "fsync Maildir"),
                *("write file", "fsync file", "rename", "fsync new"),
            ],
        )
        for folder in (".", "new", "cur", "tmp", ".."):
            mode = (self.maildir / folder).stat().st_mode & 0o777
            self.assertEqual(mode, 0o700, folder)

    def test_sync_is_tried_again(self) -> None:
        """
        A directory whose parent could not be synced is not taken for synced.
        """
        self.make()
        self.deliver()
        number = self.fs.calls.index("fsync Maildir") + 1
        fs = WatchedFileSystem()
        fs.fail = {number: errno.EIO}
        self.writer = MaildirWriter("mx", lambda: NOW, fs=fs)
        (error,) = self.deliver()
        assert error is not None
        self.assertEqual(error.status, "4.2.0")
        fs.calls.clear()
        self.assertEqual(self.deliver(), [None])
        self.assertIn("fsync Maildir", fs.calls)

    def test_batch(self) -> None:
        """
        Several messages share the sync of the directory, not those of files.
        """
        self.make()
        self.assertEqual(self.deliver(b"1\n", b"2\n", b"3\n"), [None] * 3)
        self.assertEqual(self.fs.calls.count("fsync file"), 3)
        self.assertEqual(self.fs.calls.count("fsync new"), 1)
        self.assertEqual(self.fs.calls[-1], "fsync new")
        self.assertEqual(
            sorted(path.read_bytes() for path in self.files("new")),
            [b"1\n", b"2\n", b"3\n"],
        )

    def test_file(self) -> None:
        """
        Only the owner may read a message; its name is as Postfix makes it.
        """
        self.deliver()
        (path,) = self.files()
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertRegex(path.name, r"\A1700000000\.V[0-9a-f]+I[0-9a-f]+M250000\.mx\Z")
        self.assertIn(f"I{path.stat().st_ino:x}M", path.name)

    def test_host(self) -> None:
        """
        A host name cannot lead elsewhere, nor end the name for a reader.
        """
        self.writer = MaildirWriter("../a:b", lambda: NOW)
        self.deliver()
        (path,) = self.files("new")
        self.assertTrue(path.name.endswith("...\\057a\\072b"))

    def test_base_is_made(self) -> None:
        """
        virtual_mailbox_base is made too, and synced in its parent.
        """
        self.path = MaildirPath(str(self.base / "a" / "b"), ("c",), make_base=True)
        self.assertEqual(self.deliver(), [None])
        self.assertTrue((self.base / "a" / "b" / "c" / "new").is_dir())
        self.assertIn("fsync ..", self.fs.calls)

    def test_home_is_not_made(self) -> None:
        """
        A home that is not there is perhaps not mounted.
        """
        self.path = MaildirPath(str(self.base / "gone"), ("Maildir",))
        self.assertIn("No such file", self.refused().reason)


class FaultTests(MaildirCase):
    def calls(self, *messages: bytes) -> int:
        """
        @return: how many calls a delivery to a new Maildir makes.
        """
        self.deliver(*messages)
        count = len(self.fs.calls)
        self.again()
        return count

    def again(self) -> None:
        shutil.rmtree(self.base / "user", ignore_errors=True)
        self.fs = WatchedFileSystem()
        self.writer = MaildirWriter("mx", lambda: NOW, fs=self.fs)

    def test_every_call(self) -> None:
        """
        An error in any call: deferred, and nothing is left in tmp or new.
        """
        codes = {
            errno.EIO: "4.2.0",
            errno.ENOSPC: "4.3.0",
            errno.EDQUOT: "5.2.2",
            errno.EROFS: "4.2.0",
            errno.ESTALE: "4.2.0",
            errno.EMFILE: "4.2.0",
        }
        count = self.calls()
        self.assertGreater(count, 20)
        for code, status in codes.items():
            for number in range(1, count + 1):
                self.again()
                self.fs.fail = {number: code}
                (error,) = self.deliver()
                what = f"{self.fs.calls[number - 1]}: {errno.errorcode[code]}"
                assert error is not None, what
                self.assertEqual(error.status, status, what)
                self.assertIn("maildir delivery failed: ", error.reason)
                self.assertEqual(self.files(), [], what)

    def test_descriptors(self) -> None:
        """
        However it ends, no descriptor stays open.
        """
        before = os.listdir("/proc/self/fd")
        for number in range(1, self.calls() + 1):
            self.again()
            self.fs.fail = {number: errno.EIO}
            self.deliver()
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))

    def test_one_of_many(self) -> None:
        """
        An error with one message of a batch leaves the others alone; one with
        the directory takes all of them back.
        """
        messages = (b"1\n", b"2\n", b"3\n")
        first = self.calls(*messages) - len(
            ["write"] * 3 + ["fsync"] * 3 + ["rename"] * 3 + ["fsync new"]
        )
        self.assertGreater(first, 0)
        for number in range(1, self.calls(*messages) + 1):
            self.again()
            self.fs.fail = {number: errno.EIO}
            results = self.deliver(*messages)
            delivered = sum(1 for result in results if result is None)
            self.assertIn(delivered, (0, 2), self.fs.calls[number - 1])
            self.assertEqual(len(self.files("new")), delivered)
            self.assertEqual(self.files("tmp"), [])

    def test_short_write(self) -> None:
        """
        A write that takes less than all is continued.
        """

        class Slow(FileSystem):
            @staticmethod
            def write(descriptor: int, octets: bytes) -> int:  # type: ignore[override]
                return os.write(descriptor, octets[:3])

        self.writer = MaildirWriter("mx", lambda: NOW, fs=Slow())
        self.assertEqual(self.deliver(b"0123456789\n"), [None])
        (path,) = self.files("new")
        self.assertEqual(path.read_bytes(), b"0123456789\n")


class AttackTests(MaildirCase):
    """
    Facts: what is found in place of a directory defers, and is not followed.
    """

    PLACES = ("user", "user/Maildir", "user/Maildir/tmp", "user/Maildir/new")

    def setUp(self) -> None:
        super().setUp()
        self.make()
        self.victim = self.base / "victim"
        for folder in ("", "tmp", "new", "cur", "Maildir/tmp", "Maildir/new"):
            (self.victim / folder).mkdir(mode=0o700, parents=True)

    def replaced(self, place: str) -> Path:
        """
        Take a directory away.
        """
        path = self.base / place
        shutil.rmtree(path)
        return path

    def check_victim(self) -> None:
        files = [path for path in self.victim.rglob("*") if not path.is_dir()]
        self.assertEqual(files, [])

    def test_symlink(self) -> None:
        for place in self.PLACES:
            self.setUp()
            self.replaced(place).symlink_to(self.victim)
            self.assertIn("symbolic link", self.refused().reason)
            self.check_victim()

    def test_dangling_symlink(self) -> None:
        """
        Nothing is made where it points to.
        """
        for place in self.PLACES:
            self.setUp()
            self.replaced(place).symlink_to(self.victim / "x")
            self.refused()
            self.assertFalse((self.victim / "x").exists())

    def test_fifo(self) -> None:
        """
        It does not keep a thread waiting for a reader.
        """
        for place in self.PLACES:
            self.setUp()
            os.mkfifo(self.replaced(place))
            self.refused()

    def test_file_and_hard_link(self) -> None:
        secret = self.victim / "secret"
        for place in self.PLACES:
            self.setUp()
            secret.write_bytes(b"secret")
            os.link(secret, self.replaced(place))
            self.refused()
            self.assertEqual(secret.read_bytes(), b"secret")

    def test_writable_for_everybody(self) -> None:
        for place in self.PLACES:
            self.setUp()
            (self.base / place).chmod(0o1777)
            self.assertIn("writable for everybody", self.refused().reason)

    def test_foreign_owner(self) -> None:
        """
        strict_mailbox_ownership (as if everything belonged to somebody else).
        """
        other = os.geteuid() + 1

        class Foreign(FileSystem):
            geteuid = staticmethod(lambda: other)

        self.writer = MaildirWriter("mx", lambda: NOW, fs=Foreign())
        self.assertIn("not owned by recipient", self.refused().reason)
        self.writer = MaildirWriter("mx", lambda: NOW, False, Foreign())
        self.assertEqual(self.deliver(), [None])

    def test_chown(self) -> None:
        """
        The same, for each directory, where we may give files away.
        """
        if os.geteuid() != 0:
            raise SkipTest("needs root: gives directories to another user")
        for place in self.PLACES:
            self.setUp()
            os.chown(self.base / place, 12345, 12345)
            self.assertIn("not owned by recipient", self.refused().reason)

    def test_target_exists(self) -> None:
        """
        What has the name of our file in tmp is not written to, whatever it is.
        """
        secret = self.victim / "secret"

        def symlink(path: Path) -> None:
            path.symlink_to(secret)

        def hard_link(path: Path) -> None:
            os.link(secret, path)

        for make in (symlink, hard_link, os.mkfifo, Path.mkdir):
            self.setUp()
            secret.write_bytes(b"secret")
            name = f"{int(NOW)}.P{os.getpid()}Q1.mx"
            make(self.maildir / "tmp" / name)
            (error,) = self.deliver()
            assert error is not None
            self.assertEqual(error.status, "4.2.0")
            self.assertEqual(secret.read_bytes(), b"secret")
            self.assertEqual(self.files("new"), [])
            self.assertEqual(self.deliver(), [None])

    def test_swap(self) -> None:
        """
        Directories that are swapped for links between any two calls: the
        message is where it would have been, or nowhere, but not there.
        """
        count = self._count()
        for place in self.PLACES:
            for number in range(1, count + 1):
                self.setUp()
                self._swap_before(number, place)
                self.deliver()
                self.check_victim()

    def _count(self) -> int:
        self.deliver()
        return len(self.fs.calls)

    def _swap_before(self, number: int, place: str) -> None:
        fs, base, victim = self.fs, self.base, self.victim
        call = fs._call

        def swapping(name, args, kwargs):  # type: ignore[no-untyped-def]
            if len(fs.calls) == number - 1:
                (base / place).rename(base / "away")
                (base / place).symlink_to(victim)
            return call(name, args, kwargs)

        fs._call = swapping  # type: ignore[method-assign]


class UniqueTests(MaildirCase):
    def test_ten_thousand(self) -> None:
        """
        At the same microsecond, in several threads: nothing is overwritten.
        """

        class Quick(FileSystem):
            @staticmethod
            def fsync(fd: object) -> None:
                pass

        writer = MaildirWriter("mx", lambda: NOW, fs=Quick())
        with ThreadPoolExecutor(4) as pool:
            batches = pool.map(
                lambda n: writer.deliver(self.path, [b"%d\n" % n] * 4), range(2500)
            )
            self.assertEqual([r for batch in batches for r in batch if r], [])
        self.assertEqual(len(self.files("new")), 10_000)
        self.assertEqual(self.files("tmp"), [])


class StreamTests(MaildirCase):
    def test_blocks(self) -> None:
        """
        A message in blocks is there when it is finished, and not before.
        """
        stream = self.writer.begin(self.path)
        stream.write(b"one\n")
        stream.write(b"two\n")
        self.assertEqual(self.files("new"), [])
        stream.finish()
        stream.close(True)
        (path,) = self.files()
        self.assertEqual(path.read_bytes(), b"one\ntwo\n")
        calls = [call for call in self.fs.calls if not call.startswith(LOOKING)]
        self.assertEqual(calls[-3:], ["fsync file", "rename", "fsync new"])

    def test_given_up(self) -> None:
        """
        Nothing is left of a message that was not finished.
        """
        stream = self.writer.begin(self.path)
        stream.write(b"one\n")
        stream.close(False)
        self.assertEqual(self.files(), [])

    def test_every_call(self) -> None:
        """
        An error in any call: deferred, nothing left, no descriptor either.
        """
        before = len(os.listdir("/proc/self/fd"))
        number = 0
        while True:
            number += 1
            shutil.rmtree(self.base / "user", ignore_errors=True)
            self.fs = WatchedFileSystem()
            self.fs.fail = {number: errno.EIO}
            self.writer = MaildirWriter("mx", lambda: NOW, fs=self.fs)
            try:
                stream = self.writer.begin(self.path)
                try:
                    stream.write(b"one\n")
                    stream.write(b"two\n")
                    stream.finish()
                finally:
                    stream.close(False)
            except MailboxError as e:
                self.assertEqual(e.status, "4.2.0")
                self.assertEqual(self.files(), [], self.fs.calls[number - 1])
            if number > len(self.fs.calls):
                break
        self.assertGreater(number, 20)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
