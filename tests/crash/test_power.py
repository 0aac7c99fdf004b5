"""
Cut the power under load, at random instants.

Half of the cuts are made while the kernel writes nothing back by itself, which
is the harshest case, half while it does; half with mailboxes on the disk of the
queue, half with mailboxes on another.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import SkipTest

from tests.crash.case import CrashCase
from tests.crash.power import PowerCuts, writeback
from tests.support import SLICE, require, require_root

#: Cuts of one server.
CUTS = 10

#: Servers of each of the four kinds.
SERVERS = 1 if SLICE else 5

#: In a slice, cuts of one server.
SLICED = 3


class PowerCase(CrashCase):
    """
    Makes disks.

    @cvar make: what is cut off.
    """

    make = PowerCuts

    def setUp(self) -> None:
        require_root("mounts file systems in files")
        require("mkfs.ext4", "mount", "umount")
        super().setUp()

    @contextmanager
    def cuts(self, apart: bool, seed: int) -> Iterator[PowerCuts]:
        """
        @param apart: mailboxes have a disk of their own.
        """
        folder = self.folder / f"cuts-{seed}"
        folder.mkdir()
        folder.chmod(0o755)
        try:
            power = self.make(folder, self.forks, apart, seed)
        except subprocess.CalledProcessError as e:
            raise SkipTest(f"cannot mount a file system in a file: {e}") from e
        try:
            yield power
        finally:
            power.close()

    def cut_all(self, servers: int, cuts: int) -> None:
        """
        @param servers: of each of the four kinds.
        @param cuts: of one server.
        """
        broken: list[str] = []
        print(
            f"\n{'mailboxes':<14}{'writeback':<11}{'cuts':>6}{'lost':>6}{'torn':>6}"
            f"{'doubled':>9}",
            file=sys.stderr,
        )
        kinds = list(itertools.product((False, True), ("0", "500")))
        for number, (apart, centiseconds) in enumerate(kinds):
            count = lost = torn = doubled = 0
            for server in range(servers):
                seed = number * servers + server
                with writeback(centiseconds), self.cuts(apart, seed) as power:
                    for verdict in power.run(cuts):
                        count += 1
                        lost += len(verdict.lost)
                        torn += len(verdict.torn)
                        doubled += verdict.doubled
                        if not verdict.kept:
                            broken.append(f"server {seed}, cut {count}: {verdict}")
            where = "another disk" if apart else "same disk"
            print(
                f"{where:<14}{'off' if centiseconds == '0' else 'on':<11}{count:>6}"
                f"{lost:>6}{torn:>6}{doubled:>9}",
                file=sys.stderr,
            )
        self.assertEqual(broken, [])


class PowerTests(PowerCase):
    def test_cuts(self) -> None:
        """
        No acknowledged message is lost or torn, whenever the power goes.
        """
        self.cut_all(SERVERS, SLICED if SLICE else CUTS)
