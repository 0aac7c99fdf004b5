"""
A real process of the local role, with the test as its queue manager and
master; and users that only this process knows.

Owns: the process, its folder, its links; all is gone after the test.
"""

from __future__ import annotations

import gc
import os
import pwd
import select
import shutil
import signal
import socket
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import request
from tests.support import require_root
from txmta.child import BlockingContext, Ends
from txmta.config.master_cf import parse_master_cf
from txmta.config.settings import Settings
from txmta.config.snapshot import Configuration
from txmta.events import Event, Warn
from txmta.master.channel import channel_pair, receive, send
from txmta.master.control import BlockingControl
from txmta.master.descriptors import send as send_with
from txmta.master.frames import FrameReader, Record, encode
from txmta.master.wire import encode_request
from txmta.master.wire_reports import Awaited
from txmta.model import DeliveryRequest, Outcome
from txmta.roles import local_child

#: Users and groups of these tests: numbers that are nobody's.
# Each run has its own: one of amy's commands kills all that is hers, and other
# tests run beside it.
AMY, BOB, OWNER, NOBODY, MAIL = (
    1_000_000 + os.getpid() % 4_000_000 * 8 + n for n in range(1, 6)
)

#: Seconds that a test waits for anything.
PATIENCE = 8.0

MASTER_CF = """\
local   unix - n n - - local
virtual unix - n n - - virtual
"""


@dataclass
class Users:
    """
    The accounts that there are.
    """

    homes: Path
    ids: Mapping[str, tuple[int, str]] = field(
        default_factory=lambda: {
            "root": (0, "root"),
            "amy": (AMY, "amy"),
            "bob": (BOB, "bob"),
            "owner": (OWNER, "owner"),
            "nobody": (NOBODY, "nobody"),
        }
    )

    def by_name(self, name: str) -> pwd.struct_passwd:
        uid, home = self.ids[name]
        place = str(self.homes / home)
        return pwd.struct_passwd((name, "x", uid, uid, "", place, "/bin/sh"))

    def by_uid(self, uid: int) -> pwd.struct_passwd:
        for name, (number, _) in self.ids.items():
            if number == uid:
                return self.by_name(name)
        raise KeyError(uid)


