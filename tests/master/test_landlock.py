"""
Tests of kernels with less of Landlock. What it refuses is in
L{tests.master.test_confine}.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from tests.master.cell import Attempt, Child, home, need_landlock, outcomes, smtpd
from txmta.master import landlock
from txmta.master.confine import confine


class KernelTests(SynchronousTestCase):
    def refuse(self, number: int) -> None:
        def call(*arguments: object) -> int:
            raise OSError(number, "refused")

        self.patch(landlock, "system_call", call)

    def test_none(self) -> None:
        """
        An old kernel, one booted without, a container that forbids it.
        """
        for number in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            self.refuse(number)
            self.assertEqual(landlock.kernel_abi(), 0)

    def test_trouble(self) -> None:
        """
        Any other error is not taken for "none".
        """
        self.refuse(errno.EMFILE)
        self.assertRaises(OSError, landlock.kernel_abi)

    def test_told(self) -> None:
        """
        What a kernel lacks is said; nothing, if it lacks nothing.
        """
        self.assertIn("no Landlock", landlock.lacking(0)[0])
        self.assertEqual(
            [len(landlock.lacking(abi)) for abi in range(1, 8)], [3, 3, 2, 1, 1, 0, 0]
        )

    def test_older(self) -> None:
        """
        Each older version, as this kernel still offers it: files are confined,
        what it lacks is said, the queue can be written.
        """
        need_landlock(6)
        base = home(self)
        (base / "letter").write_text("x")
        attempts: Mapping[str, Attempt] = {
            "letter": (base / "letter").read_text,
            "queue": lambda: (base / "queue/file").write_text("x"),
        }
        for abi in range(1, 8):

            def work(abi: int = abi) -> object:
                landlock.kernel_abi = cast(Any, lambda: abi)
                notes = confine(smtpd(base))
                return [len(notes), outcomes(attempts)]

            answer = Child(smtpd(base), work, ["landlock", "seccomp"]).answer()
            assert isinstance(answer, list), answer
            self.assertEqual(answer[1], {"letter": "EACCES", "queue": "done"})
