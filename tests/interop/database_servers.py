"""
Database servers of the tests' own: started by an unprivileged user, in a
folder of their own, on sockets that nobody else knows.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import SkipTest, TestCase

from tests.support import PATH

#: Whom a server runs as, if the tests are run by root.
OWNER = "nobody"

#: Seconds to start.
PATIENCE = 60.0


def program(name: str, *folders: str) -> str:
    """
    @return: its path; the test is skipped if it is not there, in CI it fails.
    """
    found = shutil.which(name, path=":".join([*folders, PATH]))
    if found is None:
        if os.environ.get("TXMTA_REQUIRE_PROGRAMS"):
            raise AssertionError(f"CI must install it: {name}")
        raise SkipTest(f"not installed: {name}")
    return found


def listens(at: Path | int) -> bool:
    """
    @param at: a socket, or a port of this machine.
    """
    if isinstance(at, int):
        with socket.socket() as made:
            return made.connect_ex(("127.0.0.1", at)) == 0
    with socket.socket(socket.AF_UNIX) as made:
        return made.connect_ex(str(at)) == 0


class Server:
    """
    @ivar folder: its data and its socket.
    @cvar signal: ends it, whoever is connected.
    """

    signal = signal.SIGTERM

    def __init__(self, test: TestCase) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-db-", dir="/tmp"))
        test.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        test.addCleanup(self.stop)
        self._process: subprocess.Popen[bytes] | None = None
        self._user = pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:
            self._user = OWNER
            shutil.chown(self.folder, OWNER)

    def _own(self, path: Path) -> None:
        if os.getuid() == 0:
            shutil.chown(path, OWNER)

    @property
    def _account(self) -> dict[str, str]:
        return {"user": self._user} if os.getuid() == 0 else {}

    def run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            **self._account,  # type: ignore[call-overload]
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise AssertionError(f"{command}: {done.stderr.decode()[-2000:]}")

    def start(self, command: Sequence[str], at: Path) -> None:
        """
        Start it, and wait until it listens at its socket.
        """
        self.run_until(command, lambda: listens(at))

    def run_until(self, command: Sequence[str], ready: Callable[[], bool]) -> None:
        """
        Start it, and wait.
        """
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                command,
                **self._account,  # type: ignore[call-overload]
                cwd=self.folder,
                env={**os.environ, "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + PATIENCE
        while not ready():
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(self.signal)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
