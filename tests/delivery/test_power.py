"""
Root who becomes users, and the way back.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from functools import partial
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tests.support import require_root
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.power import EX_NOPERM, Power, PowerLost, become, become_root
from txmta.delivery.rights import Owner

AMY, QUEUE = Owner(61001, 61002), Owner(61003, 61004)


def elsewhere(work: Callable[[], object]) -> int:
    """
    @return: exit status of a process that does it; 0 if nothing is wrong.
    """
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def check(condition: object, what: object) -> None:
    if not condition:
        raise AssertionError(what)


class RootTests(SynchronousTestCase):
    def setUp(self) -> None:
        require_root("to become another user")

    def test_there_and_back(self) -> None:
        """
        Only effective ids change, and no group is left; then all are root's.
        """

        def work() -> None:
            os.setgroups([0, 7])
            ids = Power(QUEUE).doing(AMY, lambda: (os.getresuid(), os.getresgid()))()
            check(ids == ((0, 61001, 0), (0, 61002, 0)), ids)
            groups = Power(QUEUE).doing(AMY, os.getgroups)()
            check(groups == [61002], groups)
            check(os.getresuid() == os.getresgid() == (0, 0, 0), "not back")
            check(os.getgroups() == [], os.getgroups())

        self.assertEqual(elsewhere(work), 0)

    def test_capabilities(self) -> None:
        """
        What only root may do cannot be done meanwhile.
        """

        def work() -> None:
            try:
                Power(QUEUE).doing(AMY, os.chroot)("/")
            except PermissionError:
                return
            raise AssertionError("has kept capabilities")

        self.assertEqual(elsewhere(work), 0)

    def test_back_after_an_error(self) -> None:
        def work() -> None:
            try:
                Power(QUEUE).doing(AMY, os.stat)("/nowhere")
            except FileNotFoundError:
                check(os.geteuid() == 0, "not back")
                return
            raise AssertionError("no error")

        self.assertEqual(elsewhere(work), 0)

    def test_users_cannot_reach_us(self) -> None:
        """
        A user cannot signal the process that is he just now.
        """

        def work() -> None:
            def attack() -> int:
                pid, us = os.fork(), os.getppid()
                del us
                if pid == 0:
                    os.setresuid(61001, 61001, 61001)
                    try:
                        os.kill(os.getppid(), 0)
                    except PermissionError:
                        os._exit(0)
                    os._exit(1)
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

            check(Power(QUEUE).doing(AMY, attack)() == 0, "signalled")

        self.assertEqual(elsewhere(work), 0)

    def test_no_way_back(self) -> None:
        """
        A process that cannot become root again ends at once.
        """
        calls: tuple[tuple[str, object], ...] = (
            ("setresuid", OSError(1, "x")),
            ("setresgid", OSError(1, "x")),
            ("setgroups", RuntimeError()),
            ("getresuid", [(0, 61001, 0)]),
        )
        for name, effect in calls:

            def work(name: str = name, effect: object = effect) -> None:
                become(AMY)
                with mock.patch.object(os, name, side_effect=effect):
                    become_root()

            self.assertEqual(elsewhere(work), EX_NOPERM, name)

    def test_not_become(self) -> None:
        """
        What was not become is not acted as.
        """
        calls: tuple[tuple[str, object], ...] = (
            ("setgroups", OSError(1, "x")),
            ("setresgid", OSError(1, "x")),
            ("setresuid", OSError(1, "x")),
            ("setresuid", None),
            ("setresgid", None),
            ("setgroups", None),
        )

        def work(name: str, effect: object) -> None:
            done: list[int] = []

            def change(owner: Owner) -> None:
                with mock.patch.object(os, name, side_effect=effect):
                    become(owner)

            try:
                Power(QUEUE, (change, become_root)).doing(AMY, done.append)(1)
            except PowerLost:
                check(not done and os.geteuid() == 0, "did it")
                return
            raise AssertionError("was taken for become")

        for name, effect in calls:
            self.assertEqual(elsewhere(partial(work, name, effect)), 0, name)


class NeverTests(SynchronousTestCase):
    """
    Whom it never becomes; asks nobody for root.
    """

    def setUp(self) -> None:
        self.became: list[Owner] = []
        self.power = Power(QUEUE, (self.became.append, lambda: None))

    def test_never(self) -> None:
        """
        Not root, not the queue's owner, not in their groups.
        """
        for owner in (
            Owner(0, 5),
            Owner(5, 0),
            Owner(-1, 5),
            Owner(5, -1),
            Owner(QUEUE.uid, 5),
            Owner(5, QUEUE.gid),
        ):
            done: list[int] = []
            with self.assertRaises(PowerLost):
                self.power.doing(owner, done.append)(1)
            self.assertEqual((done, self.became), ([], []), owner)
        self.power.doing(AMY, self.became.append)(AMY)
        self.assertEqual(self.became, [AMY, AMY])

    def test_become_itself(self) -> None:
        for owner in (Owner(0, 5), Owner(5, 0), Owner(-1, 5), Owner(5, -1)):
            with mock.patch.object(os, "setgroups") as call:
                self.assertRaises(PowerLost, become, owner)
            self.assertEqual(call.call_count, 0)

    def test_checks(self) -> None:
        for uid, name in ((0, "root"), (QUEUE.uid, "owns the queue")):
            error = self.assertRaises(MailboxError, self.power.check, uid, "x", "y")
            self.assertEqual(error.status, "4.3.5")
            self.assertIn(name, error.reason)
            self.assertTrue(self.power.is_replaced(uid))
            self.assertFalse(self.power.has(uid))
        for gid in (0, -1, QUEUE.gid):
            self.assertRaises(MailboxError, self.power.check_group, gid, "x", "y")
        self.power.check(AMY.uid, "x", "y")
        self.power.check_group(AMY.gid, "x", "y")

    def test_group_of_a_directory(self) -> None:
        """
        That of a spool directory which its group may write, and not
        everybody; never one that we are not in.
        """
        for mode, gid, expected in (
            (0o2775, 8, 8),
            (0o755, 8, 5),
            (0o1777, 8, 5),
            (0o775, 0, 5),
            (0o775, QUEUE.gid, 5),
        ):
            status = os.stat_result((mode | 0o40000, 1, 1, 1, 0, gid, 0, 0, 0, 0))
            with mock.patch.object(os, "stat", return_value=status):
                self.assertEqual(self.power.group_for("/spool", 5), expected, mode)
        self.assertEqual(self.power.group_for("/nowhere/at/all", 5), 5)
