"""
How the server starts, refuses to start, and stops.
"""

from __future__ import annotations

import grp
import os
import re
import signal
import smtplib
import stat
import sys
import tempfile
import time
from pathlib import Path

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import PATIENCE, free_port
from tests.support import require, require_root

MESSAGE = b"Subject: x\r\n\r\nx\r\n"


def session(server: Txmta) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE * 2)


class RefusedTests(RunningTestCase):
    """
    What ends the start: all problems at once, one line each, exit status 1.
    """

    def problems(self, server: Txmta) -> list[str]:
        """
        @return: what is said on standard error.
        """
        done = server.run()
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = done.stderr.splitlines()
        for line in lines:
            self.assertTrue(line.startswith("txmta: fatal: "), line)
        return lines

    def refused(self, server: Txmta, *patterns: str) -> None:
        """
        Each pattern is found in a line of its own, and there are no others.
        """
        lines = self.problems(server)
        self.assertEqual(len(lines), len(patterns), lines)
        for pattern in patterns:
            self.assertTrue(any(re.search(pattern, x) for x in lines), (pattern, lines))

    def test_all_at_once(self) -> None:
        server = self.txmta(
            "queue_run_delay = soon\n"
            "smtpd_recipient_restrictions = permit_mynetworks, permit_everybody\n"
            "alias_maps = oracle:/etc/aliases\n"
            "message_size_limit = -1\n"
            "default_transport = pigeon\n"
        )
        self.refused(
            server,
            r"main\.cf, line \d+: queue_run_delay = soon: ",
            r"main\.cf, line \d+: .*permit_everybody",
            r"main\.cf, line \d+: .*oracle",
            r"main\.cf, line \d+: message_size_limit = -1: ",
            r"main\.cf, line \d+: .*pigeon",
        )
        self.assertFalse((server.folder / "queue").exists())

    def test_syntax(self) -> None:
        server = self.txmta()
        with (server.folder / "main.cf").open("a") as f:
            f.write("this is no parameter\n")
        self.refused(server, r"main\.cf, line \d+: ")

    def test_not_there(self) -> None:
        server = self.txmta()
        (server.folder / "main.cf").unlink()
        self.refused(server, r"main\.cf: .*")

    def test_bad_master_cf(self) -> None:
        server = self.txmta(master_cf="smtp unix - - n\n")
        self.refused(server, r"master\.cf, line \d+: ")

    def test_unknown_parameter(self) -> None:
        """
        A warning with the nearest name; the server runs.
        """
        server = self.running("mynetwork = 127.0.0.1\n")
        (line,) = server.wait_for_log("warning: .*mynetwork: unknown")
        self.assertIn("mynetworks", line)

    def test_second_server(self) -> None:
        """
        One server for a queue.
        """
        one = self.running()
        two = self.txmta(f"queue_directory = {one.folder}/queue\n")
        self.refused(two, rf"another server has this queue \(process {one.pid}\)")
        with session(one) as client:
            client.noop()

    def test_port_in_use(self) -> None:
        one = self.running()
        two = self.txmta()
        master_cf = (two.folder / "master.cf").read_text()
        two.write("master.cf", master_cf.replace(str(two.port), str(one.port)))
        self.refused(two, "in use.*ss -ltnp", r"\[::1\]:\d+: .*in use")

    def test_queue_directory(self) -> None:
        """
        Others could write to it, or it is no directory, or cannot be made.
        """
        server = self.txmta()
        queue = server.folder / "queue"
        queue.mkdir()
        os.chown(queue, server.user.pw_uid, server.user.pw_gid)
        queue.chmod(0o777)
        self.refused(server, rf"queue_directory = {queue}: .*mode 777.*chmod 700")
        queue.rmdir()
        queue.symlink_to("/tmp")
        self.refused(server, "is a symbolic link")
        queue.unlink()
        queue.write_text("")
        self.refused(server, "is not a directory")
        server.add("queue_directory = /nonexistent/queue\n")
        self.refused(server, "/nonexistent does not exist: make it")

    def test_queue_of_another(self) -> None:
        require_root("makes a directory that is root's")
        server = self.txmta()
        # An empty one is what a start that was killed leaves.
        (server.folder / "queue").mkdir(mode=0o700)
        (server.folder / "queue" / "something").touch()
        self.refused(server, "belongs to root, not to nobody.*chown -R nobody")

    def test_mail_owner(self) -> None:
        require_root("starts as root")
        server = self.txmta("mail_owner = no-such-user\n")
        self.refused(server, "mail_owner = no-such-user: there is no such account")
        server.add("mail_owner = root\n")
        self.refused(server, "has the rights of root")

    def test_chroot_of_twistd(self) -> None:
        """
        Children have jails of their own, and master has none.
        """
        server = self.txmta("process_model = multi\n")
        twistd, *rest = server.command()
        self.patch(server, "command", lambda: (twistd, "--chroot=/", *rest))
        self.refused(server, "twistd --chroot: leave out: .* column of master.cf")
        self.assertFalse((server.folder / "queue").exists())

    def test_unreadable(self) -> None:
        """
        What mail_owner cannot read is named, with the remedy, before it is.
        """
        require_root("starts as root")
        server = self.txmta()
        server.folder.chmod(0o700)
        os.chown(server.folder, 0, 0)
        self.refused(server, f"chmod o\\+rx {server.folder}")

    def test_unreadable_interpreter(self) -> None:
        require_root("starts as root")
        server = self.txmta()
        hidden = Path(tempfile.mkdtemp(prefix="txmta-hidden-"))
        self.addCleanup(hidden.rmdir)
        venv = hidden / "bin"
        venv.mkdir()
        self.addCleanup(venv.rmdir)
        python = venv / "python"
        # A file of its own: links are followed to what can be read.
        python.write_bytes(Path(os.path.realpath(sys.executable)).read_bytes())
        self.addCleanup(python.unlink)
        python.chmod(0o755)
        home = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        done = server.run(str(python), environment=home)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"because of the mode of {hidden}: move it", done.stderr)
        self.assertNotIn("Traceback", done.stderr)


