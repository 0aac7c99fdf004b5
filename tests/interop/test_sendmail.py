"""
The sendmail command with the running server, and with one that is not running.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import (
    ENVIRONMENT,
    PATIENCE,
    answers,
    read_maildir,
    wait_for,
)
from tests.support import SLICE, require, require_root

#: Messages that are handed in at once.
MANY = 40 if SLICE else 200

#: How many commands run at the same time.
WIDTH = 20

_MAIN_CF = """\
virtual_mailbox_domains = v.test
virtual_mailbox_base = $config_directory/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:@UID@
virtual_gid_maps = static:@GID@
"""

_MASTER_CF = """\
pickup unix n - n 60 1 pickup
smtp unix - - n - - smtp
relay unix - - n - - smtp
local unix - n n - - local
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""

#: CPU seconds of one command.
CPU = 0.060


class Case(RunningTestCase):
    def server(self, main_cf: str = "") -> tuple[Txmta, Path]:
        """
        @return: one that is not started, and where its mail goes.
        """
        server = self.txmta(main_cf, master_cf=_MASTER_CF)
        server.add(_MAIN_CF)
        return server, server.maildir("all")

    def send(
        self, server: Txmta, *arguments: str, content: bytes, user: int | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "txmta.admin.sendmail"),
                *("-C", str(server.folder), *arguments),
            ],
            input=content,
            capture_output=True,
            timeout=PATIENCE * 3,
            env={**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            user=user,
            cwd="/",
        )

    def prepared(self, server: Txmta) -> None:
        """
        Started once, which makes the queue, and stopped.
        """
        server.start()
        server.stop()