class Sink:
    """
    The log, in a file.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def emit(self, event: Event) -> None:
        if isinstance(event, Warn):
            os.write(self._fd, f"{event.text}\n".encode())


class LocalProcess:
    """
    @ivar pid: of it.
    """

    def __init__(self, configuration: Configuration, users: Users, log: Path) -> None:
        self._control, control = channel_pair()
        self.link, link = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.link.settimeout(PATIENCE)
        self.pid = os.fork()
        if self.pid == 0:
            _be(configuration, users, log, (control, link))
        control.close()
        link.close()
        self._reader = FrameReader()
        self._keys = 0
        self.awaited: dict[int, Awaited] = {}
        self.outcomes: dict[int, list[Outcome]] = {}
        self.over: dict[int, Record] = {}
        self.records: list[Record] = []
        self._ends = False
        assert receive(self._control)[0] == {"t": "ready"}

    def deliver(
        self, what: DeliveryRequest, content: bytes, onward: bool = True
    ) -> int:
        """
        @return: the key.
        """
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            return self.deliver_from(what, file.fileno(), onward)

    def deliver_from(
        self, what: DeliveryRequest, descriptor: int, onward: bool = True
    ) -> int:
        key, self._keys = self._keys, self._keys + 1
        *parts, last = encode_request(key, what)
        self.awaited[key] = Awaited([r.n for r in what.recipients], onward)
        self.outcomes[key] = []
        for record in parts:
            self.link.sendall(encode([record]))
        data = encode([last])
        sent = send_with(self.link, data, descriptor)
        if sent < len(data):
            self.link.sendall(data[sent:])
        return key

    def hear(self, until: Callable[[], bool]) -> None:
        """
        Read what it tells, until something is so.
        """
        end = time.monotonic() + PATIENCE
        while not until():
            left = end - time.monotonic()
            if left <= 0 or self._ends:
                raise AssertionError(f"not so: {self.outcomes} {self.over}")
            if select.select([self.link], [], [], left)[0]:
                self._read()

    def read_rest(self) -> None:
        """
        What it has told before it was killed.
        """
        while not self._ends:
            self._read()

    def _read(self) -> None:
        try:
            data = self.link.recv(65536)
        except ConnectionResetError:
            data = b""
        self._ends = not data
        for record in self._reader.feed(data) if data else ():
            self.records.append(record)
            kind, key = record["t"], record.get("key")
            if not isinstance(key, int) or key not in self.awaited:
                continue
            if kind == "outcome":
                self.outcomes[key].append(self.awaited[key].outcome(record))
            elif kind == "forward":
                self.awaited[key].forward(record)
            elif kind in ("done", "failed"):
                self.over[key] = record

    @property
    def is_lost(self) -> bool:
        """
        It has hung up.
        """
        return self._ends

    def relink(self) -> None:
        """
        The queue manager ends, and another one comes.
        """
        self.link.close()
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        send(
            self._control, {"t": "adopt", "name": "delivery:qmgr.2"}, [theirs.fileno()]
        )
        theirs.close()
        self.link.settimeout(PATIENCE)
        self._reader, self._ends, self.records = FrameReader(), False, []
        self.link.sendall(encode([{"t": "hello"}]))

    def drain(self, seconds: float) -> Record:
        """
        @return: its last word to master.
        """
        send(self._control, {"t": "drain", "seconds": seconds})
        self._control.settimeout(PATIENCE)
        return receive(self._control)[0]

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        if self.pid:
            os.waitpid(self.pid, 0)
            self.pid = 0

    def close(self) -> None:
        if self.pid:
            self.kill()
        self.link.close()
        self._control.close()


def _be(
    configuration: Configuration,
    users: Users,
    log: Path,
    ends: tuple[socket.socket, socket.socket],
) -> NoReturn:
    try:
        keep = {0, 1, 2, *(end.fileno() for end in ends)}
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in keep:
                with suppress(OSError):
                    os.close(int(name))
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        modules: Any = pwd
        modules.getpwnam, modules.getpwuid = users.by_name, users.by_uid
        if os.geteuid() == 0:
            os.setgroups([0, 7])
        # As every child does.
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        known = Ends()
        control = BlockingControl(ends[0])
        control.adopt = known.add
        known.add("delivery:qmgr.1", ends[1].detach())
        sink: Any = Sink(log)
        local_child.run(
            BlockingContext("local", 1, configuration, sink, control, known, {})
        )
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)


class LocalTestCase(SynchronousTestCase):
    """
    @ivar root: the folder, with homes and a spool directory.
    """

    def setUp(self) -> None:
        require_root("to become other users")
        self.root = Path(tempfile.mkdtemp(prefix="txl"))
        self.addCleanup(shutil.rmtree, self.root)
        self.root.chmod(0o755)
        self.homes = self.root / "homes"
        self.homes.mkdir()
        self.homes.chmod(0o755)
        self.users = Users(self.homes)
        for uid, home in self.users.ids.values():
            self.folder(self.homes / home, uid, 0o700)
        self.queue = self.folder(self.root / "queue", OWNER, 0o700)
        self.aliases = self.root / "aliases"
        self.aliases.write_text("")
        self.settings = {
            "alias_maps": f"texthash:{self.aliases}",
            "mail_owner": "owner",
            "default_privs": "nobody",
            "queue_directory": str(self.queue),
            "home_mailbox": "Maildir/",
            "mydestination": "here.test",
            "myhostname": "mail.here.test",
        }
        self.master_cf = MASTER_CF
        self._processes: list[LocalProcess] = []
        self.addCleanup(self._close)

    def folder(self, path: Path, uid: int, mode: int, gid: int = -1) -> Path:
        path.mkdir()
        os.chown(path, uid, uid if gid < 0 else gid)
        path.chmod(mode)
        return path

    def file(self, path: Path, text: str, uid: int, mode: int = 0o600) -> Path:
        path.write_text(text)
        os.chown(path, uid, uid)
        path.chmod(mode)
        return path

    def script(self, name: str, text: str) -> Path:
        path = self.root / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def alias(self, text: str) -> None:
        self.aliases.write_text(text + "\n")

    def start(self) -> LocalProcess:
        """
        As the settings are now.
        """
        services = parse_master_cf("master.cf", self.master_cf)
        # Looked up before the process has its own users.
        self.patch(pwd, "getpwnam", self.users.by_name)
        configuration = Configuration("main.cf", Settings.of(**self.settings), services)
        process = LocalProcess(configuration, self.users, self.root / "log")
        self._processes.append(process)
        return process

    def outcomes(
        self, *users: str, process: LocalProcess | None = None
    ) -> list[Outcome]:
        """
        Deliver a message to users.
        """
        process = process or self.start()
        content = b"Subject: x\r\n\r\nbody\r\n"
        what = request(*(f"{user}@here.test" for user in users), content=content)
        key = process.deliver(what, content)
        process.hear(lambda: key in process.over)
        return process.outcomes[key]

    @property
    def log(self) -> str:
        return (self.root / "log").read_text()

    def mail(self, maildir: Path) -> list[Path]:
        new = maildir / "new"
        return sorted(new.iterdir()) if new.is_dir() else []

    def _close(self) -> None:
        for process in self._processes:
            process.close()