class RunningTests(RunningTestCase):
    def test_umask(self) -> None:
        """
        Whatever twistd was told, nothing is for others; but the way to
        maildrop, in which root's server lets everybody put mail, and to the
        sockets of the queue tools.
        """
        old = os.umask(0)
        try:
            server = self.running()
        finally:
            os.umask(old)
        with session(server) as client:
            client.sendmail("a@b.test", ["x@here.test"], MESSAGE)
        status = Path(f"/proc/{server.pid}/status").read_text()
        self.assertIn("Umask:\t0077\n", status)
        queue = server.folder / "queue"
        paths = [p for p in queue.rglob("*") if not p.is_symlink()]
        modes = {"queue": 0o011, "maildrop": 0o033, "public": 0o010}
        for path in (queue, *paths, server.folder / "mail.log"):
            mode = stat.S_IMODE(path.lstat().st_mode)
            if path.is_socket():
                continue  # whoever gets into public may ask
            expected = modes.get(path.name, 0) if os.getuid() == 0 else 0
            self.assertEqual(mode & 0o077, expected, f"{path}: {mode:o}")

    def test_privileges(self) -> None:
        """
        Started as root: mail_owner in every way, in every thread, for good;
        with the group of maildrop, to read what is handed in.
        """
        require_root("starts as root")
        server = self.running()
        uid, gid = server.user.pw_uid, server.user.pw_gid
        group = grp.getgrnam("postdrop").gr_gid
        tasks = list(Path(f"/proc/{server.pid}/task").iterdir())
        self.assertGreater(len(tasks), 1)
        for task in tasks:
            status = (task / "status").read_text()
            for line in (
                f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n",
                f"Gid:\t{gid}\t{gid}\t{gid}\t{gid}\n",
                "CapInh:\t0000000000000000\n",
                "CapPrm:\t0000000000000000\n",
                "CapEff:\t0000000000000000\n",
                "CapAmb:\t0000000000000000\n",
                "NoNewPrivs:\t1\n",
            ):
                self.assertIn(line, status)
            self.assertRegex(status, rf"Groups:\t{group} ?\n")

    def test_open_files(self) -> None:
        """
        As many as the hard limit allows.
        """
        server = self.txmta()
        server.start("sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh")
        limits = Path(f"/proc/{server.pid}/limits").read_text()
        (line,) = (x for x in limits.splitlines() if x.startswith("Max open files"))
        soft, hard = line.split()[3:5]
        self.assertEqual(soft, hard)

    def test_no_dns(self) -> None:
        """
        The start asks no name server: it works while the network is down.
        """
        require("strace")
        server = self.txmta()
        trace = server.folder / "trace"
        server.launch(
            *("strace", "-D", "-f", "-qq", "-o", str(trace)),
            *("-e", "trace=connect,sendto,sendmsg,sendmmsg"),
        )
        # A client of ours would be looked up: the log tells when it is ready.
        server.wait_for_log("daemon started")
        server.stop()
        lines = trace.read_text().splitlines()
        asked = [x for x in lines if "htons(53)" in x]
        self.assertEqual(asked, [])

    def test_hangup(self) -> None:
        """
        SIGHUP kills nothing (C{test_reload.py}).
        """
        server = self.running()
        server.kill(signal.SIGHUP)
        server.wait_for_log("reload: done")
        with session(server) as client:
            client.sendmail("a@b.test", ["x@here.test"], MESSAGE)


