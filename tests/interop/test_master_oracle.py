"""
Debian's master as oracle for what is wrong in a master.cf, and its words.

It has no option to check a file only, and tells the system's log only: each
file is given to a master of its own, in a mount namespace whose C{/dev/log} is
ours, which is ended as soon as it has said that it refuses or has started.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.support import require, require_root
from txmta.config.master_cf import parse_master_cf
from txmta.errors import ConfigError

MASTER = "/usr/lib/postfix/sbin/master"

_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/lib
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
"""

#: Devices that programs expect.
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

#: Seconds for a master to say something.
PATIENCE = 15

#: Both refuse these, in the same words, or both take them.
FILES = (
    *("a", "a unix", "a unix -", "a unix - -", "a unix - - n", "a unix - - n 1"),
    *("a unix - - n 1 1", "a tcp - - n - 1 x", "a unix x - n - 1 x"),
    *("a unix - x n - 1 x", "a unix - - x - 1 x", "a unix - - n x 1 x"),
    *("a unix - - n - x x", "a unix - - n 10? 1 x", "a unix - - n -5 1 x"),
    *("a unix - - n - -5 x", "a unix - - n +5 1 x", "a unix - - n - +5 x"),
    *("a unix - - n 0? 1 x", "a unix - - n ? 1 x", "a - - - n - 1 x"),
    *("a unix - - n - 1 -", "2599 inet - - n - 1 x", "2599 inet y - n - 1 x"),
    *("a UNIX - - n - 1 x", "a unix Y - n - 1 x", "a unix - - N - 1 x"),
    *("a unix yes - n - 1 x", "a unix - - n - 1 x\na unix - - n - 2 y"),
    *("  a unix - - n - 1 x", "a unix - - n - 1 /bin/true"),
    *("a unix - - n - 1 x -o { y = z", "a unix - - n - 1 x -o {y=z}q"),
    *("a unix - - n - 1 x { a b", "a unix - - n - 1 x } a b"),
    *("a unix - - n - 1 x a}b", "a unix - - n - 1 x {a b}c"),
    *("a pass y - n - 1 x", "a fifo n - n - 1 x", "a unix-dgram n - n - 1 x"),
    *("a unix - - n - 1 x -v -D", "", "# nothing", "a unix - - n - 1 x # y"),
    *("a unix - - n - 1 x -o b=c -o {d = e}", "a unix - -\n\n# c\n  n - 1\n\tx"),
    "a unix - - n - 1 x\n  -o y={ z\n",
)

#: We refuse these and Postfix does not: a number is read up to what is no
#: digit, and the daemon ends that gets such an option.
STRICTER = (
    *("a unix - - n 10m 1 x", "a unix - - n 10?? 1 x", "a unix - - n 1?0 1 x"),
    *("a unix - - n 5x 1 x", "a unix - - n 99999999999 1 x"),
    *("a unix - - n - 99999999999 x", "a unix - - n - 1 x -o y"),
    *("a unix - - n - 1 x -o", "a unix - - n - 1 x -o {= z}"),
    "a unix - - n - 1 x -o y = z",
)


class Namespace:
    """
    A folder that stands for C{/dev}, for one master.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        devices = folder / "dev"
        devices.mkdir()
        (devices / "shm").mkdir()
        for name in _DEVICES:
            if os.path.exists(f"/dev/{name}"):
                subprocess.run(["cp", "-a", f"/dev/{name}", devices], check=True)
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log.bind(str(devices / "log"))
        (devices / "log").chmod(0o666)
        self._log.settimeout(PATIENCE)

    def said(self, master_cf: str) -> Sequence[str]:
        """
        @return: what a master says of a file, less the file's name.
        """
        home = self._folder
        (home / "main.cf").write_text(_MAIN_CF.format(home=home))
        (home / "master.cf").write_text(f"{master_cf}\n")
        owner = pwd.getpwnam("postfix").pw_uid
        for name in ("spool/pid", "spool/private", "spool/public", "lib"):
            (home / name).mkdir(parents=True)
            if name != "spool/pid":
                os.chown(home / name, owner, -1)
        script = f"mount --bind {home}/dev /dev && exec {MASTER} -c {home} -d"
        process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return list(self._messages())
        finally:
            process.kill()
            process.wait()
            self._log.close()

    def _messages(self) -> Iterator[str]:
        while True:
            line = self._log.recv(65536).decode("utf-8", "replace")
            text = line.partition("]: ")[2]
            if "daemon started" in text:
                return
            yield text.replace(f"{self._folder}/", "")
            if text.startswith("fatal: "):
                return


class MasterTests(SynchronousTestCase):
    def setUp(self) -> None:
        require("postfix", "unshare", "mount")
        require_root("mounts")
        self.folder = Path(tempfile.mkdtemp(prefix="tx"))
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder)
        done = subprocess.run(["unshare", "-m", "true"], capture_output=True)
        if done.returncode:
            raise SkipTest("no mount namespaces here")

    def ask(self, files: Sequence[str]) -> list[Sequence[str]]:
        """
        @return: what a master says of each.
        """

        def one(text: str) -> Sequence[str]:
            home = Path(tempfile.mkdtemp(dir=self.folder))
            home.chmod(0o755)
            return Namespace(home).said(text)

        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(one, files))

    def ours(self, text: str) -> tuple[str, Sequence[str]]:
        """
        @return: what refuses the file, and warnings.
        """
        warnings: list[str] = []
        try:
            parse_master_cf("master.cf", text, warnings.append)
        except ConfigError as e:
            return e.problems[0], warnings
        return "", warnings

    def test_same(self) -> None:
        refused = 0
        for text, said in zip(FILES, self.ask(FILES), strict=True):
            problem, warnings = self.ours(text)
            fatal = [s for s in said if s.startswith("fatal: ")]
            if not fatal:
                self.assertEqual(problem, "", text)
            else:
                refused += 1
                words = fatal[0].removeprefix("fatal: ").split(": ", 2)[2]
                self.assertIn(f": {words}", problem, text)
            theirs = [s for s in said if s.startswith("warning: ")]
            self.assertEqual(len(theirs), len(warnings), (text, theirs))
            for one, other in zip(theirs, warnings, strict=True):
                words = one.rpartition(": ")[2].split(" (")[0].split('"')[0]
                self.assertIn(words.strip(), other.replace('"', ""), text)

        self.assertEqual(refused, 30)

    def test_stricter(self) -> None:
        for text, said in zip(STRICTER, self.ask(STRICTER), strict=True):
            self.assertFalse([s for s in said if s.startswith("fatal: ")], text)
            self.assertNotEqual(self.ours(text)[0], "", text)
