"""
Tables that another process has open, those that root alone can read, and
maxproc, with the real server as a master and its children.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import smtplib
import socket
from pathlib import Path

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.test_confined_server import children
from tests.interop.tools import wait_for
from tests.support import require_root

MULTI = """\
process_model = multi
processes_per_role = 2
local_transport = discard:
virtual_transport = discard:
setgid_group = mail
"""

MASTER_CF = """\
pickup unix n - n 60 1 pickup
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""

#: Somebody whom /etc/passwd has, and not in a jail.
USER = pwd.getpwuid(os.getuid()).pw_name


class ProxyCase(RunningTestCase):
    def server(self, main_cf: str, chroot: str = "n", maxproc: str = "-") -> Txmta:
        """
        @return: one that is configured, not started.
        """
        server = self.txmta(main_cf, master_cf=MASTER_CF)
        path = server.folder / "master.cf"
        row = f"n - {chroot} - {maxproc} smtpd"
        path.write_text(path.read_text().replace("n - n - - smtpd", row))
        return server

    def started(self, server: Txmta) -> Txmta:
        server.start()
        server.wait_for_log("daemon started")
        return server

    def session(self, server: Txmta) -> smtplib.SMTP:
        session = smtplib.SMTP("127.0.0.1", server.port, timeout=20)
        self.addCleanup(session.close)
        session.ehlo("client.test")
        return session

    def codes(self, server: Txmta, *recipients: str) -> list[int]:
        """
        @return: the reply to each recipient.
        """
        session = self.session(server)
        session.mail("a@b.test")
        found = [session.rcpt(each)[0] for each in recipients]
        session.close()
        return found

    def pids(self, server: Txmta, role: str) -> list[int]:
        return [pid for pid, each in children(server.pid).items() if each == role]


class ProxymapTests(ProxyCase):
    def test_accounts(self) -> None:
        """
        A recipient is a user of this machine or not, as another process says;
        while that cannot say, mail waits, and nobody is unknown; it comes
        back by itself.
        """
        server = self.started(
            self.server(f"{MULTI}local_recipient_maps = proxy:unix:passwd.byname\n")
        )
        names = (f"{USER}@here.test", "nosuch@here.test")
        self.assertEqual(self.codes(server, *names), [250, 550])
        (pid,) = self.pids(server, "proxymap")
        os.kill(pid, signal.SIGSTOP)
        session = self.session(server)
        session.mail("a@b.test")
        self.assertEqual(session.rcpt("another@here.test")[0], 451)
        server.wait_for_log("proxymap: no answer for 10 seconds")
        os.kill(pid, signal.SIGKILL)
        wait_for(
            lambda: self.codes(server, *names) == [250, 550], "proxymap is not back"
        )
        self.assertNotIn(550, self.codes(server, f"{USER}@here.test"))
        self.assertNotIn("Traceback", server.output())

    def test_in_jail(self) -> None:
        """
        In a jail /etc/passwd is not there, and users are known all the same,
        whoever names the table; text tables are those of before.
        """
        require_root("chroot")
        server = self.server(MULTI, chroot="y")
        server.write("local", "listed@here.test x\n")
        server.add(
            "local_recipient_maps = unix:passwd.byname hash:$config_directory/local\n"
        )
        self.started(server)
        for pid in self.pids(server, "smtpd"):
            root = Path(os.readlink(f"/proc/{pid}/root"))
            self.assertEqual(root, server.folder / "queue")
        names = (f"{USER}@here.test", "nosuch@here.test", "listed@here.test")
        self.assertEqual(self.codes(server, *names), [250, 550, 250])

    def test_reload(self) -> None:
        """
        A session that began before a reload asks by the configuration that it
        began with; new ones by the new one.
        """
        server = self.server(f"{MULTI}local_recipient_maps = proxy:static:x\n")
        self.started(server)
        before = self.session(server)
        before.mail("a@b.test")
        server.add("local_recipient_maps = proxy:inline:{one@here.test=x}\n")
        server.kill(signal.SIGHUP)
        server.wait_for_log("reload: done")
        self.assertEqual(before.rcpt("two@here.test")[0], 250)
        self.assertEqual(
            self.codes(server, "one@here.test", "two@here.test"), [250, 550]
        )
        self.assertEqual(len(self.pids(server, "proxymap")), 2)
        before.quit()
        wait_for(
            lambda: len(self.pids(server, "proxymap")) == 1,
            "the old one stays, though nobody asks it",
        )

    def test_not_listed(self) -> None:
        """
        The start is refused with the parameter's name.
        """
        for model in ("single", "multi"):
            server = self.server(
                f"{MULTI}process_model = {model}\n"
                "local_recipient_maps = proxy:static:x\n"
                "proxy_read_maps = proxy:unix:passwd.byname\n"
            )
            ended = server.run()
            self.assertEqual(ended.returncode, 1)
            self.assertIn(
                "local_recipient_maps: proxy:static:x: is not listed in "
                "proxy_read_maps: add $local_recipient_maps there",
                ended.stderr,
            )