class SendTests(Case):
    def test_taken_at_once(self) -> None:
        """
        A message is delivered without anybody waiting for a wake-up.
        """
        server, maildir = self.server()
        server.start()
        start = time.monotonic()
        done = self.send(server, "-t", content=b"To: a@v.test\nBcc: b@v.test\n\nx\n")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        for content in read_maildir(maildir, 2, server.log):
            self.assertIn(b", from userid %d)\n" % os.getuid(), content)
            self.assertNotIn(b"Bcc", content)
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(os.listdir(server.folder / "queue" / "maildrop"), [])

    def test_ordinary_user(self) -> None:
        """
        Who has no right but his own hands in mail all the same, and the trace
        says who.
        """
        require_root("becomes another user")
        server, maildir = self.server()
        server.start()
        done = self.send(server, "a@v.test", content=b"S: x\n\n", user=1)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        (content,) = read_maildir(maildir, 1, server.log)
        self.assertIn(b", from userid 1)\n", content)
        server.wait_for_log(r"pickup\[\d+\]: \w+: uid=1 from=<daemon>")

    def test_while_down(self) -> None:
        """
        What is handed in while the server is down is delivered when it is up.
        """
        server, maildir = self.server()
        self.prepared(server)
        self.assertEqual(
            self.send(server, "a@v.test", content=b"S: x\n\n").returncode, 0
        )
        self.assertEqual(len(os.listdir(server.folder / "queue" / "maildrop")), 1)
        server.start()
        read_maildir(maildir, 1, server.log)

    def test_returned(self) -> None:
        """
        What cannot be taken comes back, and is not in the way.
        """
        server, maildir = self.server()
        server.start()
        content = b"Received: x\n" * 60 + b"\n"
        self.send(server, "-f", "b@v.test", "a@v.test", content=content)
        (notice,) = read_maildir(maildir, 1, server.log)
        self.assertIn(b"Undelivered Mail Returned to Sender", notice)
        self.assertIn(b"too many hops", notice)
        server.wait_for_log(r"bounce\[\d+\]: \w+: sender non-delivery notification")
        maildrop = server.folder / "queue" / "maildrop"
        wait_for(lambda: not os.listdir(maildrop), "it is still there")

    def test_hostile(self) -> None:
        """
        What is no message neither stops the server nor the mail of others.
        """
        server, maildir = self.server()
        self.prepared(server)
        maildrop = server.folder / "queue" / "maildrop"
        before = os.umask(0)
        try:
            os.mkfifo(maildrop / "fifo", 0o777)
            (maildrop / "link").symlink_to("/etc/passwd")
            (maildrop / "directory").mkdir(0o777)
            (maildrop / "directory" / "file").touch()
            (maildrop / "garbage").write_bytes(os.urandom(100_000))
            (maildrop / "empty").touch()
            os.link(maildrop / "garbage", maildrop / "second")
            (maildrop / "huge").touch()
            os.truncate(maildrop / "huge", 1 << 33)
            (maildrop / "\u00e4 \x01\n").write_bytes(b"x")
            for path in maildrop.iterdir():
                if path.is_file() and not path.is_symlink():
                    path.chmod(0o744)
        finally:
            os.umask(before)
        self.send(server, "a@v.test", content=b"S: x\n\n")
        server.start()
        read_maildir(maildir, 1, server.log)
        wait_for(
            lambda: os.listdir(maildrop) == ["directory"],
            lambda: f"{os.listdir(maildrop)}\n{server.log()}",
        )
        self.assertNotIn("internal error", server.log())
        self.send(server, "b@v.test", content=b"S: x\n\n")
        read_maildir(maildir, 2, server.log)

    def test_many(self) -> None:
        """
        Many at once, while the server is stopped and started: each is
        delivered, and no more than once.
        """
        server, maildir = self.server()
        server.start()
        failed: list[bytes] = []

        def some(first: int) -> None:
            for number in range(first, MANY, WIDTH):
                subject = b"Subject: %d\n\nx\n" % number
                done = self.send(server, "-i", "a@v.test", content=subject)
                if done.returncode or done.stderr:
                    failed.append(done.stderr)

        threads = [threading.Thread(target=some, args=(n,)) for n in range(WIDTH)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            server.stop()
            time.sleep(0.3)
            # All these commands leave it little CPU to start with.
            server.launch()
            end = time.monotonic() + 3 * PATIENCE
            while not answers(server.port) and time.monotonic() < end:
                time.sleep(0.1)
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        messages = read_maildir(maildir, MANY, server.log)
        subjects = Counter(
            int(m.partition(b"\nSubject: ")[2].partition(b"\n")[0]) for m in messages
        )
        self.assertEqual(subjects, Counter(range(MANY)))

    def test_cpu(self) -> None:
        """
        One message costs no more than so much CPU, the start of Python and
        all; the least of several, for others use the machine, too.
        """
        server, _ = self.server()
        self.prepared(server)
        least = 1.0
        for _ in range(7):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.send(server, "-t", content=b"To: a@v.test\n\n" + b"x\n" * 2000)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            least = min(least, used)
        self.assertLess(least, CPU)


class KillTests(Case):
    def test_between_commit_and_removal(self) -> None:
        """
        A server that is killed when the message is in the queue and the file
        not yet removed: it is delivered, at most twice.
        """
        require("strace")
        server, maildir = self.server()
        self.prepared(server)
        self.send(server, "a@v.test", content=b"Subject: killed\n\nx\n")
        maildrop = server.folder / "queue" / "maildrop"
        (name,) = os.listdir(maildrop)
        server.launch(
            *("strace", "-f", "-qq", "-o", str(server.folder / "trace")),
            *("-P", str(maildrop), "-e", "trace=unlinkat"),
            *("-e", "inject=unlinkat:signal=KILL:when=1"),
        )
        wait_for(server.ended, lambda: f"was not killed\n{server.log()}")
        self.assertIn(name, (server.folder / "trace").read_text())
        server.start()
        messages = read_maildir(maildir, 1, server.log)
        wait_for(lambda: not os.listdir(maildrop), "it is still there")
        server.wait_until_idle()
        messages = read_maildir(maildir, 1, server.log)
        self.assertIn(len(messages), (1, 2))
        for message in messages:
            self.assertIn(b"Subject: killed", message)
