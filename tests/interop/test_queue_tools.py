"""
The queue tools beside a running server, by who asks: root, the owner, a member of
setgid_group, anybody else.
"""

from __future__ import annotations

import grp
import json
import os
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.interop.running import ROOT, RunningTestCase, Txmta
from tests.interop.tools import ENVIRONMENT, PATIENCE, wait_for
from tests.support import require_root

_RELAYHOST = "relayhost = [127.0.0.1]:1\n"

#: In no group that matters, and with no rights.
_SOMEBODY = "games"


class ToolsTestCase(RunningTestCase):
    def tool(
        self, server: Txmta, tool: str, *arguments: str, **how: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", f"txmta.admin.{tool}", *arguments],
            capture_output=True,
            text=True,
            cwd="/",
            env={
                **ENVIRONMENT,
                "PYTHONPATH": str(ROOT),
                "MAIL_CONFIG": str(server.folder),
            },
            timeout=PATIENCE * 2,
            **how,
        )

    def put(self, server: Txmta, count: int = 1) -> Sequence[str]:
        """
        @return: the ids of messages that are deferred.
        """
        with smtplib.SMTP("127.0.0.1", server.port) as client:
            for _ in range(count):
                client.sendmail("s@x.test", ["r@y.test"], b"Subject: x\r\n\r\nx\r\n")
        server.wait_for_log("status=deferred", count)
        return wait_for(lambda: self.deferred(server, count), "not deferred")

    def deferred(self, server: Txmta, count: int) -> Sequence[str]:
        lines = self.tool(server, "postqueue", "-j").stdout.splitlines()
        found = [json.loads(line) for line in lines]
        ids = [f["queue_id"] for f in found if f["queue_name"] == "deferred"]
        return ids if len(ids) == count else ()


class OwnerTests(ToolsTestCase):
    """
    As whoever runs the tests, root or not, with a server of his own.
    """

    def test_everything(self) -> None:
        """
        Listing, holding, showing, flushing and deleting, with the server running
        and stopped; it finds what was done meanwhile.
        """
        server = self.running(_RELAYHOST)
        one, two = self.put(server, 2)
        self.assertIn(f"\n{one} ", self.tool(server, "mailq").stdout)
        done = self.tool(server, "postsuper", "-h", one)
        self.assertIn(f"postsuper: {one}: placed on hold\n", done.stderr)
        server.wait_for_log(f"postsuper.*: {one}: placed on hold")
        shown = self.tool(server, "postcat", "-q", one)
        self.assertIn("\nSubject: x\n", shown.stdout)
        self.assertEqual(self.tool(server, "postqueue", "-f").returncode, 0)
        server.wait_for_log("status=deferred", 3)
        server.stop()
        listing = self.tool(server, "mailq")
        self.assertIn(f"\n{one}! ", listing.stdout)
        self.assertIn("Mail system is down", listing.stderr)
        done = self.tool(server, "postsuper", "-d", two, "-H", one)
        self.assertIn(
            "Deleted: 1 message\nReleased", done.stderr.replace("postsuper: ", "")
        )
        server.start()
        # What was released is due at once.
        server.wait_for_log(f"{one}: .*status=deferred", 2)
        self.assertNotIn(two, self.tool(server, "mailq").stdout)

    def test_no_server_can_start_meanwhile(self) -> None:
        """
        While the tool changes the queue it has the lock of a server; while a
        server has it, the tool does not touch the files.
        """
        server = self.running(_RELAYHOST)
        (one,) = self.put(server)
        queue = server.folder / "queue"
        for name in ("showq", "qmgr"):
            (queue / "public" / name).unlink()
        done = self.tool(server, "postsuper", "-d", one)
        self.assertEqual(done.returncode, 1)
        self.assertIn(
            f"another server has this queue (process {server.pid})", done.stderr
        )
        self.assertIn(one, self.tool(server, "mailq").stdout)

    def test_pipe_closed(self) -> None:
        """
        C{mailq | head -1} ends without a word.
        """
        server = self.running(_RELAYHOST)
        self.put(server, 3)
        command = f"{sys.executable} -m txmta.admin.mailq -c {server.folder} | head -1"
        done = subprocess.run(
            ["sh", "-c", command],
            capture_output=True,
            text=True,
            cwd="/",
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            timeout=PATIENCE,
        )
        self.assertTrue(done.stdout.startswith("----Queue ID"))
        self.assertEqual(done.stderr, "")

    def test_descriptors(self) -> None:
        """
        Descriptors that come with a request are never ours, and fill no log.
        """
        server = self.running(_RELAYHOST)
        before = len(os.listdir(f"/proc/{server.pid}/fd"))
        path = str(server.folder / "queue/public/showq")
        with socket.socket(socket.AF_UNIX) as client, open("/dev/null") as file:
            client.connect(path)
            for _ in range(20):
                socket.send_fds(client, [b" "], [file.fileno()] * 50)
            time.sleep(0.2)
            after = len(os.listdir(f"/proc/{server.pid}/fd"))
        self.assertLessEqual(after, before + 1)
        self.assertNotIn("descriptor", server.output())
        self.assertEqual(self.tool(server, "mailq").returncode, 0)


