"""
SIGHUP to a server that is one process. (Of several: C{test_multi.py}.)
"""

from __future__ import annotations

import contextlib
import signal
import smtplib
import socket
import threading
import time

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import free_port, wait_for

MASTER_CF = """\
pickup unix n - n 60 1 pickup
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
"""


class ReloadTests(RunningTestCase):
    def setUp(self) -> None:
        self.next_hop = self.aiosmtpd()
        self.server = self.running(
            f"process_model = single\nrelayhost = [127.0.0.1]:{self.next_hop.port}\n"
            "mydestination =\nlocal_transport = error:nobody here\n"
            "virtual_transport = error:nobody here\n",
            master_cf=MASTER_CF,
        )
        self.server.wait_for_log("daemon started")
        self.reloads = 0

    def session(self, port: int = 0) -> smtplib.SMTP:
        session = smtplib.SMTP()
        self.addCleanup(session.close)
        session.timeout = 20
        code, greeting = session.connect("127.0.0.1", port or self.server.port)
        self.assertEqual(code, 220)
        self.greeting = greeting.decode()
        return session

    def send(self, session: smtplib.SMTP, to: str = "x@c.test") -> None:
        session.sendmail("a@b.test", [to], b"Subject: x\r\n\r\nhello\r\n")

    def reload(self, server: Txmta | None = None) -> None:
        self.reloads += 1
        (server or self.server).kill(signal.SIGHUP)
        self.server.wait_for_log("reload: done", self.reloads)

    def test_settings(self) -> None:
        """
        New sessions have the new settings, old ones go on with the old ones;
        the mail of both arrives.
        """
        old = self.session()
        self.send(old)
        self.server.add("smtpd_banner = $myhostname ESMTP two\n")
        self.reload()
        new = self.session()
        self.assertTrue(self.greeting.endswith("two"), self.greeting)
        for session in (old, new, old):
            self.send(session)
        self.next_hop.take(4)
        old.quit()
        self.server.add("smtpd_banner = $myhostname ESMTP three\n")
        self.reload()
        self.send(new)
        self.send(self.session())
        self.assertTrue(self.greeting.endswith("three"), self.greeting)
        self.next_hop.take(6)
        self.server.wait_until_idle()

    def test_bad(self) -> None:
        """
        A configuration that cannot be used changes nothing; the log says why.
        """
        text = (self.server.folder / "main.cf").read_text()
        self.server.add("smtpd_timeout = soon\nqueue_directory = /nowhere\n")
        self.server.kill(signal.SIGHUP)
        self.server.wait_for_log("warning: .*smtpd_timeout = soon: is not a")
        self.server.wait_for_log("reload: the configuration stays as it was")
        self.server.write("main.cf", f"{text}mail_owner = daemon\n")
        self.server.kill(signal.SIGHUP)
        self.server.wait_for_log(
            "mail_owner = daemon: cannot change from .* by a reload"
        )
        self.send(self.session())
        self.server.write("main.cf", text)
        self.reload()
        self.send(self.session())
        self.next_hop.take(2)

    def test_address(self) -> None:
        """
        A port that cannot be had changes nothing; another one is served, and
        the one that is not wanted any more is closed.
        """
        path = self.server.folder / "master.cf"
        before, port = path.read_text(), free_port()
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        busy = taken.getsockname()[1]
        self.server.write("master.cf", f"{before}{busy} inet n - n - - smtpd\n")
        self.server.kill(signal.SIGHUP)
        self.server.wait_for_log("warning: .*cannot listen on .*address in use")
        self.send(self.session())
        line = f"127.0.0.1:{port} inet n - n - - smtpd -o smtpd_banner=other\n"
        self.server.write("master.cf", MASTER_CF + line)
        self.reload()
        self.send(self.session(port))
        self.assertEqual(self.greeting, "other")

        def closed() -> bool:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.server.port), 5).close()
                return False
            return True

        wait_for(closed, "the old port is closed")
        self.next_hop.take(2)

    def test_delivery_under_way(self) -> None:
        """
        What is being delivered is delivered once, and holds up no other mail.
        """
        reached, go_on = threading.Event(), threading.Event()
        contents: list[bytes] = []

        def slow(connection: socket.socket) -> None:
            file = connection.makefile("rwb", buffering=0)
            file.write(b"220 slow\r\n")
            for line in iter(file.readline, b""):
                if line.startswith(b"DATA"):
                    file.write(b"354 go on\r\n")
                    content = b""
                    while not content.endswith(b"\r\n.\r\n"):
                        content += file.readline()
                    contents.append(content)
                    reached.set()
                    go_on.wait(30)
                file.write(b"250 Ok\r\n")

        rogue = self.rogue(slow)
        self.addCleanup(go_on.set)
        self.server.add(
            f"transport_maps = inline:{{slow.test=smtp:[127.0.0.1]:{rogue.port}}}\n"
        )
        self.reload()
        self.send(self.session(), "x@slow.test")
        self.assertTrue(reached.wait(20))
        for n in range(2):
            self.reload()
            self.send(self.session())
            self.next_hop.take(n + 1)
        go_on.set()
        self.server.wait_for_log("to=<x@slow.test>.*status=sent")
        self.server.wait_until_idle()
        self.assertEqual(len(contents), 1)

    def test_stop(self) -> None:
        """
        A stop after reloads is quick and quiet; many SIGHUPs are few reloads.
        """
        old = self.session()
        for _ in range(30):
            self.server.kill(signal.SIGHUP)
            time.sleep(0.01)
        self.server.wait_for_log("reload: done", 2)
        self.send(old)
        old.quit()
        self.next_hop.take(1)
        self.server.wait_until_idle()
        began = time.monotonic()
        self.server.stop()
        self.assertLess(time.monotonic() - began, 5.0)
        self.assertNotIn("warning", self.server.log())
