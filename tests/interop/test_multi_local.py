"""
The real server as a master and its children: mailboxes of several users,
commands, what /proc says of the processes of the local role.
"""

from __future__ import annotations

import os
import pwd
import signal
import smtplib
import tempfile
from pathlib import Path

from tests.interop.running import RunningTestCase, Txmta
from tests.interop.test_confined_server import children
from tests.interop.tools import wait_for
from tests.support import require_root

MAIN_CF = """\
process_model = multi
processes_per_role = 1
myhostname = mail.here.test
mydestination = here.test
default_privs = games
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
transport_retry_time = 1s
alias_maps = texthash:{0}/aliases
mail_spool_directory = {0}/spool
local_recipient_maps =
virtual_mailbox_domains = box.test
virtual_mailbox_base = {0}/boxes
virtual_mailbox_maps = static:joe/
virtual_uid_maps = static:61001
virtual_gid_maps = static:61002
"""

MASTER_CF = """\
qmgr unix n - n 300 1 qmgr
local unix - n n - - local
virtual unix - n n - - virtual
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
"""


class MultiLocalTests(RunningTestCase):
    def server(self) -> Txmta:
        require_root("to become other users")
        self.place = Path(tempfile.mkdtemp(prefix="txl"))
        self.addCleanup(os.system, f"rm -rf {self.place}")
        self.place.chmod(0o755)
        for name in ("spool", "out"):
            (self.place / name).mkdir()
            (self.place / name).chmod(0o1777)
        (self.place / "boxes").mkdir()
        os.chown(self.place / "boxes", 61001, 61002)
        out = self.place / "out"
        (self.place / "aliases").write_text(
            f'run: "|sleep 0.3; id -u > {out}/tmp; mv {out}/tmp {out}/ran"\n'
        )
        server = self.txmta(MAIN_CF.format(self.place), master_cf=MASTER_CF)
        server.start()
        return server

    def send(self, server: Txmta, *users: str) -> None:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
            client.sendmail("a@b.example", users, "Subject: x\n\nbody\n")

    def test_delivery(self) -> None:
        """
        Each mailbox is its user's, a command runs as default_privs.
        """
        server = self.server()
        self.send(server, "run@here.test", "games@here.test", "joe@box.test")
        server.wait_until_idle()
        spool, games = self.place / "spool", pwd.getpwnam("games")
        self.assertEqual((spool / "games").stat().st_uid, games.pw_uid)
        self.assertIn("Subject: x", (spool / "games").read_text())
        self.assertEqual((self.place / "out/ran").read_text(), f"{games.pw_uid}\n")
        (mail,) = (self.place / "boxes/joe/new").iterdir()
        self.assertEqual((mail.stat().st_uid, mail.stat().st_gid), (61001, 61002))
        self.assertNotIn("Traceback", server.output())

    def test_killed(self) -> None:
        """
        Its processes may be killed at any moment, and large mail is no
        exception; what is under way is delivered by the next.
        """
        server = self.server()
        body = "Subject: x\n\n" + "line\n" * 40_000
        for n in range(12):
            with smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
                client.sendmail("a@b.example", ["joe@box.test"], f"N: {n}\n{body}")
            if n % 3 == 0:
                for pid, role in children(server.pid).items():
                    if role == "local":
                        os.kill(pid, signal.SIGKILL)
        found = self.place / "boxes/joe/new"

        def numbers() -> set[str]:
            files = found.iterdir() if found.exists() else ()
            return {path.read_text().partition("N: ")[2].split()[0] for path in files}

        wait_for(lambda: len(numbers()) == 12, "all messages")
        for path in found.iterdir():
            self.assertTrue(path.read_text().endswith("line\n"))
            self.assertGreater(path.stat().st_size, 200_000)