class UserTests(ToolsTestCase):
    """
    With a server that root has started.
    """

    def setUp(self) -> None:
        require_root("asks as different users")
        self.group = grp.getgrnam("postdrop").gr_gid

    def as_user(self, server: Txmta, *command: str, member: bool = True) -> Any:
        tool, *arguments = command
        groups = [self.group] if member else []
        return self.tool(
            server,
            tool,
            *arguments,
            user=_SOMEBODY,
            group="nogroup",
            extra_groups=groups,
        )

    def test_member(self) -> None:
        """
        A member of the group lists and flushes, and may do nothing else.
        """
        server = self.running(_RELAYHOST)
        (one,) = self.put(server)
        self.assertIn(one, self.as_user(server, "mailq").stdout)
        self.assertEqual(self.as_user(server, "postqueue", "-i", one).returncode, 0)
        server.wait_for_log("status=deferred", 2)
        done = self.as_user(server, "postsuper", "-d", one)
        self.assertIn("reserved for the superuser", done.stderr)
        done = self.as_user(server, "postcat", "-q", one)
        self.assertIn("Permission denied", done.stderr)
        server.stop()
        done = self.as_user(server, "mailq")
        self.assertEqual(done.returncode, 69)
        self.assertIn("Queue report unavailable - mail system is down", done.stderr)

    def test_delete_by_socket(self) -> None:
        """
        Whoever speaks to the socket himself gets no further than the command.
        """
        server = self.running(_RELAYHOST)
        (one,) = self.put(server)
        program = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); "
            f"s.connect('{server.folder}/queue/public/qmgr'); "
            "s.sendall(sys.argv[1].encode() + b'\\n'); print(s.recv(9999).decode())"
        )
        request = json.dumps({"operation": "delete", "ids": [one]})
        done = subprocess.run(
            [sys.executable, "-c", program, request],
            capture_output=True,
            text=True,
            user=_SOMEBODY,
            group=self.group,
            extra_groups=[],
            timeout=PATIENCE,
        )
        self.assertIn("reserved for the superuser", done.stdout)
        self.assertIn(one, self.tool(server, "mailq").stdout)

    def test_several_processes(self) -> None:
        """
        The same with a process for each role; the queue manager answers.
        """
        server = self.running(f"{_RELAYHOST}process_model = multi\n")
        (one,) = self.put(server)
        self.assertIn(one, self.as_user(server, "mailq").stdout)
        done = self.as_user(server, "mailq", member=False)
        self.assertIn("Permission denied", done.stderr)
        done = self.tool(server, "postsuper", "-h", "ALL")
        self.assertEqual(done.stderr, "postsuper: Placed on hold: 1 message\n")

    def test_stranger(self) -> None:
        """
        Who is not in the group does not get to the socket.
        """
        server = self.running(_RELAYHOST)
        done = self.as_user(server, "mailq", member=False)
        self.assertEqual(done.returncode, 70)
        self.assertIn("Permission denied", done.stderr)

    def test_lists(self) -> None:
        """
        authorized_mailq_users and authorized_flush_users count.
        """
        server = self.running(
            f"{_RELAYHOST}authorized_mailq_users = !{_SOMEBODY}, static:anyone\n"
            "authorized_flush_users = root\n"
        )
        for command, what in ((("mailq",), "view"), (("postqueue", "-f"), "flush")):
            done = self.as_user(server, *command)
            self.assertEqual(done.returncode, 77)
            self.assertRegex(
                done.stderr,
                rf"fatal: User {_SOMEBODY}\(\d+\) is not allowed to {what} the mail",
            )
        self.assertEqual(self.tool(server, "mailq").returncode, 0)

    def test_files_stay_the_owner_s(self) -> None:
        """
        What root does with the server stopped leaves nothing of root's behind.
        """
        server = self.running(_RELAYHOST)
        one, _two = self.put(server, 2)
        server.stop()
        queue = server.folder / "queue"
        for name in ("queue.lock", "queue.reserve"):
            (queue / name).unlink()
        self.tool(server, "mailq")
        self.tool(server, "postsuper", "-d", one)
        self.assertTrue((queue / "queue.reserve").exists())
        owners = {p.lstat().st_uid for p in queue.rglob("*") if not p.is_socket()}
        self.assertEqual(owners, {server.user.pw_uid})
