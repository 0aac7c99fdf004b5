"""
Run code in a confined process, and see what becomes of it.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import select
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import SkipTest, TestCase

from txmta.master import landlock, seccomp_numbers
from txmta.master.confine import Confinement, Network, confine
from txmta.master.privileges import Account
from txmta.master.profiles import SYSTEM
from txmta.master.readable import needed

NOBODY = pwd.getpwnam("nobody")
OWNER = Account("nobody", NOBODY.pw_uid, NOBODY.pw_gid)

#: Seconds that a child may take.
LIMIT = 10.0

Attempt = Callable[[], object]


def need_root() -> None:
    if os.geteuid() != 0:
        raise SkipTest("needs root: to become another account")


def need_landlock(abi: int) -> None:
    """
    Skip the test on a kernel that does not have that much.
    """
    if landlock.kernel_abi() < abi:
        raise SkipTest(f"needs a kernel with Landlock {abi}")


def home(case: TestCase) -> Path:
    """
    @return: a directory that everybody may enter, unlike trial's; with
        C{queue/} of the account that confined processes have.
    """
    base = Path(tempfile.mkdtemp(prefix="tx"))
    case.addCleanup(shutil.rmtree, base)
    base.chmod(0o755)
    queue = base / "queue"
    queue.mkdir(0o700)
    if os.geteuid() == 0:
        os.chown(queue, OWNER.uid, OWNER.gid)
    return base


def owner() -> Account:
    """
    @return: who confined processes are.
    """
    if os.geteuid() == 0:
        return OWNER
    return Account("me", os.geteuid(), os.getegid())


def smtpd(base: Path, *ports: int) -> Confinement:
    """
    @return: much as that of the SMTP server.
    @param ports: that it may connect to.
    """
    read = (*SYSTEM, *needed("/etc/txmta/main.cf"))
    queue = str(base / "queue")
    return Confinement(owner(), read=read, write=(queue,), network=Network(True, ports))


class Child:
    """
    A confined process.

    @ivar pid: its id.
    """

    def __init__(
        self,
        wanted: Confinement,
        work: Callable[[], object],
        without: Sequence[str] = (),
    ) -> None:
        """
        @param work: what it does then; the result must fit into JSON.
        @param without: of C{"landlock"}, C{"seccomp"}: what the kernel is to
            lack.
        """
        self._read, write = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(self._read)
                # It is to die without a word from trial.
                signal.set_wakeup_fd(-1)
                answer = _live(replace(wanted, parent=parent), work, without)
                os.write(write, json.dumps(answer).encode("ascii"))
            finally:
                os._exit(0)
        os.close(write)

    def answer(self) -> object:
        """
        Wait for its end.

        @return: what its work gave; a string if that failed.
        """
        text = b""
        try:
            while select.select([self._read], [], [], LIMIT)[0]:
                block = os.read(self._read, 65536)
                if not block:
                    return json.loads(text) if text else "died"
                text += block
            return "took too long"
        finally:
            self.end()

    def end(self) -> int:
        """
        Kill it if it lives.

        @return: its status, as of waitpid(2).
        """
        if self._read >= 0:
            os.close(self._read)
            self._read = -1
            os.kill(self.pid, signal.SIGKILL)
            self._status = os.waitpid(self.pid, 0)[1]
        return self._status


def _live(
    wanted: Confinement, work: Callable[[], object], without: Sequence[str]
) -> object:
    if "landlock" in without:
        landlock.kernel_abi = lambda: 0
    if "seccomp" in without:
        seccomp_numbers.MACHINES = {}
    try:
        confine(wanted)
        return work()
    except BaseException:
        return traceback.format_exc()


def outcomes(attempts: Mapping[str, Attempt]) -> dict[str, str]:
    """
    @return: C{"done"} or the name of the error, for each attempt.
    """
    found = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError as e:
            found[name] = errno.errorcode.get(e.errno or 0, repr(e))
        except Exception:
            found[name] = traceback.format_exc()
        else:
            found[name] = "done"
    return found


def inside(
    wanted: Confinement, attempts: Mapping[str, Attempt], without: Sequence[str] = ()
) -> dict[str, str]:
    """
    @return: L{outcomes} in a confined process.
    """
    answer = Child(wanted, lambda: outcomes(attempts), without).answer()
    if not isinstance(answer, dict):
        raise AssertionError(answer)
    return answer


def plain(attempts: Mapping[str, Attempt]) -> dict[str, str]:
    """
    As L{inside}, without any confinement: that the attempts can succeed.
    """
    answer = Child(Confinement(None), lambda: outcomes(attempts)).answer()
    if not isinstance(answer, dict):
        raise AssertionError(answer)
    return answer