class StopTests(RunningTestCase):
    def test_drain(self) -> None:
        """
        SIGTERM: a message under way is taken; then the session ends with 421.
        So does one that is idle, at once.
        """
        server = self.running(
            "default_transport = retry\nsmtpd_reject_unlisted_recipient = no\n"
        )
        busy, idle = session(server), session(server)
        for client in (busy, idle):
            client.ehlo()
        busy.mail("a@b.test")
        busy.rcpt("x@elsewhere.test")
        self.assertEqual(busy.docmd("DATA")[0], 354)
        busy.send(b"Subject: half\r\n")
        server.kill(signal.SIGTERM)
        server.wait_for_log("stopping")
        self.assertEqual(idle.getreply()[0], 421)
        busy.send(b"\r\nand half\r\n.\r\n")
        code, text = busy.getreply()
        self.assertEqual(code, 250, text)
        self.assertEqual(busy.getreply()[0], 421)
        # twistd ends by the signal that it was sent, when all is done
        self.assertEqual(server.wait(), -signal.SIGTERM)
        with self.assertRaises(OSError):
            session(server)
        for client in (busy, idle):
            client.close()
        self.assertIn("stopped", server.log().splitlines()[-1])

    def test_silent_client(self) -> None:
        """
        One that says nothing does not keep the server: it gets 421 at once.
        """
        server = self.running()
        client = session(server)
        client.ehlo()
        begin = time.monotonic()
        server.kill(signal.SIGTERM)
        code, _text = client.getreply()
        self.assertEqual(code, 421)
        server.wait()
        client.close()
        self.assertLess(time.monotonic() - begin, 8)

    def test_restart(self) -> None:
        """
        What was queued is delivered after a start.
        """
        server, port = self.with_dead_hop()
        with session(server) as client:
            client.sendmail("a@b.test", ["x@there.test"], MESSAGE)
        line, *_ = server.wait_for_log("status=deferred")
        queue_id = line.split()[5].rstrip(":")
        server.stop()
        hop = self.aiosmtpd(port=port)
        server.start()
        (message,) = hop.take()
        self.assertEqual(message.recipients, ("x@there.test",))
        server.wait_for_log(f"{queue_id}: removed")

    def test_killed(self) -> None:
        """
        kill -9 loses nothing, and the next start needs no help.
        """
        server, port = self.with_dead_hop()
        with session(server) as client:
            for n in range(10):
                client.sendmail("a@b.test", [f"x{n}@there.test"], MESSAGE)
        server.stop(signal.SIGKILL)
        hop = self.aiosmtpd(port=port)
        server.start()
        messages = hop.take(10)
        self.assertEqual(
            sorted(r for m in messages for r in m.recipients),
            [f"x{n}@there.test" for n in range(10)],
        )

    def with_dead_hop(self) -> tuple[Txmta, int]:
        """
        @return: a server whose next hop is not there yet, and its port.
        """
        port = free_port()
        server = self.running(
            f"relayhost = [127.0.0.1]:{port}\n"
            "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n"
            "queue_run_delay = 1s\n"
        )
        return server, port
