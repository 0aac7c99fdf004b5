"""
Mail on its way through several processes, some of which die or are replaced
meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import smtplib
import time
from pathlib import Path

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import wait_for

MAIN_CF = """\
process_model = multi
processes_per_role = 2
mydestination =
local_transport = error:nobody here
virtual_transport = error:nobody here
"""

MASTER_CF = """\
pickup unix n - n 60 1 pickup
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""


def message(n: int) -> bytes:
    return b"Subject: number %d\r\n\r\nhello\r\n" % n


class MultiTests(RunningTestCase):
    def setUp(self) -> None:
        self.next_hop = self.aiosmtpd()
        self.server = self.running(
            f"relayhost = [127.0.0.1]:{self.next_hop.port}\n{MAIN_CF}",
            master_cf=MASTER_CF,
        )
        self.server.wait_for_log("daemon started")

    def session(self) -> smtplib.SMTP:
        session = smtplib.SMTP("127.0.0.1", self.server.port, timeout=20)
        self.addCleanup(session.close)
        return session

    def send(self, session: smtplib.SMTP, n: int) -> None:
        session.sendmail("a@b.test", ["x@c.test"], message(n))

    def arrived(self) -> list[int]:
        """
        @return: numbers of the messages that the next hop has got.
        """
        contents = b"".join(bytes(m.content) for m in self.next_hop.messages)
        return [int(n) for n in re.findall(rb"^Subject: number (\d+)", contents, re.M)]

    def test_path(self) -> None:
        """
        Each step is made by a process of its own.
        """
        self.send(self.session(), 1)
        self.server.wait_until_idle()
        self.assertEqual(self.arrived(), [1])
        log = self.server.log()
        roles = ("smtpd", "qmgr", "master")
        pids = {
            role: re.findall(rf"postfix/{role}\[(\d+)\]", log)[-1] for role in roles
        }
        self.assertEqual(len(set(pids.values())), 3, pids)

    def test_reload(self) -> None:
        """
        A session goes on with the process that it began with, and its mail
        goes through those that came after.
        """
        before = self.session()
        self.send(before, 1)
        self.server.kill(signal.SIGHUP)
        self.server.wait_for_log("reload: done")
        self.send(before, 2)
        self.send(self.session(), 3)
        before.quit()
        self.next_hop.take(3)
        self.assertEqual(sorted(self.arrived()), [1, 2, 3])

    def test_stop(self) -> None:
        """
        A stop right after mail was delivered is quick and quiet, after a
        reload, too.
        """
        session = self.session()
        for n in range(20):
            self.send(session, n)
        self.server.kill(signal.SIGHUP)
        self.server.wait_for_log("reload: done")
        for n in range(20, 40):
            self.send(session, n)
        session.quit()
        self.next_hop.take(40)
        self.server.wait_until_idle()
        began = time.monotonic()
        self.server.stop()
        self.assertLess(time.monotonic() - began, 1.0)
        log = self.server.log()
        self.assertNotIn("given up", log)
        self.assertNotIn("warning", log)

    def test_killed(self) -> None:
        """
        Whoever dies on the way, nothing is lost.
        """
        session = self.session()
        taken = 0
        for role in ("qmgr", "smtp", "log", "qmgr"):
            for _ in range(10):
                self.send(session, taken)
                taken += 1
            for pid in children(self.server, role):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        wait_for(
            lambda: set(self.arrived()) == set(range(taken)),
            lambda: f"{sorted(self.arrived())}\n{self.server.log()}",
        )


def children(server: Txmta, role: str) -> list[int]:
    """
    @return: process ids of the children of this role.
    """
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = path.read_text().partition(" (")[2].rpartition(") ")
            if name == f"txmta-{role}" and parent(int(rest.split()[1])) == server.pid:
                found.append(int(path.parent.name))
    return found


def parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(") ")[2].split()[1])
