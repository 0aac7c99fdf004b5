"""
L{txmta.admin.sendmail}: from the command line to a file in maildrop.
"""

from __future__ import annotations

import io
import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.pickup_doubles import Desk
from txmta.admin import maildrop_file, postqueue, sendmail, sendmail_options
from txmta.queue.maildrop import Submitted

ME = pwd.getpwuid(os.geteuid())
MESSAGE = b"Subject: x\n\nhello\n"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.desk = Desk(Path(tempfile.mkdtemp(prefix="tx")))
        self.addCleanup(self.desk.close)
        self.said = io.StringIO()
        self.patch(sys, "stderr", self.said)
        self.patch(sendmail, "_log", lambda text: None)
        handler = signal.getsignal(signal.SIGTERM)
        self.addCleanup(
            lambda: self.assertIs(signal.getsignal(signal.SIGTERM), handler)
        )

    def send(self, *arguments: str, content: bytes = MESSAGE) -> int:
        stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))
        self.patch(sys, "stdin", stdin)
        return sendmail.main(["-C", str(self.desk.folder), *arguments])

    def files(self) -> list[str]:
        return os.listdir(self.desk.maildrop)

    def taken(self) -> tuple[Submitted, bytes]:
        """
        @return: what stands in the only file, which goes.
        """
        (name,) = self.files()
        file = self.desk.reader.open(name, self.desk.wall)
        try:
            return file.submitted, b"".join(file.blocks())
        finally:
            file.close()
            self.desk.reader.remove(name)

    def refused(self, status: int, words: str, *arguments: str, **more: Any) -> None:
        """
        With one line on standard error, and nothing left behind.
        """
        self.assertEqual(self.send(*arguments, **more), status)
        said = self.said.getvalue()
        self.assertEqual(said.count("\n"), 1, said)
        start = f"sendmail: fatal: {ME.pw_name}({os.geteuid()}): "
        self.assertTrue(said.startswith(start), said)
        self.assertIn(words, said)
        self.assertEqual(self.files(), [])
        self.said.seek(0)
        self.said.truncate()


