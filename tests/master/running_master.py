"""
A real master in a real twistd, with the small roles of
L{tests.master.roles_of_tests}; and a test case that has one.

Owns: its folder, its processes; all is gone after the test.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.master.roles_of_tests import load
from txmta.config.snapshot import Configuration
from txmta.log.maillog import MailLog
from txmta.log.sinks import FileTarget
from txmta.master.binding import bind_all, port_of
from txmta.master.family import Post
from txmta.master.fleet import Timing
from txmta.master.lock import QueueLock
from txmta.master.service import Arrangement, Ground, Master
from txmta.master.sockets import listens

ROOT = Path(__file__).resolve().parents[2]

#: Seconds that a test waits for anything.
PATIENCE = 8.0

MAIN_CF = """\
compatibility_level = 3.9
myhostname = mail.here.test
queue_directory = $config_directory
maillog_file = $config_directory/mail.log
"""

TWISTD = "from twisted.scripts.twistd import run; run()"

T = TypeVar("T")


def master() -> Master:
    """
    What twistd runs; told by its environment.
    """
    from twisted.internet import reactor

    cast(Any, reactor).seconds = time.monotonic
    configuration = load(os.environ["TEST_MAIN_CF"])
    arrangement = Arrangement(
        "tests.master.roles_of_tests:entry",
        ["json", "twisted.protocols.basic"],
        plan,
        prepare,
        lambda problems: print("fatal:", *problems, sep="\n", file=sys.__stderr__),
        lambda error: print("fatal:", error, file=sys.__stderr__),
        timing=Timing(float(os.environ.get("TEST_STOP", "10")), 5.0, 2.0),
        beat=float(os.environ.get("TEST_BEAT", "5")),
    )
    return Master(arrangement, configuration, cast(Any, reactor))


def plan(configuration: Configuration) -> list[Post]:
    posts = {
        "smtpd": Post("smtpd", 2, listens=True),
        "qmgr": Post("qmgr", alone=True),
        "local": Post("local"),
        "log": Post("log"),
    }
    return [posts[name] for name in configuration.settings.text("roles").split()]


class AtOnce:
    """
    A log that writes each line at once.
    """

    def __init__(self, log: MailLog) -> None:
        self._log = log
        self.close = log.close

    def emit(self, event: Any) -> None:
        self._log.emit(event)
        self._log.flush()


def prepare(configuration: Configuration) -> Ground:
    settings = configuration.settings
    lock = QueueLock(settings.queue_directory)
    sockets = bind_all(listens(configuration.services, settings, port_of))
    log = MailLog(
        FileTarget(settings.maillog_file),
        Clock(),
        time.time,
        lambda call, *args: call(*args),
        ("here", "postfix", os.getpid()),
    )
    return Ground(lock, sockets, AtOnce(log))


class MasterTestCase(SynchronousTestCase):
    """
    Has one master at a time.
    """

    def setUp(self) -> None:
        # Short: names of Unix sockets are.
        self.folder = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.port = free_port()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(str(self.folder / "notify"))
        self.notify.settimeout(PATIENCE)
        self.write()

    def write(self, roles: str = "log qmgr local smtpd", **values: str) -> None:
        """
        @param values: of main.cf.
        """
        values = {"roles": roles, "greeting": "one", "broken": "no", **values}
        lines = [f"{name} = {value}" for name, value in values.items()]
        (self.folder / "main.cf").write_text(MAIN_CF + "\n".join(lines) + "\n")
        self.listen(self.port)

    def listen(self, *ports: int) -> None:
        rows = [f"127.0.0.1:{port} inet n - n - - smtpd\n" for port in ports]
        (self.folder / "master.cf").write_text("".join(rows))

    def start(self, **environment: str) -> None:
        """
        Start it, and wait until it is ready.
        """
        self.spawn(**environment)
        self.assertIn("READY=1", self.told())

    def spawn(self, *options: str, **environment: str) -> None:
        """
        @param options: of twistd.
        """
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", TWISTD, "-n", *options),
                *("--pidfile=", "-y", str(ROOT / "tests/master/multi.tac")),
            ],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "NOTIFY_SOCKET": str(self.folder / "notify"),
                "TEST_MAIN_CF": str(self.folder / "main.cf"),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.addCleanup(self.end)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        output, _ = self.process.communicate(timeout=PATIENCE)
        self.output = output.decode("utf-8", "replace")

    def told(self) -> str:
        """
        @return: the next that the service manager is told.
        """
        return self.notify.recv(4096).decode("ascii")

    def hang_up(self) -> None:
        """
        Have the configuration read again, and wait for the end of it.
        """
        self.process.send_signal(signal.SIGHUP)
        self.assertIn("RELOADING=1", self.told())
        self.assertIn("READY=1", self.told())

    def stop(self) -> int:
        """
        @return: the status.
        """
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def log(self) -> str:
        path = self.folder / "mail.log"
        return path.read_text() if path.exists() else ""

    def logged(self, text: str) -> None:
        """
        Wait for something in the log.
        """
        self.wait(lambda: text in self.log(), lambda: f"{text!r} in {self.log()}")

    def wait(
        self, ask: Callable[[], T], what: Callable[[], str] = lambda: "something"
    ) -> T:
        """
        Wait until something is so.
        """
        end = time.monotonic() + PATIENCE
        while not (found := ask()):
            if time.monotonic() > end:
                self.fail(f"waited in vain for {what()}")
            time.sleep(0.01)
        return found

    def talk(self, port: int = 0) -> Client:
        client = Client(port or self.port)
        self.addCleanup(client.close)
        return client

    def processes(self) -> dict[int, str]:
        """
        @return: fork servers and children, by process id.
        """
        found: dict[int, str] = {}
        for fork_server in offspring(self.process.pid):
            found[fork_server] = name_of(fork_server)
            found |= {pid: name_of(pid) for pid in offspring(fork_server)}
        return found

    def pids(self, role: str) -> set[int]:
        return {p for p, name in self.processes().items() if name == f"txmta-{role}"}


class Client:
    """
    Of the test's smtpd.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._file = self._socket.makefile("rb")
        pid, self.greeting = self._file.readline().decode().split()
        self.pid = int(pid)

    def say(self, text: str) -> str:
        """
        @return: what is answered, C{""} if the connection is closed.
        """
        self._socket.sendall(f"{text}\n".encode())
        return self.read()

    def send(self, text: str) -> None:
        self._socket.sendall(f"{text}\n".encode())

    def read(self) -> str:
        return self._file.readline().decode().rstrip("\n")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def offspring(pid: int) -> Iterator[int]:
    """
    @return: children that live.
    """
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return
    yield from (child for child in map(int, text.split()) if lives(child))


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
