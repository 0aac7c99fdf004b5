"""
The C{postfix} command: start, stop, and what is the matter.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from tests.interop.running import RunningTestCase
from tests.interop.tools import ENVIRONMENT, PATIENCE
from tests.support import require_root


class CommandCase(RunningTestCase):
    def setUp(self) -> None:
        self.server = self.txmta("alias_database =\nprocess_model = auto\n")

    def command(self, *arguments: str) -> tuple[int, Sequence[str]]:
        """
        @return: exit status, and what it said without the name before it.
        """
        done = subprocess.run(
            [
                *(sys.executable, "-m", "txmta.admin.postfix"),
                *("-c", str(self.server.folder), *arguments),
            ],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            cwd=self.server.folder,
            timeout=PATIENCE * 4,
        )
        self.assertEqual(done.stdout, "")
        words = "postfix/postfix-script: "
        return done.returncode, [
            line.removeprefix(words) for line in done.stderr.splitlines()
        ]

    def says(self, command: str, status: int, *lines: str) -> None:
        self.assertEqual(self.command(*command.split()), (status, list(lines)))

    def pid(self) -> int:
        """
        @return: of the server that runs.
        """
        status, lines = self.command("status")
        self.assertEqual(status, 0, lines)
        match = re.fullmatch(r"the txmta mail system is running: PID: (\d+)", lines[0])
        assert match is not None, lines
        return int(match[1])

    def start(self) -> None:
        self.addCleanup(self.end)
        self.says("start", 0, "starting the txmta mail system")

    def end(self) -> None:
        status, lines = self.command("status")
        if status == 0:
            os.kill(int(lines[0].split()[-1]), signal.SIGKILL)


class LifeTests(CommandCase):
    def test_life(self) -> None:
        """
        Start, status, a second start, check, stop.
        """
        missing = "fatal: the txmta mail system is not running"
        for command in ("status", "stop", "abort", "reload", "flush"):
            self.says(command, 1, missing)
        self.start()
        pid = self.pid()
        with socket.create_connection(("127.0.0.1", self.server.port), PATIENCE) as s:
            self.assertTrue(s.recv(100).startswith(b"220 "))
        again = f"fatal: the txmta mail system is already running: PID: {pid}"
        self.says("start", 1, again)
        self.says("start-fg", 1, again)
        self.says("check", 0)
        self.assertEqual(self.pid(), pid)
        self.says("stop", 0, "stopping the txmta mail system")
        self.says("status", 1, missing)

    def test_reload(self) -> None:
        """
        The server goes on with what main.cf says now.
        """
        require_root("one process cannot")
        self.start()
        self.server.add("smtpd_banner = $myhostname anew\n")
        self.says("reload", 0, "refreshing the txmta mail system")
        self.server.wait_for_log("reload: done")
        with socket.create_connection(("127.0.0.1", self.server.port), PATIENCE) as s:
            self.assertTrue(s.recv(100).endswith(b" anew\r\n"))
        self.says("stop", 0, "stopping the txmta mail system")

    def test_abort(self) -> None:
        """
        At once, and the next start finds everything as it was.
        """
        self.start()
        self.says("abort", 0, "aborting the txmta mail system")
        self.says("start", 0, "starting the txmta mail system")
        self.says("stop", 0, "stopping the txmta mail system")

    def test_stop_with_a_bad_configuration(self) -> None:
        """
        A bad line keeps nobody from stopping.
        """
        self.start()
        with (self.server.folder / "main.cf").open("a") as file:
            file.write("this is no parameter\nmessage_size_limit = -1\n")
        status, lines = self.command("reload")
        self.assertEqual(status, 1)
        self.assertEqual(
            lines[-1], "fatal: the configuration stays as it is: mend the lines above"
        )
        for words in ("this is no parameter", "message_size_limit = -1"):
            self.assertTrue(any(words in line for line in lines), lines)
        self.says("stop", 0, "stopping the txmta mail system")

    def test_foreground(self) -> None:
        """
        C{start-fg} stays, and ends with the server.
        """
        command = [sys.executable, "-m", "txmta.admin.postfix"]
        command += ["-c", str(self.server.folder), "start-fg"]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            cwd=self.server.folder,
        ) as process:
            self.addCleanup(process.kill)
            self.server.wait_for_log("daemon started")
            self.assertEqual(self.pid(), process.pid)
            self.says("stop", 0, "stopping the txmta mail system")
            process.communicate(timeout=PATIENCE)


class WrongTests(CommandCase):
    def test_words(self) -> None:
        """
        What is not known or not supported is refused by name.
        """
        status, lines = self.command("bogus")
        self.assertEqual(status, 1)
        self.assertIn("unknown command: 'bogus'. Usage: postfix start", lines[0])
        status, lines = self.command("logrotate")
        self.assertEqual(status, 1)
        self.assertIn("logrotate is not supported: rename maillog_file", lines[0])
        self.says("-D stop", 1, "fatal: -D goes with start only")

    def test_check(self) -> None:
        """
        Each thing that would stop a start is named, with its remedy.
        """
        listener = socket.create_server(("127.0.0.1", self.server.port))
        self.addCleanup(listener.close)
        queue = self.server.folder / "queue"
        queue.mkdir(0o700)
        os.chown(queue, self.server.user.pw_uid, self.server.user.pw_gid)
        (queue / "content").mkdir()
        os.chown(queue / "content", self.server.user.pw_uid, self.server.user.pw_gid)
        (queue / "content").chmod(0o777)
        status, lines = self.command("check")
        self.assertEqual(status, 1)
        self._names(lines, rf"fatal: .*{queue}/content: can be written by others")
        (queue / "content").chmod(0o700)
        status, lines = self.command("check")
        self.assertEqual(status, 1)
        self._names(
            lines,
            rf"fatal: .*master\.cf, line \d+: cannot listen on 127\.0\.0\.1:"
            rf"{self.server.port}: address in use: stop the server that has it",
        )
        status, lines = self.command("start")
        self.assertEqual(status, 1)
        self._names(lines, "fatal: .*address in use: stop the server that has it")
        self.assertEqual(
            lines[-1], "fatal: mail system startup failed: mend the lines above"
        )

    def test_daemon(self) -> None:
        """
        Who lets twistd make a daemon hears of a start that fails.
        """
        listener = socket.create_server(("127.0.0.1", self.server.port))
        self.addCleanup(listener.close)
        command = [each for each in self.server.command() if each != "--nodaemon"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            cwd=self.server.folder,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot listen on 127.0.0.1", done.stdout + done.stderr)

    def test_missing_account(self) -> None:
        require_root("only root becomes mail_owner")
        self.server.add("mail_owner = nobody-here\n")
        status, lines = self.command("check")
        self.assertEqual(status, 1)
        self._names(lines, r"fatal: .*mail_owner = nobody-here: there is no such acc")

    def _names(self, lines: Sequence[str], pattern: str) -> None:
        self.assertTrue(any(re.search(pattern, line) for line in lines), lines)


class VerboseTests(CommandCase):
    def test_steps(self) -> None:
        """
        C{-v} says what is done.
        """
        status, lines = self.command("-v", "status")
        self.assertEqual(status, 1)
        self.assertEqual(lines[0], "nobody has it")