class SubmitTests(Case):
    def test_message(self) -> None:
        self.assertEqual(self.send("a@b.test", "-i", "c"), 0)
        submitted, content = self.taken()
        self.assertEqual(submitted.sender, ME.pw_name)
        self.assertEqual(submitted.recipients, ["a@b.test", "-i", "c"])
        self.assertEqual(content, MESSAGE.replace(b"\n", b"\r\n"))

    def test_verify(self) -> None:
        """
        The message of -bv is made up; standard input is not read.
        """
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        self.assertEqual(self.send("-bv", "-f", "me@a.test", "A <a@b.test>", "c"), 0)
        submitted, content = self.taken()
        self.assertEqual(submitted.fields["trace"], "verify")
        self.assertEqual(submitted.recipients, ["a@b.test", "c"])
        self.assertEqual(
            content,
            b"From: me@a.test\r\nSubject: probe\r\nTo:\tA <a@b.test>,\r\n\tc\r\n",
        )
        words = "Mail Delivery Status Report will be mailed to <me@a.test>.\n"
        self.assertEqual(out.getvalue(), words)
        self.send("-bv", "-f", "", "a\nBcc: x@y.test")
        submitted, content = self.taken()
        self.assertTrue(content.startswith(b"Subject: probe\r\nTo:\ta Bcc:"))
        self.send("-v", "-f", "", "a")
        submitted, content = self.taken()
        self.assertEqual(submitted.fields["trace"], "record")
        self.assertEqual(content, MESSAGE.replace(b"\n", b"\r\n"))
        self.refused(sendmail_options.EX_USAGE, "must be specified", "-bv")

    def test_file(self) -> None:
        """
        For its owner and the mail system, under a name that nobody can guess,
        whatever the umask.
        """
        before = os.umask(0o777)
        self.addCleanup(os.umask, before)
        self.assertEqual(self.send("a"), 0)
        os.umask(before)
        (name,) = self.files()
        status = (self.desk.maildrop / name).stat()
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o740)
        self.assertRegex(name, "^[0-9a-f]{32}$")

    def test_full_name(self) -> None:
        """
        Of -F, else of NAME, else of the account.
        """
        self.patch(os, "environ", {"NAME": "Environment"})
        self.send("-F", "Option", "a")
        self.assertEqual(self.taken()[0].full_name, "Option")
        self.send("a")
        self.assertEqual(self.taken()[0].full_name, "Environment")
        self.patch(os, "environ", {})
        entry = list(ME)
        entry[4] = "& Of, Room 1"
        self.patch(pwd, "getpwuid", lambda uid: pwd.struct_passwd(entry))
        self.send("a")
        name = f"{ME.pw_name.capitalize()} Of"
        self.assertEqual(self.taken()[0].full_name, name)

    def test_control_characters(self) -> None:
        """
        No argument can make a field.
        """
        self.send("-f", "a\nto x", "-F", "n\r\nto y", "b\nto z@w")
        submitted, _ = self.taken()
        self.assertEqual(submitted.recipients, ["b", "to", "z@w"])
        self.assertNotIn("\n", submitted.sender + submitted.full_name)

    def test_config(self) -> None:
        """
        -C names main.cf or its directory; else MAIL_CONFIG counts.
        """
        main_cf = str(self.desk.folder / "main.cf")
        stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(MESSAGE)))
        self.patch(sys, "stdin", stdin)
        self.assertEqual(sendmail.main(["-C", main_cf, "a"]), 0)
        self.patch(os, "environ", {"MAIL_CONFIG": str(self.desk.folder)})
        self.assertEqual(sendmail.main(["a"]), 0)
        self.assertEqual(len(self.files()), 2)

    def test_no_recipients(self) -> None:
        words = "Recipient addresses must be specified"
        self.refused(sendmail_options.EX_USAGE, words)
        self.refused(sendmail_options.EX_USAGE, "No recipient addresses", "-t")

    def test_too_big(self) -> None:
        main_cf = self.desk.folder / "main.cf"
        with main_cf.open("a") as f:
            f.write("message_size_limit = 1000\n")
        big = b"x" * 100_000
        words = "message file too big"
        self.refused(sendmail_options.EX_UNAVAILABLE, words, "a", content=big)
        self.assertEqual(self.send("a", content=b"x" * 999 + b"\n"), 0)

    def test_header_too_long(self) -> None:
        header = b"To: " + b"a,\n " * 40_000 + b"\n\n"
        words = "message header length exceeds limit"
        self.refused(sendmail_options.EX_DATAERR, words, "-t", content=header)

    def test_not_allowed(self) -> None:
        with (self.desk.folder / "main.cf").open("a") as f:
            f.write(f"authorized_submit_users = !{ME.pw_name}, static:all\n")
        words = f"User {ME.pw_name}({os.geteuid()}) is not allowed to submit mail"
        self.refused(sendmail_options.EX_NOPERM, words, "a")
        with (self.desk.folder / "main.cf").open("a") as f:
            f.write(f"authorized_submit_users = {ME.pw_name}\n")
        self.assertEqual(self.send("a"), 0)

    def test_no_maildrop(self) -> None:
        self.desk.maildrop.rmdir()
        self.addCleanup(self.desk.maildrop.mkdir)
        self.assertEqual(self.send("a"), sendmail_options.EX_TEMPFAIL)
        self.assertIn("does not exist: start the server", self.said.getvalue())

    def test_no_config(self) -> None:
        status = sendmail.main(["-C", "/nonexistent", "a"])
        self.assertEqual(status, sendmail_options.EX_CONFIG)
        self.assertIn("open /nonexistent/main.cf", self.said.getvalue())

    def test_disk_full(self) -> None:
        """
        Nothing half is left, and its name is told to nobody.
        """

        def full(_fd: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)
        self.refused(sendmail_options.EX_TEMPFAIL, "No space left", "a")

    def test_name(self) -> None:
        """
        The name of a file is told to nobody.
        """
        real, seen = os.open, []

        def refuse(path: str, flags: int, *more: Any, **others: Any) -> int:
            if flags & os.O_CREAT:
                seen.append(os.path.basename(path))
                raise PermissionError(13, "Permission denied", path)
            return real(path, flags, *more, **others)

        self.patch(os, "open", refuse)
        self.assertEqual(self.send("a"), sendmail_options.EX_TEMPFAIL)
        (name,) = seen
        self.assertIn("maildrop: Permission denied", self.said.getvalue())
        self.assertNotIn(name, self.said.getvalue())

    def test_order(self) -> None:
        """
        All is on disk before the file counts, and the mode before we say so.
        """
        done: list[object] = []
        for name in ("pwrite", "fsync", "fchmod"):
            self._record(name, done)
        self.assertEqual(self.send("a"), 0)
        self.assertEqual(done, ["pwrite", "fsync", "fchmod", "fsync", "fsync"])

    def _record(self, name: str, done: list[object]) -> None:
        real = getattr(os, name)

        def recorded(*arguments: Any) -> Any:
            done.append(name)
            return real(*arguments)

        self.patch(os, name, recorded)

    def test_removed_meanwhile(self) -> None:
        """
        A file that somebody removed before it was complete is no success.
        """
        real = os.pwrite

        def remove(*arguments: Any) -> int:
            for name in self.files():
                (self.desk.maildrop / name).unlink()
            return real(*arguments)

        self.patch(os, "pwrite", remove)
        self.refused(sendmail_options.EX_TEMPFAIL, "was removed", "a")

    def test_modes(self) -> None:
        """
        What is not done is refused by name, with what to do.
        """
        for argument, words in (
            ("-bs", "-bs is not supported: speak SMTP"),
            ("-bd", "-bd is not supported: start the server"),
        ):
            self.refused(sendmail_options.EX_UNAVAILABLE, words, argument)
        self.assertEqual(self.send("-bh"), 0)

    def test_queue(self) -> None:
        """
        The queue is postqueue's business.
        """
        asked: list[Sequence[str]] = []

        def main(arguments: Sequence[str], name: str) -> int:
            asked.append(arguments)
            return 7

        self.patch(postqueue, "main", main)
        for argument in ("-bp", "-q", "-qIABC", "-qRx.test"):
            self.assertEqual(self.send(argument), 7)
        self.patch(sys, "argv", ["/usr/bin/mailq", "-C", str(self.desk.folder)])
        self.assertEqual(sendmail.main(), 7)
        config = ["-c", str(self.desk.folder)]
        self.assertEqual(
            asked,
            [
                [*config, "-p"],
                [*config, "-f"],
                [*config, "-i", "ABC"],
                [*config, "-s", "x.test"],
                [*config, "-p"],
            ],
        )

    def test_warnings(self) -> None:
        self.assertEqual(self.send("-R", "x", "a"), 0)
        warning = "sendmail: warning: bad -R option value -- ignored\n"
        self.assertEqual(self.said.getvalue(), warning)


