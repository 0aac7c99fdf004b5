"""
A txmta of the test's own, and a test case that ends whatever it started.

Owns: temporary folders, and the end of all that was started, by process id.
Knows nothing of: what is tested with them.

All traffic stays on 127.0.0.1 and [::1].
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.peers import AioSmtpd, Postfix, Rogue, SmtpSink
from tests.interop.tools import (
    ENVIRONMENT,
    FAMILIES,
    OWNER,
    PATIENCE,
    answers,
    combined,
    free_port,
    literal,
    wait_for,
)

ROOT = Path(__file__).resolve().parents[2]

_MAIN_CF = """\
compatibility_level = 3.9
myhostname = mail.here.test
mydestination = here.test, $myhostname
mynetworks = 127.0.0.0/8 [::1]/128
alias_maps =
local_recipient_maps =
queue_directory = $config_directory/queue
maillog_file = $config_directory/mail.log
"""

#: C{process_model} of servers that do not say. As root, C{multi} shows what
#: differs; C{single} is what every account can run.
MODEL = os.environ.get("TXMTA_TEST_MODEL", "single")

#: In several processes, whose is the queue: nobody's mailbox.
QUEUE_OWNER = "daemon"

_MASTER_CF = """\
smtp unix - - n - - smtp
relay unix - - n - - smtp
local unix - n n - - local
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""


def account() -> pwd.struct_passwd:
    """
    @return: whom the servers under test run as.
    """
    return pwd.getpwnam(OWNER) if os.getuid() == 0 else pwd.getpwuid(os.getuid())


class Txmta:
    """
    One server, in a folder of its own, on a port of both families.

    @ivar folder: main.cf, master.cf, mail.log, queue/ and mail/ are there.
    """

    def __init__(self, main_cf: str = "", master_cf: str = _MASTER_CF) -> None:
        """
        @param main_cf: lines that are added, or stand for those of the same
            parameter.
        @param master_cf: services besides smtpd.
        """
        require_owner()
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-run-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self.user = account()
        text = _MAIN_CF
        if os.getuid() == 0:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
            owner = OWNER if MODEL == "single" else QUEUE_OWNER
            text += f"mail_owner = {owner}\nprocess_model = {MODEL}\n"
            if owner != OWNER:
                log = self.write("mail.log", "")
                os.chown(log, pwd.getpwnam(owner).pw_uid, self.user.pw_gid)
        self.write("main.cf", combined(text, main_cf))
        listeners = "".join(
            f"{literal(a)}:{self.port} inet n - n - - smtpd\n" for a in FAMILIES
        )
        self.write("master.cf", listeners + master_cf)
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, text: str) -> Path:
        """
        @return: a file that mail_owner can read.
        """
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def add(self, main_cf: str) -> None:
        """
        More lines for main.cf, where C{@UID@} and C{@GID@} are the server's.
        """
        text = main_cf.replace("@UID@", str(self.user.pw_uid))
        text = text.replace("@GID@", str(self.user.pw_gid))
        self.write("main.cf", combined((self.folder / "main.cf").read_text(), text))

    def maildir(self, name: str) -> Path:
        """
        @return: C{name} below mail/, which is there and belongs to the server.
        """
        base = self.folder / "mail"
        if not base.exists():
            base.mkdir()
            os.chown(base, self.user.pw_uid, self.user.pw_gid)
        return base / name

    def command(self) -> Sequence[str]:
        return (
            str(Path(sys.executable).parent / "twistd"),
            "--nodaemon",
            "--pidfile=",
            f"--logfile={self.folder}/twistd.log",
            "txmta",
            f"--config={self.folder}/main.cf",
        )

    def start(self, *before: str) -> None:
        """
        @param before: a command that runs ours.
        """
        self.launch(*before)
        wait_for(
            lambda: self.ended() or all(answers(self.port, a) for a in FAMILIES),
            "txmta does not listen",
        )
        if self.ended():
            raise AssertionError(f"txmta has ended:\n{self.output()}")

    def launch(self, *before: str) -> None:
        """
        Start it, and do not wait.
        """
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [*before, *self.command()],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=ENVIRONMENT,
            )

    def run(
        self, *before: str, environment: Mapping[str, str] = ENVIRONMENT
    ) -> subprocess.CompletedProcess[str]:
        """
        Start it when that is expected to fail.

        @param before: a command that runs ours.
        """
        return subprocess.run(
            [*before, *self.command()],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**ENVIRONMENT, **environment},
            timeout=PATIENCE,
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """
        @return: the exit status.
        """
        assert self._process is not None
        return self._process.wait(PATIENCE * 2)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if not self.ended():
            self.kill(number)
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.kill(signal.SIGKILL)
                self.wait()
                raise

    def close(self) -> None:
        """
        Stop it and forget everything.
        """
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder)

    def output(self) -> str:
        """
        @return: what twistd and the server have said elsewhere than in the log.
        """
        return "".join(
            (self.folder / name).read_text("utf-8", "replace")
            for name in ("output", "twistd.log")
            if (self.folder / name).exists()
        )

    def log(self) -> str:
        path = self.folder / "mail.log"
        return path.read_text() if path.exists() else ""

    def wait_for_log(self, pattern: str, count: int = 1) -> list[str]:
        """
        @return: the first lines in which the pattern is found, C{count} of
            them or more.
        """
        wanted = re.compile(pattern)

        def lines() -> list[str]:
            found = [x for x in self.log().splitlines() if wanted.search(x)]
            return found if len(found) >= count else []

        return wait_for(
            lines,
            lambda: f"not {count} times in the log: {pattern}\n{self.log()[-5000:]}",
        )

    def wait_until_idle(self) -> None:
        """
        Wait until every message that has come is gone.
        """

        def idle() -> bool:
            log = self.log()
            # Messages of clients, and those that we write ourselves.
            begun = set(re.findall(r"qmgr\[\d+\]: (\w+): from=", log))
            return bool(begun) and begun == set(re.findall(r": (\w+): removed", log))

        wait_for(idle, lambda: f"mail is left:\n{self.log()}")

    def memory(self, name: str) -> int:
        """
        @param name: of a field of /proc/PID/status, such as VmHWM.
        @return: octets.
        """
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        assert match is not None
        return int(match[1]) * 1024


