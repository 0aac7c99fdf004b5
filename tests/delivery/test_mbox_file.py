"""
L{txmta.delivery.mbox_file}: order of calls, and what is left after errors.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import NOW, WatchedFileSystem
from txmta.delivery.filesystem import FileSystem, MailboxError
from txmta.delivery.mailbox_lock import Busy
from txmta.delivery.mbox_file import MboxWriter
from txmta.delivery.mbox_open import MboxFile

OLD = b"From a  x\n\nold\n\n"
ONE = b"From a  x\n\none\n\n"
TWO = b"From a  x\n\ntwo\n\n"

#: Status of an error in a call that opens or locks, and in one that writes.
CODES = {
    errno.EIO: ("4.2.0", "4.3.0"),
    errno.ENOSPC: ("4.3.0", "4.3.0"),
    errno.EDQUOT: ("5.2.2", "5.2.2"),
    errno.EFBIG: ("5.2.2", "5.2.2"),
    errno.EROFS: ("4.2.0", "4.3.0"),
    errno.ESTALE: ("4.2.0", "4.3.0"),
    errno.EMFILE: ("4.2.0", "4.3.0"),
}


def owned(status: os.stat_result, uid: int) -> os.stat_result:
    return os.stat_result((*status[:4], uid, *status[5:]))


def with_mode(status: os.stat_result, mode: int) -> os.stat_result:
    return os.stat_result((stat.S_IFMT(status.st_mode) | mode, *status[1:]))


class MboxCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir(mode=0o700)
        self.path = self.base / "mbox"
        self.again()

    def again(self, octets: bytes | None = None) -> None:
        """
        As if the process had just started.
        """
        for path in self.base.iterdir():
            path.unlink()
        if octets is not None:
            self.path.write_bytes(octets)
        self.fs: WatchedFileSystem = WatchedFileSystem()
        self.writer = MboxWriter(lambda: NOW, 500.0, self.fs)

    def file(
        self,
        limit: int = 0,
        spool: bool = True,
        uid: int | None = None,
        strict: bool = True,
        locks: tuple[str, ...] = ("fcntl", "dotlock"),
    ) -> MboxFile:
        owner = os.getuid() if uid is None else uid
        return MboxFile(str(self.path), owner, 0, limit, strict, spool, locks)

    def deliver(
        self, *messages: bytes, file: MboxFile | None = None
    ) -> Sequence[MailboxError | None]:
        """
        @return: for each message, as L{MboxWriter.deliver}.
        """
        try:
            return self.writer.deliver(file or self.file(), lambda: messages)
        except MailboxError as e:
            return [e] * len(messages)

    def refused(self, file: MboxFile | None = None) -> MailboxError:
        """
        @return: why a message is not there; there is no lock file either.
        """
        (error,) = self.deliver(ONE, file=file)
        assert error is not None
        self.assertFalse((self.base / "mbox.lock").exists())
        return error

    def content(self) -> bytes:
        return self.path.read_bytes() if self.path.exists() else b""


class OrderTests(MboxCase):
    def test_order(self) -> None:
        """
        A new file: its name is synced before anything is written, its octets
        before anything is reported; then the locks are given back.
        """
        self.assertEqual(self.deliver(ONE, TWO), [None, None])
        self.assertEqual(self.content(), ONE + TWO)
        steps = [call for call in self.fs.calls if "stat" not in call]
        self.assertEqual(
            steps,
            [
                "open mbox.lock",
                "open mbox",
                "open mbox",
                "record_lock mbox",
                f"open {self.base.name}",
                f"fsync {self.base.name}",
                "write mbox",
                "write mbox",
                "fsync mbox",
                "unlink",
            ],
        )
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_second_time(self) -> None:
        """
        The name is synced once; a file that somebody else made as well.
        """
        for octets in (None, OLD):
            self.again(octets)
            self.deliver(ONE)
            self.fs.calls.clear()
            self.deliver(TWO)
            self.assertNotIn(f"fsync {self.base.name}", self.fs.calls)
            self.assertEqual(self.fs.calls.count("fsync mbox"), 1)
            self.assertEqual(self.content(), (octets or b"") + ONE + TWO)

    def test_made_again(self) -> None:
        """
        A file that is made anew may have the inode of the old one.
        """
        self.deliver(ONE)
        self.path.unlink()
        self.fs.calls.clear()
        self.deliver(ONE)
        self.assertIn(f"fsync {self.base.name}", self.fs.calls)

    def test_new_line(self) -> None:
        """
        A message begins after an empty line, whatever a killed process, or
        another program, has left.
        """
        for left, gap in (
            (b"From a  x\n\nol", b"\n\n"),
            (b"From a  x\n\nold\n", b"\n"),
            (OLD, b""),
            (b"F", b"\n\n"),
            (b"", b""),
        ):
            self.again(left)
            self.assertEqual(self.deliver(ONE, TWO), [None, None])
            self.assertEqual(self.content(), left + gap + ONE + TWO)

    def test_new_line_after_an_error(self) -> None:
        """
        The gap belongs to the first message that gets in.
        """
        self.again(b"torn")
        size = len(b"torn\n\n" + TWO)
        results = self.deliver(ONE + b"x" * size, TWO, file=self.file(limit=size))
        self.assertEqual([result is None for result in results], [False, True])
        self.assertEqual(self.content(), b"torn\n\n" + TWO)


class FaultTests(MboxCase):
    def count(self, octets: bytes | None) -> int:
        """
        @return: how many calls two messages take.
        """
        self.again(octets)
        self.deliver(ONE, TWO)
        return len(self.fs.calls)

    def test_every_call(self) -> None:
        """
        An error in any call: what was there stays as it was, but for whole
        messages that are reported as delivered; the lock file is gone.
        """
        for octets in (None, OLD):
            count = self.count(octets)
            self.assertGreater(count, 12)
            for code, statuses in CODES.items():
                for number in range(1, count + 1):
                    self.again(octets)
                    self.fs.fail = {number: code}
                    results = self.deliver(ONE, TWO)
                    what = f"{self.fs.calls[number - 1]}: {errno.errorcode[code]}"
                    expected = octets or b""
                    for message, error in zip((ONE, TWO), results, strict=True):
                        if error is None:
                            expected += message
                        else:
                            self.assertIn(error.status, statuses, what)
                    self.assertEqual(self.content(), expected, what)
                    if not what.startswith("unlink"):
                        self.assertFalse((self.base / "mbox.lock").exists(), what)

    def test_which_calls_matter(self) -> None:
        """
        Nothing that promises something fails in silence.
        """
        count = self.count(OLD)
        silent = set()
        for number in range(1, count + 1):
            self.again(OLD)
            self.fs.fail = {number: errno.EIO}
            if None not in self.deliver(ONE, TWO):
                continue
            silent.add(self.fs.calls[number - 1])
        # A write fails one message, and not the other.
        self.assertEqual(silent, {"stat mbox", "pread mbox", "write mbox", "unlink"})

    def test_write_statuses(self) -> None:
        """
        Postfix's words, and its class for what is over quota.
        """
        for code, (_, status) in CODES.items():
            for call in ("write mbox", "fsync mbox"):
                self.count(OLD)
                number = self.fs.calls.index(call) + 1
                self.again(OLD)
                self.fs.fail = {number: code}
                error = self.deliver(ONE, TWO)[0]
                assert error is not None
                self.assertEqual(error.status, status)
                self.assertEqual(
                    error.reason, f"error writing message: {os.strerror(code)}"
                )

    def test_sync_fails(self) -> None:
        """
        Then none of the batch is there; what an earlier batch brought is.
        """
        self.deliver(ONE)
        self.fs.calls.clear()
        self.deliver(TWO, TWO)
        number = self.fs.calls.index("fsync mbox") + 1
        self.fs.calls.clear()
        self.fs.fail = {number: errno.EIO}
        self.assertNotIn(None, self.deliver(ONE, ONE))
        self.assertEqual(self.content(), ONE + TWO + TWO)

    def test_short_write(self) -> None:
        """
        A disk that fills up in the middle of a message: it is cut off, and
        the next one, which fits, is written.
        """
        room = [len(OLD) + 10]

        class Filling(FileSystem):
            @staticmethod
            def write(descriptor: int, octets: bytes) -> int:  # type: ignore[override]
                if not room[0]:
                    room[0] = 1000
                    raise OSError(errno.ENOSPC, "full")
                written = os.write(descriptor, octets[: room[0]])
                room[0] -= written
                return written

        self.writer = MboxWriter(lambda: NOW, 500.0, Filling())
        first, second, third = self.deliver(OLD, ONE, TWO)
        self.assertIsNone(first)
        assert second is not None
        self.assertEqual(second.status, "4.3.0")
        self.assertIsNone(third)
        self.assertEqual(self.content(), OLD + TWO)

    def test_cutting_off_fails(self) -> None:
        """
        Nothing is written after what is torn, and what came before is safe.
        """
        broken = OSError(errno.EIO, "broken")

        class Broken(FileSystem):
            @staticmethod
            def write(descriptor: int, octets: bytes) -> int:  # type: ignore[override]
                if octets == TWO:
                    os.write(descriptor, octets[:5])
                    raise broken
                return os.write(descriptor, octets)

            @staticmethod
            def ftruncate(descriptor: int, length: int) -> None:
                raise broken

        self.writer = MboxWriter(lambda: NOW, 500.0, Broken())
        results = self.deliver(ONE, TWO, ONE)
        self.assertEqual([r is None for r in results], [True, False, False])
        self.assertEqual(self.content(), ONE + TWO[:5])

    def test_descriptors(self) -> None:
        """
        However it ends, no descriptor stays open.
        """
        before = len(os.listdir("/proc/self/fd"))
        for number in range(1, self.count(None) + 1):
            self.again()
            self.fs.fail = {number: errno.EIO}
            self.deliver(ONE, TWO)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_given_up(self) -> None:
        """
        A large message that does not come to its end is cut off.
        """
        self.again(OLD)
        appending = self.writer.begin(self.file())
        appending.write(ONE)
        self.assertEqual(self.content(), OLD + ONE)
        appending.close(False)
        self.assertEqual(self.content(), OLD)
        self.assertFalse((self.base / "mbox.lock").exists())

    def test_limit(self) -> None:
        """
        It is the file's; what fits gets in.
        """
        file = self.file(limit=len(ONE + TWO))
        results = self.deliver(ONE, ONE + TWO, TWO, ONE, file=file)
        self.assertEqual([r is None for r in results], [True, False, True, False])
        self.assertEqual(self.content(), ONE + TWO)


class RefusalTests(MboxCase):
    """
    Postfix's words for what is not to be written to.
    """

    def setUp(self) -> None:
        super().setUp()
        self.victim = self.base / "victim"
        self.victim.write_bytes(b"victim")

    def check(self, reason: str, file: MboxFile | None = None) -> None:
        for spool in (True, False):
            error = self.refused(file or self.file(spool=spool))
            self.assertEqual(error.status, "4.2.0")
            self.assertEqual(error.reason, reason.format(path=self.path))
            self.assertEqual(self.victim.read_bytes(), b"victim")

    def test_hard_link(self) -> None:
        os.link(self.victim, self.path)
        self.check("file has 2 hard links")

    def test_symbolic_link(self) -> None:
        """
        One that not only root can have made.
        """
        self.base.chmod(0o777)
        self.path.symlink_to(self.victim)
        self.check("file is a symbolic link")

    def test_trusted_link(self) -> None:
        """
        One that root has made, where only root can, is followed; no other is.
        """
        self.path.symlink_to(self.victim)
        real_stat, real_lstat = self.fs.stat, self.fs.lstat
        for link, parent, mode, error in (
            (0, 0, 0o755, None),
            (1, 0, 0o755, "file is a symbolic link"),
            (0, 1, 0o755, "file is a symbolic link"),
            (0, 0, 0o775, "file is a symbolic link"),
        ):

            def lstat(path: str, owner: int = link) -> os.stat_result:
                return owned(real_lstat(path), owner)

            def status(
                path: str, owner: int = parent, mode: int = mode
            ) -> os.stat_result:
                found = owned(real_stat(path), owner)
                return with_mode(found, mode) if path == str(self.base) else found

            self.patch(self.fs, "lstat", lstat)
            self.patch(self.fs, "stat", status)
            (result,) = self.deliver(ONE)
            self.assertEqual(result and result.reason, error)
        self.assertEqual(self.victim.read_bytes(), b"victim\n\n" + ONE)

    def test_dangling_link(self) -> None:
        self.path.symlink_to(self.base / "new")
        self.check("cannot open file: No such file or directory")
        self.assertFalse((self.base / "new").exists())

    def test_directory(self) -> None:
        self.path.mkdir()
        self.check("cannot open file: Is a directory")
        self.path.rmdir()

    def test_fifo(self) -> None:
        """
        With a reader or without, no thread waits.
        """
        os.mkfifo(self.path)
        self.check("cannot open file: No such device or address")
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.check("destination {path} is not a regular file")

    def test_replaced(self) -> None:
        """
        Another file has been put in its place, before or while it is locked.
        """
        self.path.write_bytes(OLD)
        for method, reason in (
            ("lstat", "file status changed unexpectedly"),
            ("record_lock", "target file status changed unexpectedly"),
        ):
            real = getattr(self.fs, method)

            def replace(*args: object, real: object = real) -> object:
                self.path.unlink()
                self.path.write_bytes(ONE)
                return real(*args)  # type: ignore[operator]

            self.patch(self.fs, method, replace)
            self.assertEqual(self.refused(self.file(locks=("fcntl",))).reason, reason)
            setattr(self.fs, method, real)
            self.assertEqual(self.content(), ONE)

    def test_owner(self) -> None:
        """
        strict_mailbox_ownership counts for mailboxes only.
        """
        self.path.write_bytes(OLD)
        other = os.getuid() + 1
        error = self.refused(self.file(uid=other))
        self.assertEqual(error.status, "4.2.0")
        self.assertEqual(
            error.reason, f"destination {self.path} is not owned by recipient"
        )
        self.assertIn("strict_mailbox_ownership", self.writer.warnings.popleft())
        lax = self.file(uid=other, strict=False)
        self.assertEqual(self.deliver(ONE, file=lax), [None])
        mere_file = self.file(uid=other, spool=False)
        self.assertEqual(self.deliver(ONE, file=mere_file), [None])

    def test_executable(self) -> None:
        """
        A file that an alias names is not a program.
        """
        self.path.write_bytes(OLD)
        self.path.chmod(0o700)
        error = self.refused(self.file(spool=False))
        self.assertEqual((error.status, error.reason), ("5.7.1", "file is executable"))
        self.assertEqual(self.deliver(ONE), [None])

    def test_device(self) -> None:
        """
        /dev/null is a fine /file/name, but no mailbox; it is neither locked
        nor synced, and has no limit.
        """
        self.path = Path("/dev/null")
        file = self.file(spool=False, limit=1)
        self.assertEqual(self.deliver(ONE, TWO, file=file), [None, None])
        self.assertFalse({"fsync null", "open null.lock"} & set(self.fs.calls))
        self.assertIn("not a regular file", self.refused().reason)


class LockTests(MboxCase):
    def test_lock_file(self) -> None:
        """
        It cannot be made: no mail for a mailbox, a warning for a file.
        """
        reason = f"unable to create lock file {self.path}.lock: Permission denied"
        self.fs.fail = {2: errno.EACCES}
        error = self.refused()
        self.assertEqual((error.status, error.reason), ("4.2.0", reason))
        self.again()
        self.fs.fail = {2: errno.EACCES}
        self.assertEqual(self.deliver(ONE, file=self.file(spool=False)), [None])
        self.assertEqual(list(self.writer.warnings), [reason])

    def test_busy(self) -> None:
        """
        Somebody else has either lock: nothing is taken, nothing is kept.
        """
        taken: list[None] = []

        def take() -> Sequence[bytes]:
            taken.append(None)
            return [ONE]

        lock = self.base / "mbox.lock"
        lock.write_bytes(b"")
        now = lock.stat().st_ctime
        self.writer = MboxWriter(lambda: now, 500.0, self.fs)
        self.assertRaises(Busy, self.writer.deliver, self.file(), take)
        lock.unlink()
        self.path.write_bytes(OLD)
        with self.path.open("ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            file = self.file(locks=("flock", "dotlock"))
            self.assertRaises(Busy, self.writer.deliver, file, take)
        self.assertFalse(lock.exists())
        self.assertEqual((taken, self.content()), ([], OLD))

    def test_write_only(self) -> None:
        """
        A file that may be written but not read.
        """
        self.again(OLD)
        real = self.fs.open

        def limited(path: str, flags: int, *rest: int) -> int:
            if flags & os.O_RDWR:
                raise PermissionError(errno.EACCES, "no")
            return real(path, flags, *rest)

        self.patch(self.fs, "open", limited)
        self.assertEqual(self.deliver(ONE), [None])
        self.assertEqual(self.content(), OLD + ONE)
