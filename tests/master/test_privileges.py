"""
Tests of becoming the mail owner. What needs root is done in a child process
and skipped for an ordinary user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.master.directory import SUBDIRECTORIES, prepare_queue
from txmta.master.limits import set_limits
from txmta.master.lock import QueueLock
from txmta.master.privileges import (
    Account,
    PrivilegesRemain,
    become,
    server_account,
)

NOBODY = pwd.getpwnam("nobody")
OWNER = Account("nobody", NOBODY.pw_uid, NOBODY.pw_gid)


def in_child(work: Callable[[], str]) -> str:
    """
    @return: what C{work} returns, or its traceback, from a forked process.
    """
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            try:
                answer = work()
            except BaseException:
                answer = traceback.format_exc()
            os.write(write, answer.encode("utf-8"))
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return answer


def need_root() -> None:
    if os.geteuid() != 0:
        raise SkipTest("needs root")


class AccountTests(SynchronousTestCase):
    def test_as_root(self) -> None:
        need_root()
        self.assertEqual(server_account(Settings.of(mail_owner="nobody")), OWNER)

    def test_missing(self) -> None:
        """
        A missing account is an error with the command that makes it.
        """
        need_root()
        error = self.assertRaises(
            ConfigError, server_account, Settings.of(mail_owner="nosuchuser")
        )
        self.assertIn("mail_owner = nosuchuser: there is no such account", str(error))
        self.assertIn("useradd --system", str(error))

    def test_root(self) -> None:
        """
        root cannot be the mail owner.
        """
        need_root()
        error = self.assertRaises(
            ConfigError, server_account, Settings.of(mail_owner="root")
        )
        self.assertIn("has the rights of root", str(error))

    def test_ordinary_user(self) -> None:
        """
        Whoever starts the server is the server, whatever mail_owner says.
        """
        self.patch(os, "geteuid", lambda: OWNER.uid)
        account = server_account(Settings.of(mail_owner="nosuchuser"))
        self.assertEqual((account.name, account.uid), ("nobody", OWNER.uid))


class BecomeTests(SynchronousTestCase):
    def test_for_good(self) -> None:
        """
        All ids change, no group is left, and no way leads back.
        """
        need_root()

        def work() -> str:
            os.setgroups([0, 4, 27])
            become(OWNER)
            for back in (os.setuid, os.seteuid, os.setgid):
                try:
                    back(0)
                except PermissionError:
                    continue
                return f"{back.__name__} led back"
            status = Path("/proc/self/status").read_text()
            wanted = {
                f"Uid:\t{OWNER.uid}\t{OWNER.uid}\t{OWNER.uid}\t{OWNER.uid}",
                f"Gid:\t{OWNER.gid}\t{OWNER.gid}\t{OWNER.gid}\t{OWNER.gid}",
                "Groups:",
                "CapPrm:\t0000000000000000",
                "CapEff:\t0000000000000000",
            }
            found = {line.strip() for line in status.splitlines()}
            return f"missing {wanted - found}" if wanted - found else "done"

        self.assertEqual(in_child(work), "done")

    def test_way_back(self) -> None:
        """
        If the saved id stays root, the process must not go on.
        """
        need_root()

        def work() -> str:
            real = os.setresuid
            os.setresuid = lambda r, e, s: real(r, e, -1)
            try:
                become(OWNER)
            except PrivilegesRemain as e:
                return str(e)
            return "went on"

        self.assertIn("have not become nobody", in_child(work))

    def test_groups_stay(self) -> None:
        """
        Nor if a group of root is left.
        """
        need_root()

        def work() -> str:
            os.setgroups([4])
            os.setgroups = lambda groups: None
            try:
                become(OWNER)
            except PrivilegesRemain as e:
                return str(e)
            return "went on"

        self.assertIn("have kept groups", in_child(work))

    def test_not_allowed(self) -> None:
        """
        A root without the right to change ids, as in some containers.
        """
        need_root()

        def refuse(*groups: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        def work() -> str:
            os.setgroups = refuse
            try:
                become(OWNER)
            except PrivilegesRemain as e:
                return str(e)
            return "went on"

        self.assertIn("cannot become nobody: Operation not permitted", in_child(work))

    def test_ordinary_user(self) -> None:
        """
        An ordinary user stays who he is.
        """
        self.patch(os, "geteuid", lambda: 1000)
        self.patch(os, "setresuid", None)
        self.patch(os, "setgroups", None)
        become(Account("me", 1000, 1000))


class RootTests(SynchronousTestCase):
    def test_queue_given(self) -> None:
        """
        What root makes for the queue belongs to the mail owner, who can work
        in it and take the lock at the next start.
        """
        need_root()
        base = Path(tempfile.mkdtemp(prefix="tx"))  # trial's may be root's alone
        self.addCleanup(shutil.rmtree, base)
        base.chmod(0o755)
        path = str(base / "queue")
        prepare_queue(path, OWNER)
        lock = QueueLock(path)
        lock.give(OWNER.uid, OWNER.gid)
        lock.release()

        def work() -> str:
            become(OWNER)
            QueueLock(path)
            for name in ("", *SUBDIRECTORIES):
                Path(path, name, "file").write_text("x")
            return "done"

        self.assertEqual(in_child(work), "done")


class LimitTests(SynchronousTestCase):
    def test_limits(self) -> None:
        """
        umask 077 whatever it was, and as many open files as allowed.
        """

        def work() -> str:
            import resource

            os.umask(0)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (20, hard))
            limit = set_limits()
            found = resource.getrlimit(resource.RLIMIT_NOFILE)
            return f"{os.umask(0):o} {limit == hard} {found == (hard, hard)}"

        self.assertEqual(in_child(work), "77 True True")
