"""
Servers that start fast: one process imports everything, and forks each server.

Owns: the fork server, and the processes that it forks, as
    C{subprocess.Popen} shows its own.
Knows nothing of: what the servers do, what they are for.

The fork server has no reactor, no threads and no connection of SQLite: none
of these may cross a fork. A forked server names its threads, so that strace
can be told which one to follow, and checkpoints after a tenth of a second
without commits instead of one.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

#: Seconds without a commit before a forked server checkpoints.
IDLE = 0.1

_PR_SET_NAME = 15


class Forked:
    """
    A server that was forked; the part of C{subprocess.Popen} that we use.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._fd = -1
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """
        @return: L{None} while it runs; how it ended is not known.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self._fd >= 0:
            if not select.select([self._fd], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(["forked"], timeout or 0)
            os.close(self._fd)
            self._fd = -1
        self.returncode = 0
        return 0

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._fd, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """
    Our end of the process that forks servers.
    """

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.forked"],
                stdin=theirs.fileno(),
                cwd=ROOT,
            )
        self._answers = self._socket.makefile("r")
        self._lock = threading.Lock()

    def fork(
        self,
        mutation: str,
        arguments: Sequence[str],
        log: Path,
        held: bool = False,
        owner: tuple[int, int] | None = None,
    ) -> Forked:
        """
        @param mutation: of L{tests.crash.launch}.
        @param arguments: of twistd.
        @param log: of what the server says.
        @param held: it stops itself before it does anything.
        @param owner: uid and gid to start as.

        Any thread may call.
        """
        request = json.dumps([mutation, list(arguments), str(log), held, owner])
        with self._lock:
            self._socket.sendall(request.encode() + b"\n")
            line = self._answers.readline()
        if not line:
            raise AssertionError("the fork server has ended")
        return Forked(int(line))

    def close(self) -> None:
        self._answers.close()
        self._socket.close()
        self._process.wait()


# From here on: in the fork server, and in the servers.


def _import_all() -> None:
    """
    Import what a server needs, with nothing in the place of the reactor:
    twisted.mail imports one, which each server must make for itself.
    """
    import txmta

    name = "twisted.internet.reactor"
    sys.modules[name] = types.ModuleType(name)
    for module in pkgutil.walk_packages(txmta.__path__, "txmta."):
        if not module.name.endswith(("test_suite", "__main__")):
            importlib.import_module(module.name)
    for other in ("twisted.scripts.twistd", "twisted.names.client", "txmta.tap"):
        importlib.import_module(other)
    del sys.modules[name]


def _name_threads() -> None:
    prctl = ctypes.CDLL(None).prctl
    run = threading.Thread.run

    def named(self: threading.Thread) -> None:
        # Of "PoolThread-virtual-139:0", the name of the pool.
        name = self.name.removeprefix("PoolThread-").partition("-0x")[0]
        prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)
        run(self)

    changed: Any = threading.Thread
    changed.run = named


def _checkpoint_soon() -> None:
    from txmta.queue.store import entrance
    from txmta.queue.store.entrance import Limits
    from txmta.queue.store.writer import Timing

    changed: Any = entrance
    changed.Limits = partial(Limits, timing=Timing(idle=IDLE))


def _become_server(
    mutation: str,
    arguments: Sequence[str],
    log: str,
    held: bool,
    owner: tuple[int, int] | None,
) -> None:
    from tests.crash import launch

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    if owner and os.getuid() == 0:
        os.setgroups([])
        os.setgid(owner[1])
        os.setuid(owner[0])
    if held:
        os.kill(os.getpid(), signal.SIGSTOP)
    _name_threads()
    _checkpoint_soon()
    launch.main([mutation, *arguments])


def main() -> None:
    _import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    ours = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    requests = ours.makefile("r")
    while line := requests.readline():
        pid = os.fork()
        if pid == 0:
            ours.close()
            requests.close()
            try:
                _become_server(*json.loads(line))
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(1)
        ours.sendall(f"{pid}\n".encode())


def wait_for_stop(pid: int) -> None:
    """
    Wait until all threads of a process are stopped.
    """
    end = time.monotonic() + 10
    tasks = Path(f"/proc/{pid}/task")
    while not all(
        (task / "stat").read_text().rpartition(") ")[2][0] in "Tt"
        for task in tasks.iterdir()
    ):
        if time.monotonic() > end:
            raise AssertionError("the server does not stop")
        time.sleep(0.001)


if __name__ == "__main__":
    main()