def require_owner() -> None:
    """
    Skip the test if root starts it with a Python that mail_owner cannot read:
    the server would refuse to start.
    """
    if os.getuid() == 0 and not _others_may_read(os.path.realpath(sys.executable)):
        what = f"{sys.executable} cannot be read by {OWNER}: use one outside of /root"
        if os.environ.get("TXMTA_REQUIRE_PROGRAMS"):
            raise AssertionError(what)
        raise SkipTest(what)


def _others_may_read(path: str) -> bool:
    paths = (Path(path), *Path(path).parents, ROOT, *ROOT.parents)
    return all(p.stat().st_mode & 0o1 for p in paths)


class RunningTestCase(SynchronousTestCase):
    """
    Tests that start servers; all are ended, and what they left is removed.
    """

    def txmta(self, main_cf: str = "", **more: str) -> Txmta:
        """
        @return: a server that is configured, not started.
        """
        server = Txmta(main_cf, **more)
        self.addCleanup(server.close)
        return server

    def running(self, main_cf: str = "", **more: str) -> Txmta:
        """
        @return: a server that listens.
        """
        server = self.txmta(main_cf, **more)
        server.start()
        return server

    def relay(self, port: int, address: str = "127.0.0.1", main_cf: str = "") -> Txmta:
        """
        @return: a server that gives everything to a next hop.
        """
        return self.running(f"relayhost = [{address}]:{port}\n{main_cf}")

    def postfix(self, main_cf: str = "") -> Postfix:
        """
        @return: one that listens.
        """
        server = Postfix(main_cf)
        self.addCleanup(server.close)
        server.start()
        return server

    def sink(self, address: str = "127.0.0.1", *options: str) -> SmtpSink:
        server = SmtpSink(address, *options)
        self.addCleanup(server.close)
        return server

    def aiosmtpd(
        self,
        address: str = "127.0.0.1",
        refuses: Iterable[str] = (),
        port: int | None = None,
    ) -> AioSmtpd:
        server = AioSmtpd(address, refuses, port or free_port())
        self.addCleanup(server.close)
        return server

    def rogue(self, play: Callable[[socket.socket], None]) -> Rogue:
        server = Rogue(play)
        self.addCleanup(server.close)
        return server
