"""
The real server as a master and its children, when the machine is in trouble:
what it says, what becomes of mail, and that it is well again by itself.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.interop.running import RunningTestCase
from tests.interop.test_confined_server import children
from tests.interop.test_multi import MAIN_CF, MASTER_CF
from tests.interop.tools import ENVIRONMENT, wait_for
from tests.support import require_root

#: Octets of a message with a content file.
LARGE = 200_000


class TroubleTests(RunningTestCase):
    def setUp(self) -> None:
        require_root("to have several processes")
        self.next_hop = self.aiosmtpd()
        self.server = self.txmta(
            f"relayhost = [127.0.0.1]:{self.next_hop.port}\n{MAIN_CF}",
            master_cf=MASTER_CF,
        )
        self.queue = self.server.folder / "queue"

    def start(self, *before: str) -> None:
        self.server.start(*before)
        self.server.wait_for_log("daemon started")

    def send(self, size: int = 0, timeout: float = 15) -> int:
        """
        @return: the answer, C{250} if it is taken.
        """
        text = f"Subject: x\n\n{'x' * 70}\n" + size // 71 * f"{'y' * 70}\n"
        try:
            with smtplib.SMTP("127.0.0.1", self.server.port, timeout=timeout) as client:
                client.sendmail("a@b.test", ["x@c.test"], text)
        except smtplib.SMTPResponseException as e:
            return e.smtp_code
        return 250

    def arrived(self, count: int) -> None:
        """
        So many messages have come to the next hop, besides our own.
        """

        def sent() -> bool:
            contents = [bytes(m.content) for m in self.next_hop.messages]
            return sum(b"\nSubject: x" in each for each in contents) == count

        wait_for(sent, lambda: f"{len(self.next_hop.messages)}\n{self.server.log()}")

    def pids(self, role: str) -> list[int]:
        return [p for p, name in children(self.server.pid).items() if name == role]

    def killed(self, *roles: str) -> None:
        for role in roles:
            os.kill(self.pids(role)[0], signal.SIGKILL)

    def test_full_disk(self) -> None:
        """
        New mail gets 452, what is there is delivered, and all is as before
        when there is room, whoever was started meanwhile.
        """
        user = self.server.user
        self.queue.mkdir()
        options = f"size=128m,mode=700,uid={user.pw_uid},gid={user.pw_gid}"
        mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(self.queue)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            self.skipTest("cannot mount a file system here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.queue)], check=True)
        self.addCleanup(self.server.stop)
        self.server.add("message_size_limit = 2000000\n")
        self.start()
        self.assertEqual(self.send(), 250)
        with (self.queue / "fill").open("wb", buffering=0) as fill:

            def full() -> None:
                for size in (1 << 20, 1):
                    with contextlib.suppress(OSError):
                        while True:
                            fill.write(bytes(size))

            taken = 1

            def refused() -> bool:
                # The reserve is given up when somebody has something to
                # write: then there is room until it is full again.
                nonlocal taken
                full()
                code = self.send()
                taken += code == 250
                return code == 452

            full()
            self.assertEqual(self.send(LARGE), 452)
            wait_for(refused, self.server.log)
            self.server.wait_for_log("warning: .*(disk full|not enough free space)")
            self.killed("qmgr", "smtpd")
            wait_for(refused, self.server.log)
            fill.truncate(0)
        wait_for(lambda: self.send(LARGE) == 250, self.server.log)
        self.arrived(taken + 1)

    def test_descriptors(self) -> None:
        """
        A process that has many clients leaves others alone, with whom another
        process or the end of a session helps; nobody is turned away.
        """
        self.start("sh", "-c", 'ulimit -n 120; exec "$@"', "sh")
        clients = [self.client() for _ in range(300)]
        warning = self.server.wait_for_log("60 connections: no more are accepted", 2)
        self.assertIn("LimitNOFILE", warning[0])
        greeted = [c for c in clients if greeting(c)]
        self.assertEqual(len(greeted), 120)
        for pid in self.pids("smtpd"):
            self.assertLess(len(os.listdir(f"/proc/{pid}/fd")), 100)
        for client in greeted:
            client.close()
        rest = [c for c in clients if c not in greeted]
        wait_for(lambda: any(greeting(c) for c in rest), "nobody comes after")
        for client in rest:
            client.close()
        self.assertEqual(self.send(LARGE), 250)
        self.arrived(1)
        self.assertNotIn("EMFILE", self.server.output())

    def client(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.server.port), 10)
        self.addCleanup(client.close)
        client.settimeout(0.01)
        return client

    def test_log_gone(self) -> None:
        """
        When the directory of the log is away, mail goes on; when it is back,
        so is the log.
        """
        logs = self.server.folder / "logs"
        self.server.add(f"maillog_file = {logs}/mail.log\n")
        with made(logs, self.server.user):
            self.server.start()
            self.assertEqual(self.send(), 250)
            self.arrived(1)
        self.assertEqual(self.send(), 250)
        self.arrived(2)
        with made(logs, self.server.user):
            path = logs / "mail.log"

            def logged() -> bool:
                self.assertEqual(self.send(), 250)
                text = path.read_text() if path.exists() else ""
                return all(f"postfix/{name}[" in text for name in ("smtpd", "qmgr"))

            wait_for(logged, "the log comes back")
            self.server.stop()

    def test_rotation_by_master(self) -> None:
        """
        Whoever begins the new file after logrotate, all processes can go on
        with it.
        """
        self.start()
        (self.server.folder / "mail.log").rename(self.server.folder / "mail.log.1")
        # Master is the first to write.
        self.killed("pickup")
        self.server.wait_for_log("process pickup pid .* killed by signal 9")
        self.assertEqual(self.send(), 250)
        self.server.wait_for_log("removed$")

    def test_queue_directory(self) -> None:
        """
        Who takes the queue directory away from a running server gets words,
        and temporary answers; with the directory, the service is back.
        """
        self.start()
        self.assertEqual(self.send(LARGE), 250)
        self.arrived(1)
        before = self.queue.stat()
        os.chown(self.queue, 0, 0)
        self.queue.chmod(0o700)
        self.assertEqual(self.send(LARGE), 451)
        self.server.wait_for_log("warning: .*Permission denied: '.*/queue/content/")
        self.killed("qmgr", "smtpd")
        self.server.wait_for_log("warning: smtpd: cannot open the queue in .*/queue")
        self.server.wait_for_log("warning: qmgr: cannot open the queue in .*/queue")
        os.chown(self.queue, before.st_uid, before.st_gid)
        wait_for(lambda: len(self.pids("smtpd")) == 2 and self.pids("qmgr"), "children")
        self.assertEqual(self.send(LARGE), 250)
        self.arrived(2)

    def test_main_cf(self) -> None:
        """
        A reload without a main.cf that can be read says so, and changes
        nothing.
        """
        self.start()
        main_cf = self.server.folder / "main.cf"
        main_cf.rename(f"{main_cf}.away")
        before = children(self.server.pid)
        self.server.kill(signal.SIGHUP)
        self.server.wait_for_log(r"warning: .*main\.cf: cannot be read: No such file")
        self.server.wait_for_log("warning: reload: the configuration stays as it was")
        self.assertEqual(children(self.server.pid), before)
        self.assertEqual(self.send(), 250)
        Path(f"{main_cf}.away").rename(main_cf)
        self.server.kill(signal.SIGHUP)
        self.server.wait_for_log("reload: done")

    def test_hangups(self) -> None:
        """
        Fifty SIGHUPs are a few reloads, and nobody is in the way of mail.
        """
        self.start()
        for _ in range(50):
            self.server.kill(signal.SIGHUP)
            time.sleep(0.005)
        self.assertEqual(self.send(), 250)
        self.server.wait_for_log("reload: done", 2)
        time.sleep(1)
        self.assertLess(self.server.log().count("reload: done"), 5)
        self.assertEqual(self.send(), 250)
        self.arrived(2)
        wait_for(lambda: len(children(self.server.pid)) == 7, "old processes stay")

    def test_second_master(self) -> None:
        """
        Nobody starts beside a master, not even while it stops.
        """
        self.start()
        words = rf"another server has this queue \(process {self.server.pid}\)"
        self.assertRegex(self.server.run().stderr, words)
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=15) as client:
            client.ehlo()
            client.mail("a@b.test")
            self.server.kill(signal.SIGTERM)
            self.server.wait_for_log("stopping: sessions and deliveries")
            self.assertRegex(self.server.run().stderr, words)
        self.server.wait()
        self.server.start()
        self.assertEqual(self.send(), 250)

    def test_check(self) -> None:
        """
        C{postfix check} names each account that is missing, with a remedy.
        """
        master_cf = self.server.folder / "master.cf"
        lines = "local unix - n n - - local\nx unix - n n - - pipe user=no-x argv=/x\n"
        self.server.write("master.cf", master_cf.read_text() + lines)
        names = "mail_owner = no-o\nsetgid_group = no-g\ndefault_privs = no-p\n"
        self.server.add(names)
        text = self.check()
        for pattern in (
            r"fatal: .*mail_owner = no-o: .*make it \(useradd .* no-o\)",
            r"fatal: .*setgid_group = no-g: .*make it \(groupadd .* no-g\)",
            r"warning: .*main\.cf, line \d+: default_privs = no-p: .*make it \(useradd",
            r"warning: .*master\.cf, line \d+: user=no-x: .*make it \(useradd",
        ):
            self.assertRegex(text, pattern)
        self.server.add("mail_owner = nobody\nsetgid_group = mail\n")
        self.server.add("default_privs = root\nmaillog_file = /nonexistent/log\n")
        text = self.check()
        self.assertRegex(
            text, "warning: .*default_privs = root: has the rights of root"
        )
        self.assertRegex(text, "fatal: .*maillog_file = /nonexistent/log: .*opened")

    def check(self) -> str:
        words = [sys.executable, "-m", "txmta.admin.postfix"]
        words += ["-c", str(self.server.folder), "check"]
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr


def greeting(client: socket.socket) -> bytes:
    """
    @return: what the server says, C{b""} if nothing just now.
    """
    try:
        said = client.recv(100)
    except TimeoutError:
        return b""
    if not said.startswith(b"220 "):
        raise AssertionError(f"turned away: {said!r}")
    return said


@contextlib.contextmanager
def made(folder: Path, user: pwd.struct_passwd) -> Iterator[None]:
    """
    Inside, the directory is there, and theirs.
    """
    folder.mkdir()
    os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        yield
    finally:
        shutil.rmtree(folder)