class CommandTests(SynchronousTestCase):
    def test_light(self) -> None:
        """
        A message costs one start of Python: neither Twisted is imported nor
        what else takes long.
        """
        folder = Path(tempfile.mkdtemp(prefix="tx"))
        desk = Desk(folder)
        self.addCleanup(desk.close)
        code = (
            "import sys; from txmta.admin.sendmail import main; "
            f"print(main(['-C', {str(folder)!r}, '-t'])); "
            "print(*(m for m in ('twisted', 'zope', 'dataclasses', 'asyncio', 'ssl', "
            "'sqlite3', 'argparse', 'txmta.config.settings', 'txmta.address', 'email') "
            "if m in sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=b"To: a@b.test\n\nx\n",
            capture_output=True,
            timeout=30,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.assertEqual((done.stdout, done.stderr), (b"0\n\n", b""))
        self.assertEqual(len(os.listdir(desk.maildrop)), 1)

    def test_killed(self) -> None:
        """
        A sendmail that is told to end leaves nothing behind.
        """
        self.assertEqual(maildrop_file.COMPLETE & 0o137, 0o100)
        desk = Desk(Path(tempfile.mkdtemp(prefix="tx")))
        self.addCleanup(desk.close)
        with subprocess.Popen(
            [sys.executable, "-m", "txmta.admin.sendmail", "-C", str(desk.folder), "a"],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            assert process.stdin is not None
            for _ in range(5):
                process.stdin.write(b"x" * 200_000)  # more than the pipe holds
                process.stdin.flush()
            self.assertEqual(len(os.listdir(desk.maildrop)), 1)
            self.assertIsNone(desk.taken())
            process.terminate()
            self.assertEqual(process.wait(10), sendmail_options.EX_TEMPFAIL)
        self.assertEqual(os.listdir(desk.maildrop), [])