class RootOnlyTests(ProxyCase):
    def secret(self, server: Txmta, text: str) -> Path:
        folder = server.folder / "secret"
        folder.mkdir(exist_ok=True)
        path = folder / "users"
        path.write_text(text)
        path.chmod(0o600)
        os.chown(path, 0, 0)
        folder.chmod(0o700)
        os.chown(folder, 0, 0)
        return path

    def configured(self, main_cf: str) -> Txmta:
        require_root("files of root")
        server = self.server(main_cf)
        self.secret(server, "one@here.test x\n")
        server.add("local_recipient_maps = hash:$config_directory/secret/users\n")
        return self.started(server)

    def check(self, server: Txmta, *known: str) -> None:
        for _ in range(6):  # any of the children
            names = [f"{name}@here.test" for name in ("one", "two", "no")]
            expected = [250 if name[:3] in known else 550 for name in names]
            self.assertEqual(self.codes(server, *names), expected)

    def test_multi(self) -> None:
        """
        A table that only root can read works; what is changed counts with the
        next reload for all, and not before for one that is started again.
        """
        server = self.configured(MULTI)
        self.check(server, "one")
        self.secret(server, "one@here.test x\ntwo@here.test x\n")
        for pid in self.pids(server, "smtpd"):
            os.kill(pid, signal.SIGKILL)
        wait_for(
            lambda: len(self.pids(server, "smtpd")) == 2 and self.answers(server),
            "smtpd is not back",
        )
        self.check(server, "one")
        server.kill(signal.SIGHUP)
        server.wait_for_log("reload: done")
        self.check(server, "one", "two")
        self.assertNotIn("ermission denied", server.log())

    def answers(self, server: Txmta) -> bool:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            self.session(server).quit()
            return True
        return False

    def test_proxied(self) -> None:
        """
        Also through another process.
        """
        server = self.server(MULTI)
        require_root("files of root")
        self.secret(server, "one@here.test x\n")
        server.add("local_recipient_maps = proxy:hash:$config_directory/secret/users\n")
        self.check(self.started(server), "one")

    def test_single(self) -> None:
        """
        It works in one process, which has no rights of root when it serves.
        """
        server = self.configured(
            "local_transport = discard:\nvirtual_transport = discard:\n"
        )
        self.check(server, "one")
        self.secret(server, "two@here.test x\n")
        self.check(server, "one")
        self.assertNotIn("ermission denied", server.log())


class MaxprocTests(ProxyCase):
    def greetings(self, server: Txmta, count: int) -> list[tuple[int, socket.socket]]:
        """
        @return: the codes that so many clients are met with, who all stay.
        """
        found = []
        for _ in range(count):
            made = socket.create_connection(("127.0.0.1", server.port), 20)
            self.addCleanup(made.close)
            found.append((int(made.recv(1000)[:3]), made))
        return found

    def test_sessions(self) -> None:
        """
        A set maxproc is the number of sessions over all processes, also when
        some are of a configuration before, or were killed.
        """
        server = self.started(self.server(MULTI, maxproc="5"))
        server.wait_for_log("lost connection")  # those that waited for the start
        wait_for(lambda: server.log().count("disconnect") == 2, "they stay")
        met = self.greetings(server, 12)
        self.assertEqual([code for code, _ in met].count(220), 5)
        self.assertEqual([code for code, _ in met].count(421), 7)
        server.kill(signal.SIGHUP)
        server.wait_for_log("reload: done")
        self.assertEqual([code for code, _ in self.greetings(server, 3)], [421] * 3)
        for _code, made in met:
            made.close()
        wait_for(
            lambda: server.log().count("disconnect") == 2 + 15, "sessions do not end"
        )
        self.assertEqual([c for c, _ in self.greetings(server, 6)].count(220), 5)
        wait_for(lambda: len(self.pids(server, "smtpd")) == 2, "the old ones stay")
        before = self.pids(server, "smtpd")
        for pid in before:
            os.kill(pid, signal.SIGKILL)

        def replaced() -> bool:
            now = self.pids(server, "smtpd")
            return len(now) == 2 and not set(now) & set(before)

        wait_for(replaced, "they are not started again")
        self.assertEqual([c for c, _ in self.greetings(server, 6)].count(220), 5)
