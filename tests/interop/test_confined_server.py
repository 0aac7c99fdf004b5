"""
The real server as a master and its children: what /proc says of each, while it
does its work.
"""

from __future__ import annotations

import glob
import os
import signal
import smtplib
from collections.abc import Mapping
from pathlib import Path

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import wait_for
from tests.support import require_root
from txmta.master.audit import REACTOR_FILES, Expected, audit

MAIN_CF = """\
process_model = multi
processes_per_role = 2
mydestination =
local_transport = error:none
virtual_transport = error:none
setgid_group = mail
local_recipient_maps = proxy:unix:passwd.byname
"""

MASTER_CF = """\
pickup unix n - {0} 60 1 pickup
qmgr unix n - {0} 300 1 qmgr
smtp unix - - {0} - - smtp
relay unix - - {0} - - smtp
error unix - - n - - error
retry unix - - n - - error
"""

#: How many of each there are.
ONE = ("log", "proxymap", "qmgr", "pickup")
CHILDREN = {**dict.fromkeys(ONE, 1), "smtp": 2, "smtpd": 2}

#: Roles that may have Internet sockets.
INTERNET = ("smtp", "smtpd", "proxymap")


def children(master: int) -> Mapping[int, str]:
    """
    @return: the role of each process that the fork server of C{master} has
        forked.
    """
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            name = (path / "comm").read_text().strip()
            after = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if after[0] != "Z":
            parents[int(path.name)], names[int(path.name)] = int(after[1]), name
    return {
        pid: names[pid].removeprefix("txmta-")
        for pid, parent in parents.items()
        if parents.get(parent) == master and names[parent] == "txmta-fork"
    }


class ConfinedServerTests(RunningTestCase):
    def server(self, chroot: str) -> Txmta:
        require_root("to become mail_owner")
        sink = self.aiosmtpd()
        server = self.txmta(
            f"{MAIN_CF}relayhost = [127.0.0.1]:{sink.port}\n",
            master_cf=MASTER_CF.format(chroot),
        )
        if chroot == "y":
            path = server.folder / "master.cf"
            path.write_text(
                path.read_text().replace("n - n - - smtpd", "n - y - - smtpd")
            )
        server.start()
        return server

    def findings(self, server: Txmta, root: str) -> Mapping[str, object]:
        """
        @return: by process, only those of which there is something to say.
        """
        user = server.user
        mail = int(os.stat(server.folder / "queue/maildrop").st_gid)
        folder = glob.escape(str(server.folder))
        found: dict[str, object] = {}
        for pid, role in children(server.pid).items():
            expected = Expected(
                user.pw_uid,
                user.pw_gid,
                groups=[mail] if role == "pickup" else [],
                root="/" if role in ("log", "proxymap") else root,
                internet=role in INTERNET,
                files=(
                    *REACTOR_FILES,
                    *(f"{folder}/output", f"{folder}/queue/*", f"{folder}/mail.log"),
                    # What all smtpd count together of each client.
                    *(("/memfd:tally (deleted)",) if role == "smtpd" else ()),
                ),
            )
            if wrong := audit(pid, expected):
                found[f"{role} {pid}"] = wrong
        return found

    def check(self, chroot: str, root: str) -> Txmta:
        server = self.server(chroot)
        roles = sorted(children(server.pid).values())
        self.assertEqual(
            roles, sorted(r for r, n in CHILDREN.items() for _ in range(n))
        )
        self.assertEqual(self.findings(server, root.format(server.folder)), {})
        with smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
            client.sendmail(
                "a@b.example", "c@d.example", "Subject: x\n\n" + "x\n" * 60000
            )
        server.wait_for_log(r"smtp\[\d+\]: .* status=sent")
        server.wait_until_idle()
        self.assertEqual(self.findings(server, root.format(server.folder)), {})
        self.assertNotIn("Traceback", server.output())
        return server

    def test_children(self) -> None:
        """
        Each child is the mail owner, without capabilities, cannot gain rights,
        is behind a filter, is not traceable, and has only its own
        descriptors; before and after it has done something.
        """
        self.check("n", "/")

    def test_in_jail(self) -> None:
        """
        With chroot in master.cf the same, and the queue is the root.
        """
        self.check("y", "{}/queue")

    def test_next_ones(self) -> None:
        """
        A child that stands in for one that was killed is confined, too.
        """
        server = self.server("n")
        before = children(server.pid)
        for pid, role in before.items():
            if role in INTERNET:
                os.kill(pid, signal.SIGKILL)

        def all_new() -> bool:
            now = children(server.pid)
            kept = [p for p, r in now.items() if p in before and r in INTERNET]
            return not kept and sorted(now.values()) == sorted(before.values())

        wait_for(all_new, "not started again")
        wait_for(lambda: not self.findings(server, "/"), "is not confined")
